"""The simulated node's JSON-RPC answers: a real node's fields and errors, the model's values."""

import json
import random
from typing import Any

import pytest
from bitcoin.core import CBlock

from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.errors import RpcError
from telegraf_bitcoin_ipc.simnode.rpc.methods import METHODS, answer

NOW = 1_700_000_000


@pytest.fixture
def model() -> Model:
    """Return a model with blocks, transactions, peers and traffic."""
    model = Model(rng=random.Random(1), now=NOW)
    for _ in range(5):
        model.accept_transaction(NOW)
    model.peers.change(NOW, 3, 8)
    model.peers.traffic(NOW, 1_000, 500)
    return model


def ask(model: Model, method: str, *params: object, **options: Any) -> Any:
    """Return the answer after it went through JSON, as it does on the wire."""
    result = answer(model, method, list(params), now=NOW, started=NOW - 60, **options)
    return json.loads(json.dumps(result, allow_nan=False))


def displayed(block_hash: bytes) -> str:
    """Return a hash as Bitcoin displays it."""
    return block_hash[::-1].hex()


def test_getblockchaininfo(model: Model) -> None:
    """The chain's state is the model's, and the constants are regtest's."""
    assert ask(model, "getblockchaininfo") == {
        "chain": "regtest",
        "blocks": 110,
        "headers": 110,
        "bestblockhash": displayed(model.tip_hash),
        "bits": "207fffff",
        "target": "7fffff" + "0" * 58,
        "difficulty": 4.6565423739069247e-10,
        "time": NOW,
        "mediantime": NOW - 3_000,
        "verificationprogress": 0.9999999876,
        "initialblockdownload": False,
        "chainwork": f"{2 * 111:064x}",
        "size_on_disk": model.size_on_disk,
        "pruned": False,
        "warnings": [],
    }


def test_getblockchaininfo_while_downloading(model: Model) -> None:
    """Initial block download shows in the headers and the progress; the chain's name can be chosen."""
    model.ibd, model.header_height = True, 440
    info = ask(model, "getblockchaininfo", chain="main")
    assert (info["chain"], info["headers"], info["initialblockdownload"]) == ("main", 440, True)
    assert info["verificationprogress"] == 0.25


def test_getnetworkinfo(model: Model) -> None:
    """The peers are the model's, and the version is read from the subversion."""
    info = ask(model, "getnetworkinfo")
    networks = info.pop("networks")
    assert info == {
        "version": 309900,
        "subversion": "/Satoshi:30.99.0/",
        "protocolversion": 70016,
        "localservices": "0000000000000c09",
        "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED", "P2P_V2"],
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": True,
        "connections": 11,
        "connections_in": 3,
        "connections_out": 8,
        "relayfee": 0.000001,
        "incrementalfee": 0.000001,
        "localaddresses": [],
        "warnings": [],
    }
    assert [network["name"] for network in networks] == ["ipv4", "ipv6", "onion", "i2p", "cjdns"]
    assert networks[0] == {
        "name": "ipv4",
        "limited": False,
        "reachable": True,
        "proxy": "",
        "proxy_randomize_credentials": False,
    }


@pytest.mark.parametrize(
    ("subversion", "version"),
    [("/Satoshi:31.99.0/", 319900), ("/Satoshi:30.0.1(a comment)/", 300001)],
)
def test_version(model: Model, subversion: str, version: int) -> None:
    """Another subversion is another version."""
    assert ask(model, "getnetworkinfo", subversion=subversion)["version"] == version


def test_version_is_needed(model: Model) -> None:
    """A subversion without a version is a mistake in the simulation, not an RPC error."""
    with pytest.raises(ValueError, match="no version"):
        ask(model, "getnetworkinfo", subversion="/Satoshi/")


