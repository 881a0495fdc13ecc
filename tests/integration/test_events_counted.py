"""Everything that the node does is counted, once, under the right name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.nodes import Plugin, SimulatedNode, value
from support.scene import counted

StartNode = Callable[..., SimulatedNode]
StartPlugin = Callable[..., Plugin]


def subscribed(plugin: Plugin, *names: str) -> None:
    """Wait until the plugin has made these subscriptions."""
    for name in names:
        plugin.logged(f"subscribed: {name}")


def test_a_full_life_is_counted_to_the_last_event(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """Transactions, replacements, removals, blocks, a reorganisation and a flush all end up in the counters."""
    node, plugin = start_node("--seed", "7"), start_plugin()
    subscribed(plugin, "chain", "utxo_cache")
    node.do("accept", count=20)
    node.do("replace")
    for reason in ("expiry", "sizelimit", "conflict"):
        node.do("remove", reason=reason)
    node.do("block", outputs=50)
    node.do("reorg", depth=2)
    node.do("flush")
    node.do("refuse")
    series = counted(plugin, node)
    assert value(series, "blocks_disconnected_total") == 2
    assert value(series, "block_height") == node.totals["height"]
    for reason in ("expiry", "sizelimit", "conflict", "replaced"):
        assert value(series, "mempool_tx_removed_by_reason_total", reason=reason) == 1
    assert value(series, "mempool_tx_removed_by_reason_total", reason="block") == 0
    confirmed = value(series, "mempool_tx_confirmed_total")
    assert confirmed is not None
    assert confirmed > 0
    vbytes, added = value(series, "mempool_tx_added_vbytes_total"), value(series, "mempool_tx_added_total")
    assert vbytes is not None
    assert added is not None
    assert vbytes > 100 * added


def test_the_mempool_check_shows_as_unconfirmed_adds(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """Adds of coins that are in no block are counted on their own."""
    node, plugin = start_node("--check-mempool"), start_plugin()
    subscribed(plugin, "utxo_cache")
    node.do("accept", count=3)
    node.do("template")
    series = counted(plugin, node)
    unconfirmed, added = (
        value(series, "utxo_cache_add_unconfirmed_total"),
        value(series, "utxo_cache_add_total"),
    )
    assert unconfirmed is not None
    assert added is not None
    assert 0 < unconfirmed < added


def test_a_historical_block_moves_nothing(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """A block of an assumeutxo background chainstate is neither counted nor taken for the tip."""
    node, plugin = start_node(), start_plugin()
    subscribed(plugin, "chain")
    node.do("historical")
    node.do("accept")
    series = plugin.shows(lambda series: value(series, "mempool_tx_added_total") == 1, "the event after it")
    assert node.totals["delivered"]["blockConnected"] == 1
    assert value(series, "blocks_connected_total") == 0
    assert value(series, "block_height") is None


def test_polled_values_are_the_nodes(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """Every polled metric has the value that the node has."""
    node = start_node()
    node.do("peers", inbound=3, outbound=10)
    node.do("traffic", received=12345, sent=67890)
    node.do("accept", count=4)
    state = node.do("headers", height=200)
    plugin = start_plugin()
    expected = {
        "chain_height": state["height"],
        "header_height": 200,
        "ibd": 0,
        "verification_progress": state["progress"],
        "mempool_size": 4,
        "mempool_bytes": state["mempool_usage"],
        "mempool_max_bytes": state["mempool_max"],
        "peers": 13,
        "bytes_recv_total": 12345,
        "bytes_sent_total": 67890,
        "up": 1,
        "connects_total": 1,
    }
    subscribed(plugin, "utxo_cache")
    series = plugin.shows(
        lambda series: {field: value(series, field) for field in expected} == expected, str(expected)
    )
    assert value(series, "node_info", version="/Satoshi:30.99.0/", chain="regtest", dialect="tracing") == 1


@pytest.mark.parametrize(("options", "plugin_options"), [(("--dialect", "chain"), ()), ((), ("--no-utxo-trace",))])
def test_without_the_trace_its_metrics_are_absent(
    start_node: StartNode,
    start_plugin: StartPlugin,
    options: tuple[str, ...],
    plugin_options: tuple[str, ...],
) -> None:
    """Where the UTXO cache is not traced its counters are absent, not 0, and everything else is there."""
    node, plugin = start_node(*options), start_plugin(*plugin_options)
    subscribed(plugin, "chain")
    plugin.shows(lambda series: value(series, "up") == 1, "the node is up")
    node.do("block")
    series = plugin.shows(lambda series: value(series, "blocks_connected_total") == 1, "the block")
    assert value(series, "utxo_cache_add_total") is None
    assert value(series, "subscription_active", subscription="utxo_cache") == 0
    assert value(series, "subscription_active", subscription="chain") == 1


def test_debug_logs_each_event_as_the_exporter_did(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """--debug tells hashes, heights, sizes, reasons, outpoints and values of every event."""
    node, plugin = start_node("--seed", "3"), start_plugin("--debug")
    subscribed(plugin, "chain", "utxo_cache")
    node.do("accept")
    node.do("remove", reason="expiry")
    state = node.do("block")
    node.do("disconnect")
    node.do("flush")
    plugin.logged("chain_state_flushed: role=validated locator_size=")
    log = plugin.stderr
    assert f"D! block_connected: height={state['height']} hash={state['tip']} prev=" in log
    assert f"D! block_disconnected: height={state['height']} hash={state['tip']}\n" in log
    for piece in ("D! mempool_add: txid=", "D! mempool_remove: txid=", " reason=expiry size="):
        assert piece in log
    assert "D! utxo_cache_add: outpoint=" in log
    assert " value=5000000000 coinbase=true\n" in log
    assert "D! tip_updated\n" in log


def test_a_group_that_is_off_costs_and_shows_nothing(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """--metrics none leaves the groups core and plugin."""
    node, plugin = start_node(), start_plugin("--metrics", "none", "--tag", "node=alpha")
    subscribed(plugin, "chain")
    node.do("accept")
    series = plugin.shows(lambda series: value(series, "mempool_tx_added_total", node="alpha") == 1, "the event")
    assert value(series, "mempool_tx_added_vbytes_total", node="alpha") is None
    assert all(("node", "alpha") in tags for _, tags in series)
