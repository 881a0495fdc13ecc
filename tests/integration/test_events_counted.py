"""What only a node in the right state shows: scratch coins, old blocks."""

from __future__ import annotations

from support.nodes import StartNode, StartPlugin, value
from support.scene import counted, watched


def test_the_mempool_check_shows_as_unconfirmed_adds(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """Adds of coins that are in no block are counted on their own."""
    node, plugin = start_node("--check-mempool"), start_plugin()
    watched(plugin)
    node.do("accept", count=3)
    node.do("template")
    series = counted(plugin, node)
    unconfirmed, added = (value(series, f"utxo_cache_add_{name}total") or 0 for name in ("unconfirmed_", ""))
    assert 0 < unconfirmed < added


def test_a_historical_block_moves_nothing(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """A block of an assumeutxo background chainstate is neither counted nor taken for the tip."""
    node, plugin = start_node(), start_plugin()
    plugin.logged("subscribed: chain")
    node.do("historical")
    node.do("accept")
    series = plugin.shows(lambda series: value(series, "mempool_tx_added_total") == 1, "the event after it")
    assert node.totals["delivered"]["blockConnected"] == 1
    assert value(series, "blocks_connected_total") == 0
    assert value(series, "block_height") is None
