"""The catalogue of metrics, one row each; nothing else is ever emitted.

METRICS.md, the type lists of the Telegraf configuration and the store's rules are generated from it.
Names and meanings are the public interface: they do not change within a major version.
"""

from dataclasses import dataclass
from typing import Final, Literal

from telegraf_bitcoin_ipc.collect import tags

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
    tags: tuple[str, ...]
    values: tuple[str, ...]
    lifetime: Literal["process", "session"]


_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "subscription": tuple(tags.Subscription),
    "reason": (*tags.REMOVAL_REASONS, tags.UNKNOWN),
    "status": tags.CHAIN_TIP_STATUSES,
    "index": tags.INDEXES,
    "direction": tags.DIRECTIONS,
    "network": (*tags.NETWORKS, tags.UNKNOWN),
    "type": (*tags.CONNECTION_TYPES, tags.UNKNOWN),
    "transport": (*tags.TRANSPORTS, tags.UNKNOWN),
    "stat": tuple(tags.PING_STATS),
    "message": tags.MESSAGES,
}
"""All values of each tag that has a fixed set of them."""

_COUNTED_BY_THE_NODE: Final = {"bytes_recv_total", "bytes_sent_total"}
"""The only counters that this process does not keep."""

_KEPT_GAUGES: Final = {"up", "plugin_info", "subscription_active", "reorg_depth_max"}
"""The only gauges that are not a value of the session's node."""

_SCRATCH = (
    "The trace reports activity in the coins cache, including scratch views (block templates, -checkmempool); "
    "this is not the change of the UTXO set."
)

