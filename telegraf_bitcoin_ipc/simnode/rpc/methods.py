"""The JSON-RPC methods that the plugin calls, with the fields that it reads, as Bitcoin Core names them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bitcoin.core import COIN

from telegraf_bitcoin_ipc.simnode.mempool import MAX_USAGE
from telegraf_bitcoin_ipc.simnode.rpc import chain
from telegraf_bitcoin_ipc.simnode.rpc.errors import METHOD_NOT_FOUND, RpcError
from telegraf_bitcoin_ipc.simnode.state import State

RELAY_FEE: Final = 100
"""Satoshi per 1,000 virtual bytes: the default minimum of Core 30."""


@dataclass(frozen=True, slots=True)
class Process:
    """The node as a process: the time now and at its start (Unix seconds), and its version."""

    now: int
    started: int
    subversion: str


def answer(
    model: State,
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
    if method in OF_STATE:
        return OF_STATE[method](model, *params)
    if method in OF_PROCESS:
        return OF_PROCESS[method](model, Process(now, started, subversion))
    raise RpcError(METHOD_NOT_FOUND, "Method not found")


def _estimatesmartfee(model: State, target: int) -> dict[str, object]:
    """Return the estimate for the highest known target that does not exceed the requested one."""
    known = max((each for each in model.fee_estimates if each <= target), default=None)
    if known is None:
        return {"errors": ["Insufficient data or no feerate found"]}
    return {"feerate": _btc(1_000 * model.fee_estimates[known])}


def _getindexinfo(model: State) -> dict[str, object]:
    return {
        name: {"synced": height is None, "best_block_height": model.height if height is None else height}
        for name, height in model.indexes.items()
    }


def _getmempoolinfo(model: State) -> dict[str, object]:
    return {
        "loaded": model.mempool_loaded,
        "size": model.mempool_size,
        "bytes": model.mempool.vbytes,
        "usage": model.mempool.usage,
        "total_fee": _btc(model.mempool.total_fee),
        "maxmempool": MAX_USAGE,
        "mempoolminfee": _btc(RELAY_FEE),
        "minrelaytxfee": _btc(RELAY_FEE),
        "unbroadcastcount": 0,
    }


def _getnettotals(model: State) -> dict[str, object]:
    return {"totalbytesrecv": model.peers.bytes_received, "totalbytessent": model.peers.bytes_sent}


def _getnetworkinfo(model: State, process: Process) -> dict[str, object]:
    return {
        "subversion": process.subversion,
        "networkactive": True,
        "connections": len(model.peers),
        "connections_in": model.peers.inbound,
        "connections_out": model.peers.outbound,
    }


def _getpeerinfo(model: State) -> list[dict[str, object]]:
    """Return every peer, the oldest first."""
    return [
        {
            "id": peer.id,
            "network": peer.network,
            **({} if peer.ping is None else {"pingtime": peer.ping}),
            "bytessent_per_msg": dict(peer.sent),
            "bytesrecv_per_msg": dict(peer.received),
            "connection_type": peer.connection_type,
            "transport_protocol_type": peer.transport,
        }
        for peer in model.peers
    ]


def _listbanned(model: State) -> list[dict[str, object]]:
    return [{"address": address} for address in model.peers.bans]


def _uptime(model: State, process: Process) -> int:
    return process.now - process.started


def _btc(satoshi: float) -> float:
    return satoshi / int(COIN)


OF_STATE: Final[Mapping[str, Callable[..., object]]] = {
    "estimatesmartfee": _estimatesmartfee,
    "getblockchaininfo": chain.getblockchaininfo,
    "getblockheader": chain.getblockheader,
    "getblockstats": chain.getblockstats,
    "getchaintips": chain.getchaintips,
    "getindexinfo": _getindexinfo,
    "getmempoolinfo": _getmempoolinfo,
    "getnettotals": _getnettotals,
    "getnetworkhashps": chain.getnetworkhashps,
    "getpeerinfo": _getpeerinfo,
    "listbanned": _listbanned,
}
OF_PROCESS: Final[Mapping[str, Callable[[State, Process], object]]] = {
    "getnetworkinfo": _getnetworkinfo,
    "uptime": _uptime,
}
METHODS: Final = (*OF_STATE, *OF_PROCESS)