def test_getmempoolinfo(model: Model) -> None:
    """The mempool's sizes are the model's, its fees are BTC."""
    assert ask(model, "getmempoolinfo") == {
        "loaded": True,
        "size": 5,
        "bytes": model.mempool_vbytes,
        "usage": model.mempool_usage_bytes,
        "total_fee": model.mempool_total_fee / 100_000_000,
        "maxmempool": 300_000_000,
        "mempoolminfee": 0.000001,
        "minrelaytxfee": 0.000001,
        "incrementalrelayfee": 0.000001,
        "unbroadcastcount": 0,
        "fullrbf": True,
        "permitbaremultisig": True,
        "maxdatacarriersize": 100_000,
        "limitclustercount": 64,
        "limitclustersize": 101_000,
        "optimal": True,
    }


def test_getnettotals(model: Model) -> None:
    """The traffic is the model's, the time is now."""
    assert ask(model, "getnettotals") == {
        "totalbytesrecv": 1_000,
        "totalbytessent": 500,
        "timemillis": NOW * 1_000,
        "uploadtarget": {
            "timeframe": 86_400,
            "target": 0,
            "target_reached": False,
            "serve_historical_blocks": True,
            "bytes_left_in_cycle": 0,
            "time_left_in_cycle": 0,
        },
    }


def test_uptime(model: Model) -> None:
    """The uptime is the time since the start."""
    assert ask(model, "uptime") == 60


def test_blocks(model: Model) -> None:
    """Heights and hashes agree with each other and with the model."""
    assert ask(model, "getblockcount") == 110
    assert ask(model, "getblockhash", 110) == ask(model, "getbestblockhash") == displayed(model.tip_hash)
    genesis = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    assert ask(model, "getblockhash", 0) == genesis


@pytest.mark.parametrize("height", [-1, 111])
def test_height_out_of_range(model: Model, height: int) -> None:
    """A height outside the chain is the error a real node gives."""
    with pytest.raises(RpcError) as raised:
        ask(model, "getblockhash", height)
    assert (raised.value.code, raised.value.message) == (-8, "Block height out of range")


@pytest.mark.parametrize(
    ("height", "kind"),
    [("1", "string"), (True, "bool"), (None, "null"), ([], "array"), ({}, "object")],
)
def test_height_of_wrong_type(model: Model, height: object, kind: str) -> None:
    """A parameter of the wrong type is the error a real node gives, text and all."""
    with pytest.raises(RpcError) as raised:
        ask(model, "getblockhash", height)
    assert raised.value.code == -3
    assert raised.value.message == (
        'Wrong type passed:\n{\n    "Position 1 (height)": '
        f'"JSON value of type {kind} is not of expected type number"\n}}'
    )


def test_height_that_is_no_integer(model: Model) -> None:
    """A number that is not an integer is the error a real node gives."""
    with pytest.raises(RpcError) as raised:
        ask(model, "getblockhash", 1.5)
    assert (raised.value.code, raised.value.message) == (-1, "JSON integer out of range")


@pytest.mark.parametrize("method", METHODS)
def test_wrong_number_of_parameters(model: Model, method: str) -> None:
    """Too many parameters are answered with how the method is called."""
    with pytest.raises(RpcError) as raised:
        ask(model, method, 1, 2, 3)
    assert raised.value.code == -1
    assert raised.value.message.startswith(method)


def test_unknown_method(model: Model) -> None:
    """A method that is not there is the error a real node gives."""
    with pytest.raises(RpcError, match="Method not found") as raised:
        ask(model, "stop")
    assert (raised.value.code, raised.value.message) == (-32601, "Method not found")


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("getblockheader", ["abc"], -8, "hash must be of length 64 (not 3, for 'abc')"),
        ("getblockheader", ["zz" * 32], -8, f"hash must be hexadecimal string (not '{'zz' * 32}')"),
        ("getblockheader", ["00" * 32], -5, "Block not found"),
        ("estimatesmartfee", [0], -8, "Invalid conf_target, must be between 1 and 1008"),
        ("estimatesmartfee", [1009], -8, "Invalid conf_target, must be between 1 and 1008"),
        (
            "estimatesmartfee",
            [6, "foo"],
            -8,
            'Invalid estimate_mode parameter, must be one of: "unset", "economical", "conservative"',
        ),
        ("getnetworkhashps", [0], -8, "Invalid nblocks. Must be a positive number or -1."),
        ("getnetworkhashps", [-2], -8, "Invalid nblocks. Must be a positive number or -1."),
        ("getnetworkhashps", [120, 1000], -8, "Block does not exist at specified height"),
        (
            "getblockstats",
            [1, 5],
            -3,
            'Wrong type passed:\n{\n    "Position 2 (stats)": '
            '"JSON value of type number is not of expected type array"\n}',
        ),
    ],
)
def test_errors(model: Model, method: str, params: list[object], code: int, message: str) -> None:
    """What cannot be answered is the error that a real node gives (measured)."""
    with pytest.raises(RpcError) as raised:
        ask(model, method, *params)
    assert (raised.value.code, raised.value.message) == (code, message)


