"""The catalogue of metrics, one row each; nothing else is ever emitted.

METRICS.md, the type lists of the Telegraf configuration and the store's rules are generated from it.
Names and meanings are the public interface: they do not change within a major version.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from telegraf_bitcoin_ipc.collect.tags import (
    CHAIN_TIP_STATUSES,
    CONNECTION_TYPES,
    DIRECTIONS,
    INDEXES,
    MESSAGES,
    NETWORKS,
    PING_STATS,
    REMOVAL_REASONS,
    TRANSPORTS,
    UNKNOWN,
    Subscription,
)

MEASUREMENT: Final = "bitcoin"
"""Line protocol measurement; Telegraf's Prometheus output joins it to the field name with an underscore."""

GROUPS: Final = {
    "core": "what ipc-exporter-rust offers, under the same names",
    "plugin": "about the plugin itself",
    "mempool": "the mempool in more detail",
    "chain": "difficulty, size, pruning, the tip's age, chain tips, indexes, hash rate, warnings, uptime",
    "network": "whether the network is active, and peers by direction",
    "peers": "peers by network, type and transport, ping, bans, bytes by message",
    "fees": "fee estimates",
    "blocks": "the last block, reorganisations, and coins created and spent by the blocks",
}
"""Every group with what it holds."""

ALWAYS_ON: Final = frozenset({"core", "plugin"})

