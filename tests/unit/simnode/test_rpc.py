"""The simulated node's JSON-RPC answers: a real node's names and types, and what a script has made of it."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from bitcoin.core import CBlock
from hypothesis import given
from hypothesis import strategies as st
from support.properties import examples

from telegraf_bitcoin_ipc.ipc.dialects import BLOCK_STATISTICS, READ_ONLY
from telegraf_bitcoin_ipc.simnode.events import Event
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.errors import IN_WARMUP, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.methods import METHODS, answer
from telegraf_bitcoin_ipc.simnode.rpc.service import execute
from telegraf_bitcoin_ipc.simnode.script import actions

NOW = 1_700_000_000

NUMBER = (int, float)
FIELDS: dict[str, Any] = {
    "estimatesmartfee": {"feerate": float},
    "getblockchaininfo": {
        "chain": str, "blocks": int, "headers": int, "difficulty": float, "time": int, "mediantime": int,
        "verificationprogress": NUMBER, "size_on_disk": int, "pruned": bool, "pruneheight": int, "warnings": [str],
    },
    "getblockheader": {"height": int, "nTx": int, "previousblockhash": str},
    "getblockstats": dict.fromkeys(BLOCK_STATISTICS, int),
    "getchaintips": [{"status": str}],
    "getindexinfo": {"txindex": {"synced": bool, "best_block_height": int}},
    "getmempoolinfo": {
        "loaded": bool, "size": int, "bytes": int, "usage": int, "total_fee": float, "maxmempool": int,
        "mempoolminfee": float, "minrelaytxfee": float, "unbroadcastcount": int,
    },
    "getnettotals": {"totalbytesrecv": int, "totalbytessent": int},
    "getnetworkhashps": NUMBER,
    "getnetworkinfo": {
        "subversion": str, "networkactive": bool, "connections": int, "connections_in": int,
        "connections_out": int,
    },
    "getpeerinfo": [
        {
            "id": int, "network": str, "pingtime": float, "bytessent_per_msg": {"tx": int},
            "bytesrecv_per_msg": {"tx": int}, "connection_type": str, "transport_protocol_type": str,
        }
    ],
    "listbanned": [{"address": str}],
    "uptime": int,
}  # fmt: skip
"""Names and types in the answers of real nodes, 30.99 and 31.99 (measured)."""


def displayed(block_hash: bytes) -> str:
    """Return a hash as Bitcoin displays it."""
    return block_hash[::-1].hex()


def ask(model: Model, method: str, *params: object) -> Any:
    """Return the answer after it went through JSON, as it does on the wire."""
    result = answer(model, method, list(params), now=NOW + 60, started=NOW)
    return json.loads(json.dumps(result, allow_nan=False))


def stats(model: Model, block: object) -> Any:
    """Return a block's statistics."""
    return ask(model, "getblockstats", block, BLOCK_STATISTICS)


def refused(model: Model, method: str, *params: object) -> tuple[int, str]:
    """Return the error that a call gives."""
    with pytest.raises(RpcError) as raised:
        ask(model, method, *params)
    return raised.value.code, raised.value.message


@pytest.fixture
def model() -> Model:
    """Return a model that has something of everything."""
    model = Model(rng=random.Random(1), now=NOW)
    for _ in range(30):
        model.accept_transaction(NOW)
    model.connect_block(NOW + 600, transactions=20)
    model.peers.join(ping=0.02)
    model.peers.traffic(5_000, 5_000, message="tx")
    model.peers.ban(2)
    model.indexes = {"txindex": None}
    model.fee_estimates = {6: 8.5}
    model.warnings = ["one"]
    model.prune(40)
    return model


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value has the fields and types that a table says; 0 and 1 are no booleans."""
    if isinstance(kind, dict):
        return value.keys() == kind.keys() and all(fits(value[name], kind[name]) for name in kind)
    if isinstance(kind, list):
        return bool(value) and all(fits(item, kind[0]) for item in value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def test_fields_and_types(model: Model) -> None:
    """An answer has the fields that the plugin reads, each of a real node's type."""
    params: dict[str, list[object]] = {
        "estimatesmartfee": [6],
        "getblockheader": [displayed(model.tip_hash)],
        "getblockstats": [111, BLOCK_STATISTICS],
    }
    answers = {method: ask(model, method, *params.get(method, [])) for method in FIELDS}
    assert {method: value for method, value in answers.items() if not fits(value, FIELDS[method])} == {}


