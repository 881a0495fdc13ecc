"""The catalogue: one row per metric, and nothing that is not in it is ever sent.

METRICS.md, the type lists of the Telegraf configuration and the store's rules are made from it.
Names and meanings are the public interface: they do not change within a major version.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

MEASUREMENT: Final = "bitcoin"
"""Line protocol measurement; Telegraf's Prometheus output joins it to the field name with an underscore."""

UNKNOWN: Final = "unknown"
"""Stands in for a tag value outside its fixed set, or one that the node did not tell."""

REMOVAL_REASONS: Final = ("expiry", "sizelimit", "reorg", "block", "conflict", "replaced")
"""Bitcoin Core's MemPoolRemovalReason, in the order of its numbers (0 to 5)."""

SUBSCRIPTIONS: Final = ("chain", "utxo_cache")

GROUPS: Final = {
    "core": "what ipc-exporter-rust offers, under the same names",
    "plugin": "about the plugin itself",
    "mempool": "the mempool in more detail",
}
"""Every group with what it holds."""

ALWAYS_ON: Final = frozenset({"core", "plugin"})

MetricType = Literal["counter", "gauge"]
Lifetime = Literal["process", "session"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `name` is the line protocol field, `bitcoin_<name>` what Prometheus shows.

    `tags` names its tags and `values` lists the whole set of values of its only tag (empty: free, but few).
    `lifetime` says when its value is forgotten: a counter that this process keeps lives as long as the
    process; what the node told goes with the session.
    """

    name: str
    type: MetricType
    group: str
    source: str
    help: str
    tags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    lifetime: Lifetime = "session"

    def __post_init__(self) -> None:
        """Refuse a row that would break the naming rules of Prometheus or of this project."""
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", self.name):
            raise ValueError(f"{self.name}: not a metric name")
        if (self.type == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: a counter, and nothing else, ends in _total")
        if self.group not in GROUPS:
            raise ValueError(f"{self.name}: there is no group {self.group}")
        if self.values and len(self.tags) != 1:
            raise ValueError(f"{self.name}: a set of values needs exactly one tag")


def _counted(
    name: str, group: str, source: str, help: str, tag: str | None = None, values: tuple[str, ...] = ()
) -> Metric:
    """Return a counter that this process keeps."""
    return Metric(name, "counter", group, source, help, (tag,) if tag else (), values, "process")


def _told(name: str, group: str, source: str, help: str) -> Metric:
    """Return a gauge with what the node said last."""
    return Metric(name, "gauge", group, source, help)


_NOTIFIED = "ChainNotifications."
_TRACED = "UtxoCacheTrace."
_SCRATCH = (
    "The trace reports the activity of the coins cache, scratch views included "
    "(block templates, -checkmempool): it is not the change of the UTXO set."
)

CATALOGUE: Final[tuple[Metric, ...]] = (
    _counted(
        "blocks_connected_total", "core", _NOTIFIED + "blockConnected",
        "Blocks connected to the active chain (those of an assumeutxo background chainstate left out).",
    ),
    _counted(
        "blocks_disconnected_total", "core", _NOTIFIED + "blockDisconnected",
        "Blocks taken off the active chain by a reorganisation.",
    ),
    _counted(
        "mempool_tx_added_total", "core", _NOTIFIED + "transactionAddedToMempool",
        "Transactions that entered the mempool, those that a disconnected block returned included.",
    ),
    _counted(
        "mempool_tx_removed_total", "core", _NOTIFIED + "transactionRemovedFromMempool",
        "Transactions that left the mempool without being confirmed. The node sends no removal for a "
        "confirmed transaction: mempool_tx_confirmed_total counts those.",
    ),
    _counted(
        "tip_updates_total", "core", _NOTIFIED + "updatedBlockTip",
        "Times the node announced a new tip (a disconnected block alone announces none).",
    ),
    _counted(
        "chain_state_flushes_total", "core", _NOTIFIED + "chainStateFlushed",
        "Times the node wrote its coins cache to disk.",
    ),
    _told(
        "block_height", "core", _NOTIFIED + "blockConnected",
        "Height of the block connected last; absent until one is connected.",
    ),
    _told("chain_height", "core", "Chain.getHeight", "Height of the tip of the active chain."),
    _told("header_height", "core", "Node.getHeaderTip", "Height of the best known header."),
    _told("ibd", "core", "Chain.isInitialBlockDownload", "1 during initial block download, else 0."),
    _told(
        "verification_progress", "core", "Node.getVerificationProgress",
        "The node's estimate of how much of the chain it has verified, 0 to 1.",
    ),
    _told("mempool_size", "core", "Node.getMempoolSize", "Transactions in the mempool."),
    _told("mempool_bytes", "core", "Node.getMempoolDynamicUsage", "Memory that the mempool uses, in bytes."),
    _told(
        "mempool_max_bytes", "core", "Node.getMempoolMaxUsage", "Memory that the mempool may use, in bytes."
    ),
    _told("peers", "core", "Node.getNodeCount", "Connected peers, inbound and outbound."),
    Metric(
        "bytes_recv_total", "counter", "core", "Node.getTotalBytesRecv",
        "Bytes received from peers, as the node counts them: starts again with the node.",
    ),
    Metric(
        "bytes_sent_total", "counter", "core", "Node.getTotalBytesSent",
        "Bytes sent to peers, as the node counts them: starts again with the node.",
    ),
    _counted(
        "utxo_cache_add_total", "core", _TRACED + "add",
        "Coins added to the UTXO cache. " + _SCRATCH,
    ),
    _counted(
        "utxo_cache_spend_total", "core", _TRACED + "spend",
        "Coins spent from the UTXO cache. " + _SCRATCH,
    ),
    _counted(
        "utxo_cache_uncache_total", "core", _TRACED + "uncache",
        "Coins dropped from the UTXO cache because nothing in the mempool spends them any more. " + _SCRATCH,
    ),
    _counted(
        "utxo_cache_add_value_total", "core", _TRACED + "add",
        "Value of the coins added to the UTXO cache, in satoshi. " + _SCRATCH,
    ),
    _counted(
        "utxo_cache_spend_value_total", "core", _TRACED + "spend",
        "Value of the coins spent from the UTXO cache, in satoshi. " + _SCRATCH,
    ),
    _counted(
        "utxo_cache_uncache_value_total", "core", _TRACED + "uncache",
        "Value of the coins dropped from the UTXO cache, in satoshi. " + _SCRATCH,
    ),
    _counted(
        "utxo_cache_add_unconfirmed_total", "core", _TRACED + "add",
        "Those of the coins added that belong to no block (height 2147483647): scratch views only.",
    ),
    Metric("up", "gauge", "plugin", "the last poll", "1 while the node answers, else 0.", lifetime="process"),
    Metric(
        "node_info", "gauge", "plugin", "getnetworkinfo, getblockchaininfo",
        "Always 1; tells the node's subversion, its chain and the dialect of its IPC interface.",
        ("version", "chain", "dialect"),
    ),
    Metric(
        "plugin_info", "gauge", "plugin", "the plugin", "Always 1; tells the plugin's version.",
        ("version",), lifetime="process",
    ),
    _counted("connects_total", "plugin", "the plugin", "Sessions opened with the node."),
    _counted(
        "poll_errors_total", "plugin", "the plugin",
        "Polled values that the node did not give; the series of a method starts when it is first polled.",
        "method",
    ),
    _told("poll_duration_seconds", "plugin", "the plugin", "How long the last poll took."),
    _told("last_poll_timestamp_seconds", "plugin", "the plugin", "When the last poll ended, in Unix time."),
    Metric(
        "subscription_active", "gauge", "plugin", "the plugin", "1 while the subscription stands, else 0.",
        ("subscription",), SUBSCRIPTIONS, "process",
    ),
    _counted(
        "events_dropped_total", "plugin", "the plugin",
        "Events that were answered but could not be handed on, and are missing in the counters made from "
        "events.",
    ),
    _counted(
        "lines_dropped_total", "plugin", "the plugin",
        "Lines of output that Telegraf did not take in time; the newest are kept.",
    ),
    _counted(
        "mempool_tx_removed_by_reason_total", "mempool", _NOTIFIED + "transactionRemovedFromMempool",
        "Transactions that left the mempool without being confirmed, by reason; the node never sends "
        "`block`.",
        "reason", (*REMOVAL_REASONS, UNKNOWN),
    ),
    _counted(
        "mempool_tx_added_vbytes_total", "mempool", _NOTIFIED + "transactionAddedToMempool",
        "Virtual size (BIP 141) of the transactions that entered the mempool, in virtual bytes.",
    ),
    _counted(
        "mempool_tx_confirmed_total", "mempool", _NOTIFIED + "blockConnected",
        "Transactions of the blocks connected to the active chain, coinbase left out.",
    ),
)  # fmt: skip

METRICS: Final = {metric.name: metric for metric in CATALOGUE}


def prometheus_names(metric_type: MetricType) -> list[str]:
    """Return the names, as Prometheus shows them, of all metrics of a type, in catalogue order."""
    return [f"{MEASUREMENT}_{metric.name}" for metric in CATALOGUE if metric.type == metric_type]
