"""The simulated node's JSON-RPC answers: the fields of Bitcoin Core 30.99, the values of the model."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bitcoin.core import COIN, CBlockHeader

from telegraf_bitcoin_ipc.simnode.chain import BITS, TARGET
from telegraf_bitcoin_ipc.simnode.state import State

RPC_MISC_ERROR = -1
RPC_TYPE_ERROR = -3
RPC_INVALID_PARAMETER = -8
RPC_METHOD_NOT_FOUND = -32601

PROTOCOL_VERSION = 70016
RELAY_FEE = 100  # satoshi per 1,000 virtual bytes: Core 30's default of the minimum and the incremental one
SERVICES = {"NETWORK": 1 << 0, "WITNESS": 1 << 3, "NETWORK_LIMITED": 1 << 10, "P2P_V2": 1 << 11}
# Every network Core names, and whether a node reaches it without any configuration.
NETWORKS = {"ipv4": True, "ipv6": True, "onion": False, "i2p": False, "cjdns": False}
UPLOAD_TIMEFRAME = 24 * 60 * 60  # seconds


class RpcError(Exception):
    """A JSON-RPC error: Bitcoin Core's `code` and `message`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class _Request:
    """A call whose parameters have the right number and types, and what an answer is made from."""

    model: State
    params: list[object]
    now: int
    started: int
    subversion: str
    chain: str


@dataclass(frozen=True, slots=True)
class _Method:
    """How to answer a method, and the names of its parameters, all of them required and numbers."""

    answer: Callable[[_Request], object]
    numbers: tuple[str, ...] = ()


def answer(
    model: State,
    method: str,
    params: list[object],
    *,
    now: int,
    started: int,
    subversion: str = "/Satoshi:30.99.0/",
    chain: str = "regtest",
) -> object:
    """Return the result of a JSON-RPC call, ready for `json.dumps`; raise RpcError as Bitcoin Core would.

    `now` and the node's start `started` are Unix seconds. Amounts are BTC, as floats.
    """
    if method not in METHODS:
        raise RpcError(RPC_METHOD_NOT_FOUND, "Method not found")
    _check(method, params)
    return METHODS[method].answer(_Request(model, params, now, started, subversion, chain))


def _check(method: str, params: list[object]) -> None:
    names = METHODS[method].numbers
    if len(params) != len(names):
        raise RpcError(RPC_MISC_ERROR, " ".join([method, *names]))  # Core sends the whole help text
    for position, (name, value) in enumerate(zip(names, params, strict=True), start=1):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RpcError(
                RPC_TYPE_ERROR,
                f'Wrong type passed:\n{{\n    "Position {position} ({name})": '
                f'"JSON value of type {_json_type(value)} is not of expected type number"\n}}',
            )
        if not isinstance(value, int):
            raise RpcError(RPC_MISC_ERROR, "JSON integer out of range")


def _json_type(value: object) -> str:
    names = {type(None): "null", bool: "bool", dict: "object", list: "array", str: "string"}
    return names[type(value)]


def _getblockchaininfo(request: _Request) -> dict[str, object]:
    model = request.model
    return {
        "chain": request.chain,
        "blocks": model.height,
        "headers": model.header_height,
        "bestblockhash": _hex(model.tip_hash),
        "bits": f"{BITS:08x}",
        "target": f"{TARGET:064x}",
        "difficulty": CBlockHeader.calc_difficulty(BITS),
        "time": model.tip_time,
        "mediantime": model.median_time,
        "verificationprogress": model.verification_progress,
        "initialblockdownload": model.ibd,
        "chainwork": f"{2**256 // (TARGET + 1) * (model.height + 1):064x}",
        "size_on_disk": model.size_on_disk,
        "pruned": False,
        "warnings": [],
    }


def _getnetworkinfo(request: _Request) -> dict[str, object]:
    model = request.model
    return {
        "version": _version(request.subversion),
        "subversion": request.subversion,
        "protocolversion": PROTOCOL_VERSION,
        "localservices": f"{sum(SERVICES.values()):016x}",
        "localservicesnames": list(SERVICES),
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": True,
        "connections": model.inbound + model.outbound,
        "connections_in": model.inbound,
        "connections_out": model.outbound,
        "networks": [
            {
                "name": name,
                "limited": not reachable,
                "reachable": reachable,
                "proxy": "",
                "proxy_randomize_credentials": False,
            }
            for name, reachable in NETWORKS.items()
        ],
        "relayfee": _btc(RELAY_FEE),
        "incrementalfee": _btc(RELAY_FEE),
        "localaddresses": [],
        "warnings": [],
    }


def _getmempoolinfo(request: _Request) -> dict[str, object]:
    model = request.model
    return {
        "loaded": True,
        "size": model.mempool_size,
        "bytes": model.mempool_vbytes,
        "usage": model.mempool_usage_bytes,
        "total_fee": _btc(model.mempool_total_fee),
        "maxmempool": model.mempool_max_bytes,
        "mempoolminfee": _btc(RELAY_FEE),
        "minrelaytxfee": _btc(RELAY_FEE),
        "incrementalrelayfee": _btc(RELAY_FEE),
        "unbroadcastcount": 0,
        "fullrbf": True,
        "permitbaremultisig": True,
        "maxdatacarriersize": 100_000,
        "limitclustercount": 64,
        "limitclustersize": 101_000,
        "optimal": True,
    }


def _getnettotals(request: _Request) -> dict[str, object]:
    return {
        "totalbytesrecv": request.model.bytes_recv,
        "totalbytessent": request.model.bytes_sent,
        "timemillis": request.now * 1000,
        "uploadtarget": {
            "timeframe": UPLOAD_TIMEFRAME,
            "target": 0,
            "target_reached": False,
            "serve_historical_blocks": True,
            "bytes_left_in_cycle": 0,
            "time_left_in_cycle": 0,
        },
    }


def _uptime(request: _Request) -> int:
    return request.now - request.started


def _getblockcount(request: _Request) -> int:
    return request.model.height


def _getbestblockhash(request: _Request) -> str:
    return _hex(request.model.tip_hash)


def _getblockhash(request: _Request) -> str:
    (height,) = request.params
    if not isinstance(height, int) or not 0 <= height <= request.model.height:
        raise RpcError(RPC_INVALID_PARAMETER, "Block height out of range")
    return _hex(request.model.block_hash(height))


def _hex(block_hash: bytes) -> str:
    return block_hash[::-1].hex()


def _btc(satoshi: int) -> float:
    return satoshi / int(COIN)


def _version(subversion: str) -> int:
    """Return Core's CLIENT_VERSION for a subversion like `/Satoshi:30.99.0/`, which is 309900."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", subversion)
    if match is None:
        raise ValueError(f"no version in {subversion!r}")
    major, minor, build = map(int, match.groups())
    return 10_000 * major + 100 * minor + build


METHODS: Mapping[str, _Method] = {
    "getbestblockhash": _Method(_getbestblockhash),
    "getblockchaininfo": _Method(_getblockchaininfo),
    "getblockcount": _Method(_getblockcount),
    "getblockhash": _Method(_getblockhash, numbers=("height",)),
    "getmempoolinfo": _Method(_getmempoolinfo),
    "getnettotals": _Method(_getnettotals),
    "getnetworkinfo": _Method(_getnetworkinfo),
    "uptime": _Method(_uptime),
}