def test_only_what_is_asked_for() -> None:
    """The simulated node has the methods that the plugin may call, and no others."""
    assert set(METHODS) == set(FIELDS) == set(READ_ONLY)
    error = refused(Model(rng=random.Random(1), now=NOW, blocks=1), "stop")
    assert error == (-32601, "Method not found")


def test_values(model: Model) -> None:
    """The values are the model's; amounts are BTC."""
    info = ask(model, "getblockchaininfo")
    assert (info["blocks"], info["time"], info["pruneheight"]) == (111, NOW + 600, 40)
    assert ask(model, "getmempoolinfo")["total_fee"] == model.mempool.total_fee / 100_000_000
    assert ask(model, "uptime") == 60
    header = ask(model, "getblockheader", displayed(model.tip_hash))
    assert header == {"height": 111, "nTx": 21, "previousblockhash": displayed(model.chain.blocks[110].hash)}
    genesis = ask(model, "getblockheader", displayed(model.chain.blocks[0].hash))
    assert genesis == {"height": 0, "nTx": 1}
    later = Model(rng=random.Random(1), now=NOW, blocks=130)  # its last 120 blocks are ten minutes apart
    assert ask(later, "getnetworkhashps") == pytest.approx(2 / 600)


def test_stale_blocks_are_remembered(model: Model) -> None:
    """A block that a reorganisation left behind still has a header and statistics, and its branch a tip."""
    stale, before = displayed(model.tip_hash), stats(model, 111)
    model.reorg(NOW + 900, 2)
    assert ask(model, "getblockheader", stale)["height"] == 111
    assert stats(model, stale) == before
    assert ask(model, "getchaintips") == [{"status": "active"}, {"status": "valid-fork"}]


def test_blocks_that_are_not_there(model: Model) -> None:
    """An unknown block, one above the tip and a pruned one are a real node's errors (measured)."""
    assert refused(model, "getblockheader", "00" * 32) == (-5, "Block not found")
    assert refused(model, "getblockstats", 400, []) == (-8, "Target block height 400 after current tip 111")
    assert refused(model, "getblockstats", 39, []) == (-1, "Block not available (pruned data)")
    assert ask(model, "getblockheader", displayed(model.chain.blocks[39].hash))["height"] == 39


def test_statistics_of_a_real_block(model: Model) -> None:
    """Sizes, weights and counts are those of the serialised block, coinbase left out; a commitment is no coin."""
    vtx = CBlock.deserialize(model.chain.blocks[111].data).vtx
    found = stats(model, 111)
    assert found["txs"] == len(vtx) == 21
    assert found["total_size"] == sum(len(tx.serialize()) for tx in vtx[1:])
    assert found["total_weight"] == sum(tx.calc_weight() for tx in vtx[1:])
    assert found["outs"] == sum(len(tx.vout) for tx in vtx)
    assert found["utxo_increase_actual"] == found["outs"] - found["ins"] - 1
    genesis = stats(Model(rng=random.Random(1), now=NOW, blocks=0), 0)
    assert (genesis["outs"], genesis["utxo_increase_actual"]) == (1, 0)


def values(events: list[Event], method: str) -> list[int]:
    """Return the values of the coins of a kind of UTXO event."""
    return [event.parameters["utxoInfo"]["value"] for event in events if event.method == method]


@examples(40)
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 6), st.none() | st.integers(0, 12)), max_size=6),
)
def test_statistics_are_the_events(seed: int, steps: list[tuple[int, int, int | None]]) -> None:
    """Whatever is mined: spent is `ins`, created is that and `utxo_increase_actual`, and so are the values."""
    model = Model(rng=random.Random(seed), now=NOW, blocks=105)
    for accepted, outputs, mined in steps:
        for _ in range(accepted):
            model.accept_transaction(NOW)
        events = model.connect_block(NOW, outputs, mined)
        found, created, spent = stats(model, model.height), values(events, "add"), values(events, "spend")
        assert found["ins"] == len(spent)
        assert found["ins"] + found["utxo_increase_actual"] == len(created)
        assert found["total_out"] + found["totalfee"] == sum(spent)
        assert found["total_out"] + found["totalfee"] + found["subsidy"] == sum(created)


def test_replies() -> None:
    """A request is answered in JSON-RPC 2.0 with its id, by a result or by an error, in UTF-8."""

    async def ask_(method: str, params: Sequence[Any]) -> object:
        if method != "uptime":
            raise RpcError(IN_WARMUP, "Loading block index…")
        return len(params)

    def reply(method: str) -> str:
        request = {"jsonrpc": "2.0", "method": method, "params": [5], "id": "x"}
        return asyncio.run(execute(json.dumps(request), ask_))

    assert json.loads(reply("uptime")) == {"jsonrpc": "2.0", "result": 1, "id": "x"}
    error = {"code": -28, "message": "Loading block index…"}
    assert json.loads(reply("getnettotals")) == {"jsonrpc": "2.0", "error": error, "id": "x"}
    assert "…" in reply("getnettotals")


