"""Where each metric comes from in each dialect: one table, and the dialects made from it.

The order of the rows is the order of the calls in a poll.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from telegraf_bitcoin_ipc.collect.absence import Reason
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.tags import (
    CHAIN_TIP_STATUSES,
    CONNECTION_TYPES,
    FEE_TARGETS,
    INDEXES,
    MESSAGES,
    NETWORKS,
    TRANSPORTS,
    Subscription,
)
from telegraf_bitcoin_ipc.ipc.origins import RPC, Call, Followed, Origin, Polled, Pushed
from telegraf_bitcoin_ipc.ipc.rpc_values import (
    Read,
    bytes_by_message,
    count_of,
    directions,
    fee_estimates,
    feerate,
    field,
    number,
    of_indexes,
    pings,
    real,
    real_field,
    satoshi,
    total_of,
    warnings,
)


class Row(NamedTuple):
    """Where a metric comes from with the Chain and Node interfaces, with Mining and Rpc, and with Mining alone."""

    metric: str
    full: Origin
    stock: Origin = None
    mining: Origin = None


def _chain(method: str) -> Call:
    return Call("chain", method)


def _node(method: str, *arguments: tuple[str, Any]) -> Call:
    return Call("node", method, arguments)


def _rpc(method: str, read: Read, **options: Any) -> Polled:
    return Polled(Call(RPC, method, **options), read)


def _result(results: Any) -> int | float:
    return results.result  # type: ignore[no-any-return]


def _truth(results: Any) -> int:
    return int(results.result)


def _notified(method: str) -> Pushed:
    return Pushed(Subscription.CHAIN, method)


def _traced(method: str) -> Pushed:
    return Pushed(Subscription.UTXO_CACHE, method)


def _everywhere(metric: str, method: str, read: Read, **options: Any) -> Row:
    """Return the row of a value that comes from JSON-RPC in every dialect that has JSON-RPC."""
    origin = _rpc(method, read, **options)
    return Row(metric, origin, origin)


ALL_CONNECTIONS: Final = 3
"""Node.getNodeCount's flags: 1 inbound, 2 outbound."""

BLOCK_STATISTICS: Final = (
    "ins", "outs", "subsidy", "time", "total_out", "total_size", "total_weight", "totalfee", "txs",
    "utxo_increase_actual",
)  # fmt: skip
"""The statistics requested from getblockstats, which computes no others."""

BLOCKCHAIN, MEMPOOL, NETWORK, PEERS, STATISTICS = (
    "getblockchaininfo", "getmempoolinfo", "getnetworkinfo", "getpeerinfo", "getblockstats",
)  # fmt: skip


def _block(metric: str, read: Read) -> Row:
    return _everywhere(metric, STATISTICS, read, once_per_tip=True)


_MINING_TIP = Polled(Call("mining", "getTip"), lambda r: r.result.height if r.hasResult else None)
_MINING_IBD = Polled(Call("mining", "isInitialBlockDownload"), _truth)

