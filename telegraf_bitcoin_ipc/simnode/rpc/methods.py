"""The JSON-RPC methods that the plugin calls, with the fields that it reads, as Bitcoin Core names them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bitcoin.core import COIN

from telegraf_bitcoin_ipc.simnode.mempool import MAX_USAGE
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc import chain
from telegraf_bitcoin_ipc.simnode.rpc.errors import METHOD_NOT_FOUND, RpcError

RELAY_FEE: Final = 100
"""Satoshi per 1,000 virtual bytes: the default minimum of Core 30."""


def answer(
    model: Model,
    method: str,
    params: Sequence[Any],
    *,
    now: int,
    started: int,
    subversion: str = "/Satoshi:30.99.0/",
) -> object:
    """Return the result of a JSON-RPC call, ready for `json.dumps`; raise RpcError as Bitcoin Core would.

    `now` and the node's start `started` are Unix seconds. Amounts are BTC, as floats; those of getblockstats
    satoshi.
    """
    if method == "uptime":
        return now - started
    if method == "getnetworkinfo":
        return _getnetworkinfo(model, subversion)
    if method not in OF_MODEL:
        raise RpcError(METHOD_NOT_FOUND, "Method not found")
    return OF_MODEL[method](model, *params)


def _estimatesmartfee(model: Model, target: int) -> dict[str, object]:
    """Return the estimate for the highest known target that does not exceed the requested one."""
    known = max((each for each in model.fee_estimates if each <= target), default=None)
    if known is None:
        return {"errors": ["Insufficient data or no feerate found"]}
    return {"feerate": _btc(1_000 * model.fee_estimates[known])}


def _getindexinfo(model: Model) -> dict[str, object]:
    return {
        name: {"synced": height is None, "best_block_height": model.height if height is None else height}
        for name, height in model.indexes.items()
    }


def _getmempoolinfo(model: Model) -> dict[str, object]:
    return {
        "loaded": model.mempool_loaded,
        "size": len(model.mempool),
        "bytes": model.mempool.vbytes,
        "usage": model.mempool.usage,
        "total_fee": _btc(model.mempool.total_fee),
        "maxmempool": MAX_USAGE,
        "mempoolminfee": _btc(RELAY_FEE),
        "minrelaytxfee": _btc(RELAY_FEE),
        "unbroadcastcount": 0,
    }


def _getnetworkinfo(model: Model, subversion: str) -> dict[str, object]:
    return {
        "subversion": subversion,
        "networkactive": True,
        "connections": len(model.peers),
        "connections_in": model.peers.inbound,
        "connections_out": model.peers.outbound,
    }


def _getpeerinfo(model: Model) -> list[dict[str, object]]:
    """Return every peer, the oldest first."""
    return [
        {
            "id": peer.id,
            "network": peer.network,
            **({} if peer.ping is None else {"pingtime": peer.ping}),
            "bytessent_per_msg": dict(peer.sent),
            "bytesrecv_per_msg": dict(peer.received),
            "connection_type": peer.type,
            "transport_protocol_type": peer.transport,
        }
        for peer in model.peers
    ]


def _btc(satoshi: float) -> float:
    return satoshi / int(COIN)


OF_MODEL: Final[Mapping[str, Callable[..., object]]] = {
    "estimatesmartfee": _estimatesmartfee,
    "getblockchaininfo": chain.getblockchaininfo,
    "getblockheader": chain.getblockheader,
    "getblockstats": chain.getblockstats,
    "getchaintips": chain.getchaintips,
    "getindexinfo": _getindexinfo,
    "getmempoolinfo": _getmempoolinfo,
    "getnettotals": lambda model: {
        "totalbytesrecv": model.peers.bytes_received,
        "totalbytessent": model.peers.bytes_sent,
    },
    "getnetworkhashps": chain.getnetworkhashps,
    "getpeerinfo": _getpeerinfo,
    "listbanned": lambda model: [{"address": address} for address in model.peers.bans],
}
METHODS: Final = (*OF_MODEL, "getnetworkinfo", "uptime")
