"""The catalogue: the names, types and tags that users' dashboards rely on."""

import re

import pytest

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, GROUPS, METRICS

CONTRACT = {
    "core": {
        "blocks_connected_total": ("counter", ()),
        "blocks_disconnected_total": ("counter", ()),
        "mempool_tx_added_total": ("counter", ()),
        "mempool_tx_removed_total": ("counter", ()),
        "tip_updates_total": ("counter", ()),
        "chain_state_flushes_total": ("counter", ()),
        "block_height": ("gauge", ()),
        "chain_height": ("gauge", ()),
        "header_height": ("gauge", ()),
        "ibd": ("gauge", ()),
        "verification_progress": ("gauge", ()),
        "mempool_size": ("gauge", ()),
        "mempool_bytes": ("gauge", ()),
        "mempool_max_bytes": ("gauge", ()),
        "peers": ("gauge", ()),
        "bytes_recv_total": ("counter", ()),
        "bytes_sent_total": ("counter", ()),
        "utxo_cache_add_total": ("counter", ()),
        "utxo_cache_spend_total": ("counter", ()),
        "utxo_cache_uncache_total": ("counter", ()),
        "utxo_cache_add_value_total": ("counter", ()),
        "utxo_cache_spend_value_total": ("counter", ()),
        "utxo_cache_uncache_value_total": ("counter", ()),
        "utxo_cache_add_unconfirmed_total": ("counter", ()),
    },
    "plugin": {
        "up": ("gauge", ()),
        "node_info": ("gauge", ("version", "chain", "dialect")),
        "plugin_info": ("gauge", ("version",)),
        "connects_total": ("counter", ()),
        "poll_errors_total": ("counter", ("method",)),
        "poll_duration_seconds": ("gauge", ()),
        "last_poll_timestamp_seconds": ("gauge", ()),
        "subscription_active": ("gauge", ("subscription",)),
        "events_dropped_total": ("counter", ()),
        "lines_dropped_total": ("counter", ()),
        "guard_refused_calls_total": ("counter", ()),
        "guard_standing": ("gauge", ()),
    },
    "mempool": {
        "mempool_tx_removed_by_reason_total": ("counter", ("reason",)),
        "mempool_tx_added_vbytes_total": ("counter", ()),
        "mempool_tx_confirmed_total": ("counter", ()),
        "mempool_vbytes": ("gauge", ()),
        "mempool_min_fee_sat_per_vb": ("gauge", ()),
        "mempool_relay_min_fee_sat_per_vb": ("gauge", ()),
        "mempool_total_fee_sat": ("gauge", ()),
        "mempool_unbroadcast": ("gauge", ()),
        "mempool_loaded": ("gauge", ()),
    },
    "chain": {
        "difficulty": ("gauge", ()),
        "chain_size_on_disk_bytes": ("gauge", ()),
        "chain_pruned": ("gauge", ()),
        "chain_prune_height": ("gauge", ()),
        "chain_tip_timestamp_seconds": ("gauge", ()),
        "chain_tip_median_timestamp_seconds": ("gauge", ()),
        "node_warnings": ("gauge", ()),
        "uptime_seconds": ("gauge", ()),
        "network_hashrate": ("gauge", ()),
        "chain_tips": ("gauge", ("status",)),
        "index_synced": ("gauge", ("index",)),
        "index_height": ("gauge", ("index",)),
    },
    "network": {
        "network_active": ("gauge", ()),
        "peers_by_direction": ("gauge", ("direction",)),
    },
    "peers": {
        "connections_by_network": ("gauge", ("network",)),
        "connections_by_type": ("gauge", ("type",)),
        "peers_by_transport": ("gauge", ("transport",)),
        "peer_ping_seconds": ("gauge", ("stat",)),
        "banned_peers": ("gauge", ()),
        "p2p_bytes_recv_total": ("counter", ("message",)),
        "p2p_bytes_sent_total": ("counter", ("message",)),
    },
    "fees": {"fee_estimate_sat_per_vb": ("gauge", ("target",))},
    "blocks": {
        "last_block_transactions": ("gauge", ()),
        "last_block_inputs": ("gauge", ()),
        "last_block_outputs": ("gauge", ()),
        "last_block_size_bytes": ("gauge", ()),
        "last_block_weight": ("gauge", ()),
        "last_block_fee_sat": ("gauge", ()),
        "last_block_subsidy_sat": ("gauge", ()),
        "last_block_value_sat": ("gauge", ()),
        "last_block_timestamp_seconds": ("gauge", ()),
        "utxo_created_total": ("counter", ()),
        "utxo_spent_total": ("counter", ()),
        "utxo_created_value_sat_total": ("counter", ()),
        "utxo_spent_value_sat_total": ("counter", ()),
        "reorgs_total": ("counter", ()),
        "reorg_depth_max": ("gauge", ()),
    },
}
"""The public interface: a line may come in, none may change or go within a major version."""


@pytest.mark.parametrize("group", CONTRACT)
def test_contract(group: str) -> None:
    """A dashboard that was made for one version finds the same names, types and tags in the next."""
    assert {m.name: (m.type, m.tags) for m in CATALOGUE if m.group == group} == CONTRACT[group]


def test_every_group_is_in_the_contract() -> None:
    """No metric is sent that the contract does not know."""
    assert list(GROUPS) == list(CONTRACT)
    assert {metric.group for metric in CATALOGUE} == set(CONTRACT)


def test_names_are_unique_and_as_prometheus_has_them() -> None:
    """One name means one thing, in lower case and with single underscores."""
    assert len(METRICS) == len(CATALOGUE)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) for name in METRICS)


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
    unbounded = {metric.name for metric in CATALOGUE if metric.tags and not metric.values}
    assert unbounded == {"node_info", "plugin_info", "poll_errors_total", "fee_estimate_sat_per_vb"}


@pytest.mark.parametrize("name", ["p2p_bytes_recv_total", "p2p_bytes_sent_total"])
def test_messages(name: str) -> None:
    """Bytes by message have a series for each message of the protocol, and one for all that is none."""
    values = METRICS[name].values
    assert {"tx", "block", "cmpctblock", "inv", "headers", "ping", "pong", "version", "other"} <= set(values)
    assert len(set(values)) == len(values) == 37


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