MetricType = Literal["counter", "gauge"]
Lifetime = Literal["process", "session"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `name` is the line protocol field, `bitcoin_<name>` what Prometheus shows.

    `tags` names its tags, and `values` lists all values of its only tag (empty: any, but few). A metric of
    `lifetime` "process" keeps its value until this process exits, one of "session" until the session ends.
    """

    name: str
    type: MetricType
    group: str
    help: str
    tags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    lifetime: Lifetime = "session"

    def __post_init__(self) -> None:
        """Reject a row that breaks the naming rules of Prometheus or of this project."""
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", self.name):
            raise ValueError(f"{self.name}: not a metric name")
        if (self.type == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: a counter, and nothing else, ends in _total")
        if self.group not in GROUPS:
            raise ValueError(f"{self.name}: there is no group {self.group}")
        if self.values and len(self.tags) != 1:
            raise ValueError(f"{self.name}: a set of values needs exactly one tag")


def _counter(name: str, group: str, help: str, tag: str | None = None, values: tuple[str, ...] = ()) -> Metric:
    """Return a counter that this process keeps."""
    return Metric(name, "counter", group, help, (tag,) if tag else (), values, "process")


def _gauge(name: str, group: str, help: str, tag: str | None = None, values: tuple[str, ...] = ()) -> Metric:
    """Return a gauge with the value that the node reported last."""
    return Metric(name, "gauge", group, help, (tag,) if tag else (), values)


_SCRATCH = (
    "The trace reports activity in the coins cache, including scratch views (block templates, -checkmempool); "
    "this is not the change of the UTXO set."
)

CATALOGUE: Final[tuple[Metric, ...]] = (
    _counter(
        "blocks_connected_total", "core",
        "Blocks connected to the active chain, excluding those of an assumeutxo background chainstate.",
    ),
    _counter(
        "blocks_disconnected_total", "core",
        "Blocks disconnected from the active chain by a reorganisation.",
    ),
    _counter(
        "mempool_tx_added_total", "core",
        "Transactions that entered the mempool, including those that returned from a disconnected block.",
    ),
    _counter(
        "mempool_tx_removed_total", "core",
        "Transactions that left the mempool without being confirmed. The node sends no removal for a "
        "confirmed transaction: mempool_tx_confirmed_total counts those.",
    ),
    _counter(
        "tip_updates_total", "core",
        "Times the node announced a new tip; disconnecting a block alone announces none.",
    ),
    _counter("chain_state_flushes_total", "core", "Times the node wrote its coins cache to disk."),
    _gauge(
        "block_height", "core",
        "Height of the last connected block, absent until one is connected. On nodes without notifications, "
        "height of the tip.",
    ),
    _gauge("chain_height", "core", "Height of the tip of the active chain."),
    _gauge("header_height", "core", "Height of the best known header."),
    _gauge("ibd", "core", "1 during initial block download, else 0."),
    _gauge(
        "verification_progress", "core",
        "The node's estimate of how much of the chain it has verified, 0 to 1.",
    ),
    _gauge("mempool_size", "core", "Transactions in the mempool."),
    _gauge("mempool_bytes", "core", "Memory that the mempool uses, in bytes."),
    _gauge(
        "mempool_max_bytes", "core", "Memory that the mempool may use, in bytes."
    ),
    _gauge("peers", "core", "Connected peers, inbound and outbound."),
    Metric(
        "bytes_recv_total", "counter", "core",
        "Bytes received from peers, as counted by the node: begins at 0 when the node restarts.",
    ),
    Metric(
        "bytes_sent_total", "counter", "core",
        "Bytes sent to peers, as counted by the node: begins at 0 when the node restarts.",
    ),
    _counter(
        "utxo_cache_add_total", "core",
        "Coins added to the UTXO cache. " + _SCRATCH,
    ),
    _counter(
        "utxo_cache_spend_total", "core",
        "Coins spent from the UTXO cache. " + _SCRATCH,
    ),
    _counter(
        "utxo_cache_uncache_total", "core",
        "Coins dropped from the UTXO cache because no mempool transaction spends them any more. " + _SCRATCH,
    ),
    _counter(
        "utxo_cache_add_value_total", "core",
        "Value of the coins added to the UTXO cache, in satoshi. " + _SCRATCH,
    ),
    _counter(
        "utxo_cache_spend_value_total", "core",
        "Value of the coins spent from the UTXO cache, in satoshi. " + _SCRATCH,
    ),
    _counter(
        "utxo_cache_uncache_value_total", "core",
        "Value of the coins dropped from the UTXO cache, in satoshi. " + _SCRATCH,
    ),
    _counter(
        "utxo_cache_add_unconfirmed_total", "core",
        "Coins added to the UTXO cache that belong to no block (height 2147483647): scratch views only.",
    ),
    Metric("up", "gauge", "plugin", "1 while the node answers, else 0.", lifetime="process"),
    Metric(
        "node_info", "gauge", "plugin",
        "Always 1; the tags are the node's subversion, its chain and the dialect of its IPC interface.",
        ("version", "chain", "dialect"),
    ),
    Metric(
        "plugin_info", "gauge", "plugin", "Always 1; the tag is the plugin's version.",
        ("version",), lifetime="process",
    ),
    _counter("connects_total", "plugin", "Sessions opened with the node."),
    _counter(
        "poll_errors_total", "plugin",
        "Failed polls by method; the series of a method starts when it is first polled.",
        "method",
    ),
    _gauge("poll_duration_seconds", "plugin", "Duration of the last poll."),
    _gauge("last_poll_timestamp_seconds", "plugin", "Unix time at which the last poll ended."),
    Metric(
        "subscription_active", "gauge", "plugin", "1 while the subscription is active, else 0.",
        ("subscription",), tuple(Subscription), "process",
    ),
    _counter(
        "events_dropped_total", "plugin",
        "Events that were answered but dropped unread; the counters made from events lack them.",
    ),
    _counter(
        "guard_refused_calls_total", "plugin",
        "Calls to the node that the guard refused; 0 in normal operation.",
    ),
    _gauge(
        "guard_standing", "plugin",
        "1 behind a standing guard, 0 behind a guard of the plugin's own; absent without one.",
    ),
    _counter(
        "lines_dropped_total", "plugin",
        "Lines of output dropped because Telegraf did not read them in time; the newest are kept.",
    ),
    _counter(
        "mempool_tx_removed_by_reason_total", "mempool",
        "Transactions that left the mempool without being confirmed, by reason; the node never sends "
        "`block`.",
        "reason", (*REMOVAL_REASONS, UNKNOWN),
    ),
    _counter(
        "mempool_tx_added_vbytes_total", "mempool",
        "Virtual size (BIP 141) of the transactions that entered the mempool, in virtual bytes.",
    ),
    _counter(
        "mempool_tx_confirmed_total", "mempool",
        "Transactions in the blocks connected to the active chain, excluding coinbases.",
    ),
    _gauge(
        "mempool_vbytes", "mempool",
        "Virtual size (BIP 141) of all transactions in the mempool, in virtual bytes.",
    ),
    _gauge(
        "mempool_min_fee_sat_per_vb", "mempool",
        "Lowest feerate that the mempool accepts, in satoshi per virtual byte; above the relay minimum once "
        "the mempool is full.",
    ),
    _gauge(
        "mempool_relay_min_fee_sat_per_vb", "mempool",
        "Lowest feerate that the node relays (-minrelaytxfee), in satoshi per virtual byte.",
    ),
    _gauge("mempool_total_fee_sat", "mempool", "Fees of all transactions in the mempool, in satoshi."),
    _gauge("mempool_unbroadcast", "mempool", "The node's own transactions that no peer has requested yet."),
    _gauge("mempool_loaded", "mempool", "1 once the mempool saved at the last stop has been loaded, else 0."),
    _gauge("difficulty", "chain", "Difficulty of the tip's proof of work."),
    _gauge(
        "chain_size_on_disk_bytes", "chain",
        "Disk space taken by blocks and undo data, in bytes (the node's estimate).",
    ),
    _gauge("chain_pruned", "chain", "1 if the node prunes old blocks, else 0."),
    _gauge(
        "chain_prune_height", "chain",
        "Height of the first block that is not pruned; absent if the node does not prune.",
    ),
    _gauge("chain_tip_timestamp_seconds", "chain", "Timestamp in the tip's header, in Unix time."),
    _gauge(
        "chain_tip_median_timestamp_seconds", "chain",
        "Median time of the tip and the ten blocks before it, in Unix time.",
    ),
    _gauge(
        "node_warnings", "chain",
        "Number of warnings for the node's operator (getblockchaininfo has their text).",
    ),
    _gauge("uptime_seconds", "chain", "Time since the node started, in seconds."),
    _gauge(
        "network_hashrate", "chain",
        "Hashes per second of the whole network, estimated by the node from the last 120 blocks.",
    ),
    _gauge(
        "chain_tips", "chain",
        "Tips of the block tree by status, including the active chain's; polled once after each new block.",
        "status", CHAIN_TIP_STATUSES,
    ),
    _gauge("index_synced", "chain", "1 if an optional index is synced with the chain, else 0.", "index", INDEXES),
    _gauge("index_height", "chain", "Height that an optional index has reached.", "index", INDEXES),
    _gauge("network_active", "network", "1 while the node's P2P network is on (setnetworkactive), else 0."),
    _gauge("peers_by_direction", "network", "Connected peers by direction.", "direction", DIRECTIONS),
    _gauge(
        "connections_by_network", "peers", "Connected peers by network.", "network", (*NETWORKS, UNKNOWN)
    ),
    _gauge(
        "connections_by_type", "peers", "Connected peers by connection type.", "type",
        (*CONNECTION_TYPES, UNKNOWN),
    ),
    _gauge(
        "peers_by_transport", "peers", "Connected peers by transport protocol (BIP 324).", "transport",
        (*TRANSPORTS, UNKNOWN),
    ),
    _gauge(
        "peer_ping_seconds", "peers",
        "Median, 90th percentile and maximum of the peers' last ping times; absent until a peer has answered "
        "a ping.",
        "stat", tuple(PING_STATS),
    ),
    _gauge("banned_peers", "peers", "Banned addresses and subnets."),
    _counter(
        "p2p_bytes_recv_total", "peers",
        "Bytes received from peers since the plugin's first poll, by P2P message; what a peer sends between the "
        "last poll and its disconnection is not counted.",
        "message", MESSAGES,
    ),
    _counter(
        "p2p_bytes_sent_total", "peers",
        "Bytes sent to peers since the plugin's first poll, by P2P message; what is sent to a peer between the "
        "last poll and its disconnection is not counted.",
        "message", MESSAGES,
    ),
    _gauge(
        "fee_estimate_sat_per_vb", "fees",
        "Estimated feerate for confirmation within `target` blocks (estimatesmartfee), in satoshi per virtual "
        "byte; absent while the node has too little data.",
        "target",
    ),
    _gauge("last_block_transactions", "blocks", "Transactions in the newest block, including the coinbase."),
    _gauge("last_block_inputs", "blocks", "Inputs in the newest block, excluding the coinbase's."),
    _gauge("last_block_outputs", "blocks", "Outputs in the newest block."),
    _gauge(
        "last_block_size_bytes", "blocks",
        "Size of the newest block's transactions, excluding the coinbase, in bytes.",
    ),
    _gauge(
        "last_block_weight", "blocks",
        "Weight (BIP 141) of the newest block's transactions, excluding the coinbase.",
    ),
    _gauge("last_block_fee_sat", "blocks", "Fees of the newest block, in satoshi."),
    _gauge("last_block_subsidy_sat", "blocks", "Subsidy of the newest block, in satoshi."),
    _gauge(
        "last_block_value_sat", "blocks",
        "Value of the newest block's outputs, excluding the coinbase's, in satoshi.",
    ),
    _gauge("last_block_timestamp_seconds", "blocks", "Timestamp in the newest block's header, in Unix time."),
    _counter(
        "utxo_created_total", "blocks",
        "Coins created by connected blocks, excluding those connected during initial block download. "
        "Together with utxo_spent_total this gives the change of the UTXO set; the UTXO trace does not.",
    ),
    _counter("utxo_spent_total", "blocks", "Coins spent by connected blocks."),
    _counter(
        "utxo_created_value_sat_total", "blocks",
        "Value of the coins created by connected blocks, in satoshi.",
    ),
    _counter("utxo_spent_value_sat_total", "blocks", "Value of the coins spent by connected blocks, in satoshi."),
    _counter(
        "reorgs_total", "blocks",
        "Reorganisations; consecutive blocks that leave the active chain count as one.",
    ),
    Metric(
        "reorg_depth_max", "gauge", "blocks",
        "Depth in blocks of the deepest reorganisation since the plugin started.",
        lifetime="process",
    ),
)  # fmt: skip

METRICS: Final = {metric.name: metric for metric in CATALOGUE}