TABLE: Final = (
    Row("blocks_connected_total", _notified("blockConnected"), Followed.HEADERS),
    Row("blocks_disconnected_total", _notified("blockDisconnected"), Followed.HEADERS),
    Row("mempool_tx_added_total", _notified("transactionAddedToMempool")),
    Row("mempool_tx_removed_total", _notified("transactionRemovedFromMempool")),
    Row("tip_updates_total", _notified("updatedBlockTip"), Followed.TIP, Followed.TIP),
    Row("chain_state_flushes_total", _notified("chainStateFlushed")),
    Row("block_height", _notified("blockConnected"), Followed.TIP, Followed.TIP),
    Row(
        "chain_height",
        Polled(_chain("getHeight"), lambda r: r.result if r.hasResult else None),
        _rpc(BLOCKCHAIN, field("blocks")),
        _MINING_TIP,
    ),
    Row("ibd", Polled(_chain("isInitialBlockDownload"), _truth), _MINING_IBD, _MINING_IBD),
    Row(
        "header_height",
        Polled(_node("getHeaderTip"), lambda r: r.height if r.result else None),
        _rpc(BLOCKCHAIN, field("headers")),
    ),
    Row(
        "verification_progress",
        Polled(_node("getVerificationProgress"), _result),
        _rpc(BLOCKCHAIN, real_field("verificationprogress")),
    ),
    Row("mempool_size", Polled(_node("getMempoolSize"), _result), _rpc(MEMPOOL, field("size"))),
    Row("mempool_bytes", Polled(_node("getMempoolDynamicUsage"), _result), _rpc(MEMPOOL, field("usage"))),
    Row("mempool_max_bytes", Polled(_node("getMempoolMaxUsage"), _result), _rpc(MEMPOOL, field("maxmempool"))),
    Row(
        "peers",
        Polled(_node("getNodeCount", ("flags", ALL_CONNECTIONS)), _result),
        _rpc(NETWORK, field("connections")),
    ),
    Row(
        "bytes_recv_total",
        Polled(_node("getTotalBytesRecv"), _result),
        _rpc("getnettotals", field("totalbytesrecv")),
    ),
    Row(
        "bytes_sent_total",
        Polled(_node("getTotalBytesSent"), _result),
        _rpc("getnettotals", field("totalbytessent")),
    ),
    Row("utxo_cache_add_total", _traced("add")),
    Row("utxo_cache_spend_total", _traced("spend")),
    Row("utxo_cache_uncache_total", _traced("uncache")),
    Row("utxo_cache_add_value_total", _traced("add")),
    Row("utxo_cache_spend_value_total", _traced("spend")),
    Row("utxo_cache_uncache_value_total", _traced("uncache")),
    Row("utxo_cache_add_unconfirmed_total", _traced("add")),
    Row("mempool_tx_removed_by_reason_total", _notified("transactionRemovedFromMempool")),
    Row("mempool_tx_added_vbytes_total", _notified("transactionAddedToMempool")),
    Row("mempool_tx_confirmed_total", _notified("blockConnected"), Followed.HEADERS),
    _everywhere("mempool_vbytes", MEMPOOL, field("bytes")),
    _everywhere("mempool_min_fee_sat_per_vb", MEMPOOL, feerate("mempoolminfee")),
    _everywhere("mempool_relay_min_fee_sat_per_vb", MEMPOOL, feerate("minrelaytxfee")),
    _everywhere("mempool_total_fee_sat", MEMPOOL, satoshi("total_fee")),
    _everywhere("mempool_unbroadcast", MEMPOOL, field("unbroadcastcount")),
    _everywhere("mempool_loaded", MEMPOOL, field("loaded")),
    _everywhere("difficulty", BLOCKCHAIN, real_field("difficulty")),
    _everywhere("chain_size_on_disk_bytes", BLOCKCHAIN, field("size_on_disk")),
    _everywhere("chain_pruned", BLOCKCHAIN, field("pruned")),
    _everywhere("chain_prune_height", BLOCKCHAIN, field("pruneheight")),
    _everywhere("chain_tip_timestamp_seconds", BLOCKCHAIN, field("time")),
    _everywhere("chain_tip_median_timestamp_seconds", BLOCKCHAIN, field("mediantime")),
    _everywhere("node_warnings", BLOCKCHAIN, warnings),
    _everywhere("uptime_seconds", "uptime", number),
    _everywhere("network_hashrate", "getnetworkhashps", real),
    _everywhere("chain_tips", "getchaintips", count_of("status", CHAIN_TIP_STATUSES), once_per_tip=True),
    _everywhere("index_synced", "getindexinfo", of_indexes("synced", INDEXES)),
    _everywhere("index_height", "getindexinfo", of_indexes("best_block_height", INDEXES)),
    _everywhere("network_active", NETWORK, field("networkactive")),
    _everywhere("peers_by_direction", NETWORK, directions),
    _everywhere("connections_by_network", PEERS, count_of("network", NETWORKS)),
    _everywhere("connections_by_type", PEERS, count_of("connection_type", CONNECTION_TYPES)),
    _everywhere("peers_by_transport", PEERS, count_of("transport_protocol_type", TRANSPORTS)),
    _everywhere("peer_ping_seconds", PEERS, pings),
    _everywhere("p2p_bytes_recv_total", PEERS, bytes_by_message("bytesrecv_per_msg", MESSAGES)),
    _everywhere("p2p_bytes_sent_total", PEERS, bytes_by_message("bytessent_per_msg", MESSAGES)),
    _everywhere("banned_peers", "listbanned", len),
    _everywhere("fee_estimate_sat_per_vb", "estimatesmartfee", fee_estimates, each=FEE_TARGETS),
    _block("last_block_transactions", field("txs")),
    _block("last_block_inputs", field("ins")),
    _block("last_block_outputs", field("outs")),
    _block("last_block_size_bytes", field("total_size")),
    _block("last_block_weight", field("total_weight")),
    _block("last_block_fee_sat", field("totalfee")),
    _block("last_block_subsidy_sat", field("subsidy")),
    _block("last_block_value_sat", field("total_out")),
    _block("last_block_timestamp_seconds", field("time")),
    _block("utxo_created_total", total_of("ins", "utxo_increase_actual")),
    _block("utxo_spent_total", field("ins")),
    _block("utxo_created_value_sat_total", total_of("total_out", "totalfee", "subsidy")),
    _block("utxo_spent_value_sat_total", total_of("total_out", "totalfee")),
    Row("reorgs_total", _notified("blockDisconnected"), Followed.HEADERS),
    Row("reorg_depth_max", _notified("blockDisconnected"), Followed.HEADERS),
)
"""One row per metric, in polling order."""


