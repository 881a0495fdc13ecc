"""What only a node in the right state or an option shows: scratch coins, old blocks, no trace, the log."""

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


def test_without_the_trace_its_metrics_are_absent(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """With --no-utxo-trace the counters of the UTXO cache are absent, not 0, and everything else is there."""
    node, plugin = start_node(), start_plugin("--no-utxo-trace")
    plugin.logged("subscribed: chain")
    node.do("block")
    series = plugin.shows(lambda series: value(series, "blocks_connected_total") == 1, "the block")
    assert value(series, "utxo_cache_add_total") is None
    assert value(series, "subscription_active", subscription="utxo_cache") == 0
    assert value(series, "subscription_active", subscription="chain") == 1


def test_debug_logs_each_event_as_the_exporter_did(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """--debug tells hashes, heights, sizes, reasons, outpoints and values of every event."""
    node, plugin = start_node("--seed", "3"), start_plugin("--debug")
    watched(plugin)
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
