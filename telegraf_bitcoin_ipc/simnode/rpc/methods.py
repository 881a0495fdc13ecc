"""Every JSON-RPC method of the simulated node: its parameters, and what answers it.

Fields, types and errors are those of Bitcoin Core 30.99 and 31.99, the values the model's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from telegraf_bitcoin_ipc.simnode.rpc import chain as chain_
from telegraf_bitcoin_ipc.simnode.rpc import mempool, network, node
from telegraf_bitcoin_ipc.simnode.rpc.blockstats import getblockstats
from telegraf_bitcoin_ipc.simnode.rpc.errors import METHOD_NOT_FOUND, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.parameters import Parameter, values
from telegraf_bitcoin_ipc.simnode.rpc.request import Request
from telegraf_bitcoin_ipc.simnode.state import State


@dataclass(frozen=True, slots=True)
class Method:
    """How to answer a method, and its parameters."""

    answer: Callable[[Request], object]
    parameters: tuple[Parameter, ...] = ()


METHODS: Final[Mapping[str, Method]] = {
    "estimatesmartfee": Method(
        mempool.estimatesmartfee,
        (
            Parameter("conf_target", "number"),
            Parameter("estimate_mode", "string", optional=True, default="economical"),
        ),
    ),
    "getbestblockhash": Method(chain_.getbestblockhash),
    "getblockchaininfo": Method(chain_.getblockchaininfo),
    "getblockcount": Method(chain_.getblockcount),
    "getblockhash": Method(chain_.getblockhash, (Parameter("height", "number"),)),
    "getblockheader": Method(
        chain_.getblockheader,
        (Parameter("blockhash", "string"), Parameter("verbose", "bool", optional=True, default=True)),
    ),
    "getblockstats": Method(
        getblockstats, (Parameter("hash_or_height", "any"), Parameter("stats", "array", optional=True))
    ),
    "getchaintips": Method(chain_.getchaintips),
    "getindexinfo": Method(node.getindexinfo, (Parameter("index_name", "string", optional=True, default=""),)),
    "getmempoolinfo": Method(mempool.getmempoolinfo),
    "getnettotals": Method(network.getnettotals),
    "getnetworkhashps": Method(
        chain_.getnetworkhashps,
        (
            Parameter("nblocks", "number", optional=True, default=120),
            Parameter("height", "number", optional=True, default=-1),
        ),
    ),
    "getnetworkinfo": Method(network.getnetworkinfo),
    "getpeerinfo": Method(network.getpeerinfo),
    "listbanned": Method(network.listbanned),
    "uptime": Method(node.uptime),
}


def answer(
    model: State,
    method: str,
    params: object,
    *,
    now: int,
    started: int,
    subversion: str = "/Satoshi:30.99.0/",
    chain: str = "regtest",
) -> object:
    """Return the result of a JSON-RPC call, ready for `json.dumps`; raise RpcError as Bitcoin Core would.

    `params` are by position or by name. `now` and the node's start `started` are Unix seconds. Amounts are BTC,
    as floats; those of getblockstats satoshi.
    """
    if method not in METHODS:
        raise RpcError(METHOD_NOT_FOUND, "Method not found")
    given = values(method, METHODS[method].parameters, params)
    return METHODS[method].answer(Request(model, given, now, started, subversion, chain))
