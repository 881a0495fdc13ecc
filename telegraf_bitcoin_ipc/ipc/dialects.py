"""Where each metric comes from in each dialect: one table, in polling order, and the dialects made from it."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from telegraf_bitcoin_ipc.collect import tags
from telegraf_bitcoin_ipc.collect.dialect import (
    RPC,
    STATISTICS,
    Call,
    Dialect,
    Followed,
    Origin,
    Polled,
    Pushed,
    Reason,
)
from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.collect.values import Read
from telegraf_bitcoin_ipc.ipc import rpc_values as read
from telegraf_bitcoin_ipc.ipc.rpc_values import field


class Row(NamedTuple):
    """Where a metric comes from with the Chain and Node interfaces, with Mining and Rpc, and with Mining alone."""

    metric: str
    full: Origin
    stock: Origin = None
    mining: Origin = None


def _call(interface: str, method: str, reader: Read = lambda r: r.result, **arguments: Any) -> Polled:
    return Polled(Call(interface, method, tuple(arguments.items())), reader)


def _rpc(method: str, reader: Read, **options: Any) -> Polled:
    return Polled(Call(RPC, method, **options), reader)


def _truth(results: Any) -> int:
    return int(results.result)


def _notified(method: str) -> Pushed:
    return Pushed(Subscription.CHAIN, method)


def _traced(method: str) -> Pushed:
    return Pushed(Subscription.UTXO_CACHE, method)


def _everywhere(metric: str, method: str, reader: Read, **options: Any) -> Row:
    """Return the row of a value that comes from JSON-RPC in every dialect that has JSON-RPC."""
    origin = _rpc(method, reader, **options)
    return Row(metric, origin, origin)


def _block(metric: str, reader: Read) -> Row:
    return _everywhere(metric, STATISTICS, reader, arguments=(("stats", BLOCK_STATISTICS),), once_per_tip=True)


ALL_CONNECTIONS: Final = 3
"""Node.getNodeCount's flags: 1 inbound, 2 outbound."""

BLOCK_STATISTICS: Final = (
    "ins", "outs", "subsidy", "time", "total_out", "total_size", "total_weight", "totalfee", "txs",
    "utxo_increase_actual",
)  # fmt: skip
"""The statistics requested from getblockstats, which computes no others."""

BLOCKCHAIN, MEMPOOL, NETWORK, PEERS = "getblockchaininfo", "getmempoolinfo", "getnetworkinfo", "getpeerinfo"