_TABLE: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "core": (
        ("blocks_connected_total",
         "Blocks connected to the active chain, excluding those of an assumeutxo background chainstate."),
        ("blocks_disconnected_total", "Blocks disconnected from the active chain by a reorganisation."),
        ("mempool_tx_added_total",
         "Transactions that entered the mempool, including those that returned from a disconnected block."),
        ("mempool_tx_removed_total",
         "Transactions that left the mempool without being confirmed. The node sends no removal for a confirmed "
         "transaction: mempool_tx_confirmed_total counts those."),
        ("tip_updates_total", "Times the node announced a new tip; disconnecting a block alone announces none."),
        ("chain_state_flushes_total", "Times the node wrote its coins cache to disk."),
        ("block_height",
         "Height of the last connected block, absent until one is connected. On nodes without notifications, "
         "height of the tip."),
        ("chain_height", "Height of the tip of the active chain."),
        ("header_height", "Height of the best known header."),
        ("ibd", "1 during initial block download, else 0."),
        ("verification_progress", "The node's estimate of how much of the chain it has verified, 0 to 1."),
        ("mempool_size", "Transactions in the mempool."),
        ("mempool_bytes", "Memory that the mempool uses, in bytes."),
        ("mempool_max_bytes", "Memory that the mempool may use, in bytes."),
        ("peers", "Connected peers, inbound and outbound."),
        ("bytes_recv_total",
         "Bytes received from peers, as counted by the node: begins at 0 when the node restarts."),
        ("bytes_sent_total", "Bytes sent to peers, as counted by the node: begins at 0 when the node restarts."),
        ("utxo_cache_add_total", "Coins added to the UTXO cache. " + _SCRATCH),
        ("utxo_cache_spend_total", "Coins spent from the UTXO cache. " + _SCRATCH),
        ("utxo_cache_uncache_total",
         "Coins dropped from the UTXO cache because no mempool transaction spends them any more. " + _SCRATCH),
        ("utxo_cache_add_value_total", "Value of the coins added to the UTXO cache, in satoshi. " + _SCRATCH),
        ("utxo_cache_spend_value_total", "Value of the coins spent from the UTXO cache, in satoshi. " + _SCRATCH),
        ("utxo_cache_uncache_value_total",
         "Value of the coins dropped from the UTXO cache, in satoshi. " + _SCRATCH),
        ("utxo_cache_add_unconfirmed_total",
         "Coins added to the UTXO cache that belong to no block (height 2147483647): scratch views only."),
    ),
    "plugin": (
        ("up", "1 while the node answers, else 0."),
        ("node_info",
         "Always 1; the tags are the node's subversion, its chain and the dialect of its IPC interface.",
         "version", "chain", "dialect"),
        ("plugin_info", "Always 1; the tag is the plugin's version.", "version"),
        ("connects_total", "Sessions opened with the node."),
        ("poll_errors_total",
         "Failed polls by method; the series of a method starts when it is first polled.", "method"),
        ("poll_duration_seconds", "Duration of the last poll."),
        ("last_poll_timestamp_seconds", "Unix time at which the last poll ended."),
        ("subscription_active", "1 while the subscription is active, else 0.", "subscription"),
        ("events_dropped_total",
         "Events that were answered but dropped unread; the counters made from events lack them."),
        ("guard_refused_calls_total", "Calls to the node that the guard refused; 0 in normal operation."),
        ("guard_standing", "1 behind a standing guard, 0 behind a guard of the plugin's own; absent without one."),
        ("lines_dropped_total",
         "Lines of output dropped because Telegraf did not read them in time; the newest are kept."),
    ),
    "mempool": (
        ("mempool_tx_removed_by_reason_total",
         "Transactions that left the mempool without being confirmed, by reason; the node never sends `block`.",
         "reason"),
        ("mempool_tx_added_vbytes_total",
         "Virtual size (BIP 141) of the transactions that entered the mempool, in virtual bytes."),
        ("mempool_tx_confirmed_total",
         "Transactions in the blocks connected to the active chain, excluding coinbases."),
        ("mempool_vbytes", "Virtual size (BIP 141) of all transactions in the mempool, in virtual bytes."),
        ("mempool_min_fee_sat_per_vb",
         "Lowest feerate that the mempool accepts, in satoshi per virtual byte; above the relay minimum once the "
         "mempool is full."),
        ("mempool_relay_min_fee_sat_per_vb",
         "Lowest feerate that the node relays (-minrelaytxfee), in satoshi per virtual byte."),
        ("mempool_total_fee_sat", "Fees of all transactions in the mempool, in satoshi."),
        ("mempool_unbroadcast", "The node's own transactions that no peer has requested yet."),
        ("mempool_loaded", "1 once the mempool saved at the last stop has been loaded, else 0."),
    ),
    "chain": (
        ("difficulty", "Difficulty of the tip's proof of work."),
        ("chain_size_on_disk_bytes", "Disk space taken by blocks and undo data, in bytes (the node's estimate)."),
        ("chain_pruned", "1 if the node prunes old blocks, else 0."),
        ("chain_prune_height", "Height of the first block that is not pruned; absent if the node does not prune."),
        ("chain_tip_timestamp_seconds", "Timestamp in the tip's header, in Unix time."),
        ("chain_tip_median_timestamp_seconds",
         "Median time of the tip and the ten blocks before it, in Unix time."),
        ("node_warnings", "Number of warnings for the node's operator (getblockchaininfo has their text)."),
        ("uptime_seconds", "Time since the node started, in seconds."),
        ("network_hashrate",
         "Hashes per second of the whole network, estimated by the node from the last 120 blocks."),
        ("chain_tips",
         "Tips of the block tree by status, including the active chain's; polled once after each new block.",
         "status"),
        ("index_synced", "1 if an optional index is synced with the chain, else 0.", "index"),
        ("index_height", "Height that an optional index has reached.", "index"),
    ),
    "network": (
        ("network_active", "1 while the node's P2P network is on (setnetworkactive), else 0."),
        ("peers_by_direction", "Connected peers by direction.", "direction"),
    ),
    "peers": (
        ("connections_by_network", "Connected peers by network.", "network"),
        ("connections_by_type", "Connected peers by connection type.", "type"),
        ("peers_by_transport", "Connected peers by transport protocol (BIP 324).", "transport"),
        ("peer_ping_seconds",
         "Median, 90th percentile and maximum of the peers' last ping times; absent until a peer has answered a "
         "ping.", "stat"),
        ("banned_peers", "Banned addresses and subnets."),
        ("p2p_bytes_recv_total",
         "Bytes received from peers since the plugin's first poll, by P2P message; what a peer sends between the "
         "last poll and its disconnection is not counted.", "message"),
        ("p2p_bytes_sent_total",
         "Bytes sent to peers since the plugin's first poll, by P2P message; what is sent to a peer between the "
         "last poll and its disconnection is not counted.", "message"),
    ),
    "fees": (
        ("fee_estimate_sat_per_vb",
         "Estimated feerate for confirmation within `target` blocks (estimatesmartfee), in satoshi per virtual "
         "byte; absent while the node has too little data.", "target"),
    ),
    "blocks": (
        ("last_block_transactions", "Transactions in the newest block, including the coinbase."),
        ("last_block_inputs", "Inputs in the newest block, excluding the coinbase's."),
        ("last_block_outputs", "Outputs in the newest block."),
        ("last_block_size_bytes", "Size of the newest block's transactions, excluding the coinbase, in bytes."),
        ("last_block_weight", "Weight (BIP 141) of the newest block's transactions, excluding the coinbase."),
        ("last_block_fee_sat", "Fees of the newest block, in satoshi."),
        ("last_block_subsidy_sat", "Subsidy of the newest block, in satoshi."),
        ("last_block_value_sat", "Value of the newest block's outputs, excluding the coinbase's, in satoshi."),
        ("last_block_timestamp_seconds", "Timestamp in the newest block's header, in Unix time."),
        ("utxo_created_total",
         "Coins created by connected blocks, excluding those connected during initial block download. Together "
         "with utxo_spent_total this gives the change of the UTXO set; the UTXO trace does not."),
        ("utxo_spent_total", "Coins spent by connected blocks."),
        ("utxo_created_value_sat_total", "Value of the coins created by connected blocks, in satoshi."),
        ("utxo_spent_value_sat_total", "Value of the coins spent by connected blocks, in satoshi."),
        ("reorgs_total", "Reorganisations; consecutive blocks that leave the active chain count as one."),
        ("reorg_depth_max", "Depth in blocks of the deepest reorganisation since the plugin started."),
    ),
}  # fmt: skip
"""By group: each metric's name, its help, and its tags."""


def _metric(group: str, name: str, help: str, *names: str) -> Metric:
    """Return a row's metric: a counter, and nothing else, ends in `_total`."""
    counter = name.endswith("_total")
    kept = name not in _COUNTED_BY_THE_NODE if counter else name in _KEPT_GAUGES
    values = _VALUES.get(names[0], ()) if names else ()
    return Metric(
        name, "counter" if counter else "gauge", group, help, names, values, "process" if kept else "session"
    )


CATALOGUE: Final = tuple(_metric(group, *row) for group, rows in _TABLE.items() for row in rows)

METRICS: Final = {metric.name: metric for metric in CATALOGUE}