def test_parameters_by_name(model: Model) -> None:
    """Parameters can be named; what has no name that the method knows is refused."""

    def named(**params: object) -> object:
        return answer(model, "getnetworkhashps", params, now=NOW, started=NOW)

    assert named(height=50) == ask(model, "getnetworkhashps", 120, 50)
    with pytest.raises(RpcError) as raised:
        named(foo=1)
    assert (raised.value.code, raised.value.message) == (-8, "Unknown named parameter foo")


def test_getblockheader(model: Model) -> None:
    """A header has its block's place in the chain, and the number of its transactions."""
    model.connect_block(NOW + 600)
    header = ask(model, "getblockheader", displayed(model.tip_hash))
    block = CBlock.deserialize(model.block(111).data)
    assert (header["height"], header["confirmations"], header["nTx"]) == (111, 1, 6)
    assert header["previousblockhash"] == ask(model, "getblockhash", 110)
    assert (header["time"], header["mediantime"]) == (NOW + 600, model.median_time)
    assert (header["merkleroot"], header["nonce"]) == (displayed(block.hashMerkleRoot), block.nNonce)
    assert header["chainwork"] == ask(model, "getblockchaininfo")["chainwork"]
    below = ask(model, "getblockheader", header["previousblockhash"])
    assert (below["confirmations"], below["nextblockhash"]) == (2, header["hash"])


def test_stale_blocks_are_remembered(model: Model) -> None:
    """A block that a reorganisation left behind has -1 confirmations, and its branch a tip."""
    stale = displayed(model.tip_hash)
    model.reorg(NOW + 600, 2)
    header = ask(model, "getblockheader", stale)
    assert (header["confirmations"], header["height"]) == (-1, 110)
    assert "nextblockhash" not in header
    assert header["mediantime"] == NOW - 3_000
    assert ask(model, "getchaintips") == [
        {"height": 111, "hash": displayed(model.tip_hash), "branchlen": 0, "status": "active"},
        {"height": 110, "hash": stale, "branchlen": 2, "status": "valid-fork"},
    ]
    model.reorg(NOW + 900, 1)
    assert [(tip["height"], tip["branchlen"]) for tip in ask(model, "getchaintips")] == [
        (112, 0),
        (111, 1),
        (110, 2),
    ]


def test_getnetworkhashps(model: Model) -> None:
    """The rate is the work of the blocks over the time between them: two hashes in ten minutes."""
    assert ask(model, "getnetworkhashps", 100) == pytest.approx(2 / 600)
    assert ask(model, "getnetworkhashps", 10, 50) == pytest.approx(2 / 600)
    assert ask(model, "getnetworkhashps", -1, 50) == ask(model, "getnetworkhashps", 51, 50)
    assert ask(model, "getnetworkhashps", 5, 0) == 0


def test_too_little_data_for_an_estimate(model: Model) -> None:
    """Without an estimate there is an error in the result."""
    assert ask(model, "estimatesmartfee", 6) == {"errors": ["Insufficient data or no feerate found"], "blocks": 0}


def test_fields_of_the_version(model: Model) -> None:
    """The protocol's version and the mempool's fields are those of the node's version."""
    stock = {"subversion": "/Satoshi:31.99.0/"}
    assert ask(model, "getnetworkinfo", **stock)["protocolversion"] == 70017
    assert "fullrbf" not in ask(model, "getmempoolinfo", **stock)