def _lacking(row: Row) -> Reason:
    """Return which interface is missing on a node that does not offer the row's metric."""
    if isinstance(row.full, Pushed) and row.full.subscription is Subscription.UTXO_CACHE:
        return Reason.NO_TRACING
    return Reason.NO_CHAIN if row.stock is None else Reason.NO_RPC


_LACKING: Final = {row.metric: _lacking(row) for row in TABLE}


@dataclass(frozen=True, slots=True)
class Source:
    """One call, and the reader of each metric whose value it returns."""

    call: Call
    values: Mapping[str, Read]

    @property
    def name(self) -> str:
        """The call's name."""
        return self.call.name

    @property
    def once_per_tip(self) -> bool:
        """Whether its values change only with a new tip."""
        return self.call.once_per_tip

    def of_block(self, block: str | int) -> "Source":
        """Return the source for one block, named by its hash or its height."""
        arguments = (("hash_or_height", block), ("stats", BLOCK_STATISTICS))
        return replace(self, call=replace(self.call, arguments=arguments))


@dataclass(frozen=True)
class Dialect:
    """A kind of node: its name, where each metric comes from, and the subscriptions that it offers."""

    name: str
    origins: Mapping[str, Origin]
    subscriptions: tuple[Subscription, ...] = ()

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        values: dict[Call, dict[str, Read]] = {}
        for metric, origin in self.origins.items():
            if isinstance(origin, Polled):
                values.setdefault(origin.call, {})[metric] = origin.read
        return tuple(Source(call, MappingProxyType(reads)) for call, reads in values.items())

    def polled(self, fee_targets: Iterable[int] = FEE_TARGETS) -> Iterator[Source]:
        """Yield the sources of a poll, in order."""
        for source in self._sources:
            if source.call.method == STATISTICS:
                continue
            if source.call.each:
                source = replace(source, call=replace(source.call, each=tuple(fee_targets)))
            yield source

    @property
    def statistics(self) -> Source | None:
        """The source of each new block's statistics; None without JSON-RPC."""
        return next((source for source in self._sources if source.call.method == STATISTICS), None)

    def missing(self, metric: str) -> Reason | None:
        """Return which interface the node lacks for a metric; None if it lacks none."""
        return _LACKING[metric] if self.origins.get(metric, ...) is None else None

    def subscription(self, metric: str) -> Subscription | None:
        """Return the subscription that a metric is made from, if there is one."""
        origin = self.origins.get(metric)
        return origin.subscription if isinstance(origin, Pushed) else None

    def once_per_tip(self, metric: str) -> bool:
        """Return whether a metric is polled once per new tip, and not during initial block download."""
        origin = self.origins.get(metric)
        return isinstance(origin, Polled) and origin.call.once_per_tip

    def calls(self, group: str) -> list[Call]:
        """Return the calls that give the metrics of a group, in polling order."""
        origins = (origin for metric, origin in self.origins.items() if METRICS[metric].group == group)
        return list(dict.fromkeys(origin.call for origin in origins if isinstance(origin, Polled)))

    def event_metrics(self, *kinds: Subscription | Followed) -> list[str]:
        """Return the metrics made from a subscription, or from following the tip."""
        return [
            metric
            for metric, origin in self.origins.items()
            if (origin.subscription if isinstance(origin, Pushed) else origin) in kinds
        ]


def _dialect(name: str, origin: Callable[[Row], Origin], *subscriptions: Subscription) -> Dialect:
    """Return the dialect with each row's `origin`; metrics of other subscriptions than these have none."""
    origins = {row.metric: origin(row) for row in TABLE}
    for metric, where in origins.items():
        if isinstance(where, Pushed) and where.subscription not in subscriptions:
            origins[metric] = None
    return Dialect(name, MappingProxyType(origins), subscriptions)


TRACING = _dialect("tracing", lambda row: row.full, Subscription.CHAIN, Subscription.UTXO_CACHE)
CHAIN = _dialect("chain", lambda row: row.full, Subscription.CHAIN)
STOCK = _dialect("stock", lambda row: row.stock)
STOCK_31 = _dialect("stock-31", lambda row: row.mining)
STOCK_30 = _dialect("stock-30", lambda row: row.mining)

DIALECTS: Final = (TRACING, CHAIN, STOCK, STOCK_31, STOCK_30)
"""The supported kinds of node."""

BY_NAME: Final = {dialect.name: dialect for dialect in DIALECTS}

READ_ONLY: Final = tuple(
    sorted(
        {source.call.method for dialect in DIALECTS for source in dialect._sources if source.call.interface == RPC}
        | {Followed.HEADERS.value}
    )
)
"""Every JSON-RPC method that is ever called; all are read-only."""
