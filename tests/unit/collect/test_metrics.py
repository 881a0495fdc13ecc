"""The catalogue: the names, types and tags that users' dashboards rely on."""

import re

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, GROUPS, METRICS

CONTRACT = {
    "core": """
        blocks_connected_total blocks_disconnected_total mempool_tx_added_total mempool_tx_removed_total
        tip_updates_total chain_state_flushes_total block_height chain_height header_height ibd
        verification_progress mempool_size mempool_bytes mempool_max_bytes peers bytes_recv_total
        bytes_sent_total utxo_cache_add_total utxo_cache_spend_total utxo_cache_uncache_total
        utxo_cache_add_value_total utxo_cache_spend_value_total utxo_cache_uncache_value_total
        utxo_cache_add_unconfirmed_total
    """,
    "plugin": """
        up node_info(version,chain,dialect) plugin_info(version) connects_total poll_errors_total(method)
        poll_duration_seconds last_poll_timestamp_seconds subscription_active(subscription)
        events_dropped_total lines_dropped_total guard_refused_calls_total guard_standing
    """,
    "mempool": """
        mempool_tx_removed_by_reason_total(reason) mempool_tx_added_vbytes_total mempool_tx_confirmed_total
        mempool_vbytes mempool_min_fee_sat_per_vb mempool_relay_min_fee_sat_per_vb mempool_total_fee_sat
        mempool_unbroadcast mempool_loaded
    """,
    "chain": """
        difficulty chain_size_on_disk_bytes chain_pruned chain_prune_height chain_tip_timestamp_seconds
        chain_tip_median_timestamp_seconds node_warnings uptime_seconds network_hashrate chain_tips(status)
        index_synced(index) index_height(index)
    """,
    "network": "network_active peers_by_direction(direction)",
    "peers": """
        connections_by_network(network) connections_by_type(type) peers_by_transport(transport)
        peer_ping_seconds(stat) banned_peers p2p_bytes_recv_total(message) p2p_bytes_sent_total(message)
    """,
    "fees": "fee_estimate_sat_per_vb(target)",
    "blocks": """
        last_block_transactions last_block_inputs last_block_outputs last_block_size_bytes
        last_block_weight last_block_fee_sat last_block_subsidy_sat last_block_value_sat
        last_block_timestamp_seconds utxo_created_total utxo_spent_total utxo_created_value_sat_total
        utxo_spent_value_sat_total reorgs_total reorg_depth_max
    """,
}
"""The public interface, tags in brackets: a name may come in, none may change or go within a major version."""


def test_contract() -> None:
    """A dashboard that was made for one version finds the same names, types and tags in the next."""
    named: dict[str, list[str]] = {group: [] for group in GROUPS}
    for metric in CATALOGUE:
        named[metric.group].append(f"{metric.name}({','.join(metric.tags)})" if metric.tags else metric.name)
        assert metric.type == ("counter" if metric.name.endswith("_total") else "gauge")
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
    assert {group: sorted(names) for group, names in named.items()} == {
        group: sorted(names.split()) for group, names in CONTRACT.items()
    }
    assert len(METRICS) == len(CATALOGUE), "one name means one thing"


def test_tag_values_are_bounded() -> None:
    """The number of series does not grow with what the node sends."""
    assert METRICS["mempool_tx_removed_by_reason_total"].values == (
        "expiry", "sizelimit", "reorg", "block", "conflict", "replaced", "unknown",
    )  # fmt: skip
    assert METRICS["subscription_active"].values == ("chain", "utxo_cache")
    assert METRICS["chain_tips"].values == ("active", "valid-fork", "valid-headers", "headers-only", "invalid")
    assert METRICS["peers_by_direction"].values == ("inbound", "outbound")
    assert METRICS["connections_by_network"].values == (
        "ipv4", "ipv6", "onion", "i2p", "cjdns", "not_publicly_routable", "unknown",
    )  # fmt: skip
    assert METRICS["connections_by_type"].values == (
        "inbound", "outbound-full-relay", "block-relay-only", "manual", "addr-fetch", "feeler",
        "private-broadcast", "unknown",
    )  # fmt: skip
    assert METRICS["peers_by_transport"].values == ("v1", "v2", "detecting", "unknown")
    assert METRICS["peer_ping_seconds"].values == ("median", "p90", "max")
    for name in ("p2p_bytes_recv_total", "p2p_bytes_sent_total"):
        messages = METRICS[name].values
        assert {"tx", "block", "cmpctblock", "inv", "headers", "ping", "pong", "version", "other"} <= set(messages)
        assert len(set(messages)) == len(messages) == 37
    unbounded = {metric.name for metric in CATALOGUE if metric.tags and not metric.values}
    assert unbounded == {"node_info", "plugin_info", "poll_errors_total", "fee_estimate_sat_per_vb"}


def test_what_outlives_a_session() -> None:
    """The plugin's own counters go on when the node restarts; what the node told goes with it."""
    node_counters = {"bytes_recv_total", "bytes_sent_total"}
    kept_gauges = {"up", "plugin_info", "subscription_active", "reorg_depth_max"}
    for metric in CATALOGUE:
        kept = metric.name in kept_gauges or (metric.type == "counter" and metric.name not in node_counters)
        assert metric.lifetime == ("process" if kept else "session"), metric.name


def test_helps_warn_of_what_misleads() -> None:
    """Who reads the help learns that confirmed transactions and scratch views are a matter of their own."""
    assert "mempool_tx_confirmed_total" in METRICS["mempool_tx_removed_total"].help
    for action in ("add", "spend", "uncache"):
        for name in (f"utxo_cache_{action}_total", f"utxo_cache_{action}_value_total"):
            assert "scratch views" in METRICS[name].help