@pytest.fixture
def empty() -> Model:
    """Return a model without peers."""
    return Model(rng=random.Random(1), now=NOW, blocks=20)


def do(model: Model, action: str, **parameters: Any) -> None:
    """Do what a script's line says; no subscriber hears of it."""
    assert not actions(model, lambda: NOW)[action](**parameters)


def test_peers(empty: Model) -> None:
    """Peers that join, leave and talk are what polls see; the node's totals keep what was theirs."""
    do(empty, "peers", inbound=2, outbound=3)
    do(empty, "peer", network="i2p", type="manual", transport="v1", ping=1.5)
    do(empty, "traffic", received=1_000, sent=2_000)
    do(empty, "traffic", received=50, sent=0, id=5, message="headers")
    peers = ask(empty, "getpeerinfo")
    assert [peer["id"] for peer in peers] == [0, 1, 2, 3, 4, 5]
    assert (peers[5]["network"], peers[5]["pingtime"]) == ("i2p", 1.5)
    assert peers[5]["bytesrecv_per_msg"]["headers"] == 50
    assert sum(sum(peer["bytesrecv_per_msg"].values()) for peer in peers) == 1_050
    do(empty, "leave")
    do(empty, "leave", id=5)
    assert [peer["id"] for peer in ask(empty, "getpeerinfo")] == [1, 2, 3, 4]
    network = ask(empty, "getnetworkinfo")
    assert (network["connections"], network["connections_in"], network["connections_out"]) == (4, 1, 3)
    assert ask(empty, "getnettotals")["totalbytesrecv"] == 1_050
    assert ask(empty, "getnettotals")["totalbytessent"] == 2_000


def test_state(empty: Model) -> None:
    """Bans add up, warnings are replaced; an estimate is that of the nearest target below, if there is one."""
    do(empty, "ban", count=3)
    do(empty, "ban")
    assert len(ask(empty, "listbanned")) == 4
    for texts in (["one", "two"], []):
        do(empty, "warnings", texts=texts)
        assert ask(empty, "getblockchaininfo")["warnings"] == texts
    do(empty, "mempool_loaded", on=False)
    assert ask(empty, "getmempoolinfo")["loaded"] is False
    do(empty, "fee_estimates", rates={"2": 20, "6": 7.5})
    rates = {target: ask(empty, "estimatesmartfee", target)["feerate"] for target in (2, 5, 6, 1008)}
    assert rates == {2: 0.0002, 5: 0.0002, 6: 0.000075, 1008: 0.000075}
    assert ask(empty, "estimatesmartfee", 1) == {"errors": ["Insufficient data or no feerate found"]}


def test_prune(empty: Model) -> None:
    """Blocks are deleted from the oldest on, and never come back."""
    do(empty, "prune", height=15)
    do(empty, "prune", height=3)
    assert ask(empty, "getblockchaininfo")["pruneheight"] == 15


def test_faults(empty: Model) -> None:
    """A method fails, or hangs, until it is healed; what works cannot be healed."""
    do(empty, "fail", method="Chain.getHeight")
    do(empty, "fail", method="getpeerinfo", code=-32601, message="Method not found")
    do(empty, "hang", method="Mining.getTip")
    assert empty.faults == {
        "Chain.getHeight": (-1, "a simulated failure"),
        "getpeerinfo": (-32601, "Method not found"),
        "Mining.getTip": None,
    }
    assert [method for method in empty.faults if empty.faults.hangs(method)] == ["Mining.getTip"]
    for method in list(empty.faults):
        do(empty, "heal", method=method)
    assert not empty.faults
    with pytest.raises(ValueError, match=r"Mining.getTip is not broken"):
        do(empty, "heal", method="Mining.getTip")


@pytest.mark.parametrize(
    "method", ["getfoo", "Chain.getFoo", "Foo.getHeight", "Chain", "Chain.", "Init.construct"]
)
def test_faults_of_unknown_methods(empty: Model, method: str) -> None:
    """A method that no dialect has cannot be broken: a script's misspelling does not go unseen."""
    for action in ("fail", "hang"):
        with pytest.raises(ValueError, match="there is no method"):
            do(empty, action, method=method)
