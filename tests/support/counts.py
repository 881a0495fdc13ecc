"""What the node says it delivered, against what the plugin shows."""

from __future__ import annotations

from support.nodes import Series, SimulatedNode, value

COUNTED = {
    "blocks_connected_total": "blockConnected",
    "blocks_disconnected_total": "blockDisconnected",
    "mempool_tx_added_total": "transactionAddedToMempool",
    "mempool_tx_removed_total": "transactionRemovedFromMempool",
    "tip_updates_total": "updatedBlockTip",
    "chain_state_flushes_total": "chainStateFlushed",
    "utxo_cache_add_total": "add",
    "utxo_cache_spend_total": "spend",
    "utxo_cache_uncache_total": "uncache",
}
VALUES = {f"utxo_cache_{kind}_value_total": kind for kind in ("add", "spend", "uncache")}
CHAIN = tuple(field for field in COUNTED if not field.startswith("utxo_cache"))


def delivered(node: SimulatedNode) -> dict[str, int]:
    """What every counter that the node's dialect makes from events has to be."""
    totals = node.totals
    counts = {field: totals["delivered"].get(method, 0) for field, method in COUNTED.items()}
    counts |= {field: totals["delivered_value"].get(kind, 0) for field, kind in VALUES.items()}
    return {field: number for field, number in counts.items() if node.dialect.subscription(field)}


def happened(node: SimulatedNode) -> dict[str, int]:
    """What each counter made from events shows of a subscriber that was there from the first event on."""
    totals = node.totals["happened"]
    return {field: totals.get(method, 0) for field, method in COUNTED.items() if node.dialect.subscription(field)}


def differences(series: Series, node: SimulatedNode) -> dict[str, tuple[float | None, int]]:
    """The counters that are not what the node delivered: what is shown, and what should be."""
    return {
        field: (value(series, field), number)
        for field, number in delivered(node).items()
        if value(series, field) != number
    }