_MINING_TIP = _call("mining", "getTip", lambda r: r.result.height if r.hasResult else None)
_MINING_IBD = _call("mining", "isInitialBlockDownload", _truth)

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
        _call("chain", "getHeight", lambda r: r.result if r.hasResult else None),
        _rpc(BLOCKCHAIN, field("blocks")),
        _MINING_TIP,
    ),
    Row("ibd", _call("chain", "isInitialBlockDownload", _truth), _MINING_IBD, _MINING_IBD),
    Row(
        "header_height",
        _call("node", "getHeaderTip", lambda r: r.height if r.result else None),
        _rpc(BLOCKCHAIN, field("headers")),
    ),
    Row(
        "verification_progress",
        _call("node", "getVerificationProgress"),
        _rpc(BLOCKCHAIN, field("verificationprogress", read.real)),
    ),
    Row("mempool_size", _call("node", "getMempoolSize"), _rpc(MEMPOOL, field("size"))),
    Row("mempool_bytes", _call("node", "getMempoolDynamicUsage"), _rpc(MEMPOOL, field("usage"))),
    Row("mempool_max_bytes", _call("node", "getMempoolMaxUsage"), _rpc(MEMPOOL, field("maxmempool"))),
    Row("peers", _call("node", "getNodeCount", flags=ALL_CONNECTIONS), _rpc(NETWORK, field("connections"))),
    Row("bytes_recv_total", _call("node", "getTotalBytesRecv"), _rpc("getnettotals", field("totalbytesrecv"))),
    Row("bytes_sent_total", _call("node", "getTotalBytesSent"), _rpc("getnettotals", field("totalbytessent"))),
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
    _everywhere("mempool_min_fee_sat_per_vb", MEMPOOL, field("mempoolminfee", read.feerate)),
    _everywhere("mempool_relay_min_fee_sat_per_vb", MEMPOOL, field("minrelaytxfee", read.feerate)),
    _everywhere("mempool_total_fee_sat", MEMPOOL, field("total_fee", read.satoshi)),
    _everywhere("mempool_unbroadcast", MEMPOOL, field("unbroadcastcount")),
    _everywhere("mempool_loaded", MEMPOOL, field("loaded")),
    _everywhere("difficulty", BLOCKCHAIN, field("difficulty", read.real)),
    _everywhere("chain_size_on_disk_bytes", BLOCKCHAIN, field("size_on_disk")),
    _everywhere("chain_pruned", BLOCKCHAIN, field("pruned")),
    _everywhere("chain_prune_height", BLOCKCHAIN, field("pruneheight")),
    _everywhere("chain_tip_timestamp_seconds", BLOCKCHAIN, field("time")),
    _everywhere("chain_tip_median_timestamp_seconds", BLOCKCHAIN, field("mediantime")),
    _everywhere("node_warnings", BLOCKCHAIN, read.warnings),
    _everywhere("uptime_seconds", "uptime", read.number),
    _everywhere("network_hashrate", "getnetworkhashps", read.real),
    _everywhere("chain_tips", "getchaintips", read.count_of("status", tags.CHAIN_TIP_STATUSES), once_per_tip=True),
    _everywhere("index_synced", "getindexinfo", read.of_indexes("synced", tags.INDEXES)),
    _everywhere("index_height", "getindexinfo", read.of_indexes("best_block_height", tags.INDEXES)),
    _everywhere("network_active", NETWORK, field("networkactive")),
    _everywhere("peers_by_direction", NETWORK, read.directions),
    _everywhere("connections_by_network", PEERS, read.count_of("network", tags.NETWORKS)),
    _everywhere("connections_by_type", PEERS, read.count_of("connection_type", tags.CONNECTION_TYPES)),
    _everywhere("peers_by_transport", PEERS, read.count_of("transport_protocol_type", tags.TRANSPORTS)),
    _everywhere("peer_ping_seconds", PEERS, read.pings),
    _everywhere("p2p_bytes_recv_total", PEERS, read.bytes_by_message("bytesrecv_per_msg", tags.MESSAGES)),
    _everywhere("p2p_bytes_sent_total", PEERS, read.bytes_by_message("bytessent_per_msg", tags.MESSAGES)),
    _everywhere("banned_peers", "listbanned", len),
    _everywhere("fee_estimate_sat_per_vb", "estimatesmartfee", read.fee_estimates, each=tags.FEE_TARGETS),
    _block("last_block_transactions", field("txs")),
    _block("last_block_inputs", field("ins")),
    _block("last_block_outputs", field("outs")),
    _block("last_block_size_bytes", field("total_size")),
    _block("last_block_weight", field("total_weight")),
    _block("last_block_fee_sat", field("totalfee")),
    _block("last_block_subsidy_sat", field("subsidy")),
    _block("last_block_value_sat", field("total_out")),
    _block("last_block_timestamp_seconds", field("time")),
    _block("utxo_created_total", read.total_of("ins", "utxo_increase_actual")),
    _block("utxo_spent_total", field("ins")),
    _block("utxo_created_value_sat_total", read.total_of("total_out", "totalfee", "subsidy")),
    _block("utxo_spent_value_sat_total", read.total_of("total_out", "totalfee")),
    Row("reorgs_total", _notified("blockDisconnected"), Followed.HEADERS),
    Row("reorg_depth_max", _notified("blockDisconnected"), Followed.HEADERS),
)
"""One row per metric, in polling order."""


def _lacking(row: Row) -> Reason:
    """Return which interface is missing on a node that does not offer the row's metric."""
    if isinstance(row.full, Pushed) and row.full.subscription is Subscription.UTXO_CACHE:
        return Reason.NO_TRACING
    return Reason.NO_CHAIN if row.stock is None else Reason.NO_RPC


def _dialect(name: str, origin: Callable[[Row], Origin], *subscriptions: Subscription) -> Dialect:
    """Return the dialect with each row's `origin`; metrics of other subscriptions than these have none."""
    origins = {row.metric: origin(row) for row in TABLE}
    for metric, where in origins.items():
        if isinstance(where, Pushed) and where.subscription not in subscriptions:
            origins[metric] = None
    lacking = {row.metric: _lacking(row) for row in TABLE if origins[row.metric] is None}
    return Dialect(name, origins, lacking, subscriptions)


def with_events(name: str, *subscriptions: Subscription) -> Dialect:
    """Return a dialect with JSON-RPC whose events come from subscriptions: polled values are those of `stock`."""
    return _dialect(name, lambda row: row.full if isinstance(row.full, Pushed) else row.stock, *subscriptions)


TRACING = _dialect("tracing", lambda row: row.full, Subscription.CHAIN, Subscription.UTXO_CACHE)
CHAIN = _dialect("chain", lambda row: row.full, Subscription.CHAIN)
STOCK_CHAIN = with_events("stock-chain", Subscription.CHAIN)
STOCK = _dialect("stock", lambda row: row.stock)
STOCK_31 = _dialect("stock-31", lambda row: row.mining)
STOCK_30 = _dialect("stock-30", lambda row: row.mining)

DIALECTS: Final = (TRACING, CHAIN, STOCK_CHAIN, STOCK, STOCK_31, STOCK_30)
"""The supported kinds of node, the richest first."""

BY_NAME: Final = {dialect.name: dialect for dialect in DIALECTS}

READ_ONLY: Final = tuple(
    sorted(
        {source.call.method for dialect in DIALECTS for source in dialect.sources if source.call.interface == RPC}
        | {Followed.HEADERS.value}
    )
)
"""Every JSON-RPC method that is ever called; all are read-only."""
