"""The simulated node's script actions that change what polls see: peers, faults and the node's state."""

import random
from typing import Any

import pytest

from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.methods import answer
from telegraf_bitcoin_ipc.simnode.script import actions

NOW = 1_700_000_000


@pytest.fixture
def model() -> Model:
    """Return a model without peers."""
    return Model(rng=random.Random(1), now=NOW, blocks=20)


def do(model: Model, action: str, **parameters: Any) -> None:
    """Do what a script's line says; no subscriber hears of it."""
    assert not actions(model, lambda: NOW)[action](**parameters)


def ask(model: Model, method: str, *params: object) -> Any:
    """Return the answer to a JSON-RPC method."""
    return answer(model, method, list(params), now=NOW + 10, started=NOW)


def test_peers(model: Model) -> None:
    """Peers that join, leave and talk are what polls see; the node's totals keep what was theirs."""
    do(model, "peers", inbound=2, outbound=3)
    do(model, "peer", network="i2p", type="manual", transport="v1", ping=1.5)
    do(model, "traffic", received=1_000, sent=2_000)
    do(model, "traffic", received=50, sent=0, id=5, message="headers")
    peers = ask(model, "getpeerinfo")
    assert [peer["id"] for peer in peers] == [0, 1, 2, 3, 4, 5]
    assert (peers[5]["network"], peers[5]["pingtime"]) == ("i2p", 1.5)
    assert peers[5]["bytesrecv_per_msg"]["headers"] == 50
    assert sum(sum(peer["bytesrecv_per_msg"].values()) for peer in peers) == 1_050
    do(model, "leave")
    do(model, "leave", id=5)
    assert [peer["id"] for peer in ask(model, "getpeerinfo")] == [1, 2, 3, 4]
    network = ask(model, "getnetworkinfo")
    assert (network["connections"], network["connections_in"], network["connections_out"]) == (4, 1, 3)
    assert ask(model, "getnettotals")["totalbytesrecv"] == 1_050
    assert ask(model, "getnettotals")["totalbytessent"] == 2_000


def test_state(model: Model) -> None:
    """Bans add up, warnings are replaced; an estimate is that of the nearest target below, if there is one."""
    do(model, "ban", count=3)
    do(model, "ban")
    assert len(ask(model, "listbanned")) == 4
    for texts in (["one", "two"], []):
        do(model, "warnings", texts=texts)
        assert ask(model, "getblockchaininfo")["warnings"] == texts
    do(model, "mempool_loaded", on=False)
    assert ask(model, "getmempoolinfo")["loaded"] is False
    do(model, "fee_estimates", rates={"2": 20, "6": 7.5})
    rates = {target: ask(model, "estimatesmartfee", target)["feerate"] for target in (2, 5, 6, 1008)}
    assert rates == {2: 0.0002, 5: 0.0002, 6: 0.000075, 1008: 0.000075}
    assert ask(model, "estimatesmartfee", 1) == {"errors": ["Insufficient data or no feerate found"]}


def test_prune(model: Model) -> None:
    """Blocks are deleted from the oldest on, and never come back."""
    do(model, "prune", height=15)
    do(model, "prune", height=3)
    assert ask(model, "getblockchaininfo")["pruneheight"] == 15


def test_faults(model: Model) -> None:
    """A method fails, or hangs, until it is healed; what works cannot be healed."""
    do(model, "fail", method="Chain.getHeight")
    do(model, "fail", method="getpeerinfo", code=-32601, message="Method not found")
    do(model, "hang", method="Mining.getTip")
    assert model.faults == {
        "Chain.getHeight": (-1, "a simulated failure"),
        "getpeerinfo": (-32601, "Method not found"),
        "Mining.getTip": None,
    }
    assert [method for method in model.faults if model.faults.hangs(method)] == ["Mining.getTip"]
    for method in list(model.faults):
        do(model, "heal", method=method)
    assert not model.faults
    with pytest.raises(ValueError, match=r"Mining.getTip is not broken"):
        do(model, "heal", method="Mining.getTip")


@pytest.mark.parametrize(
    "method", ["getfoo", "Chain.getFoo", "Foo.getHeight", "Chain", "Chain.", "Init.construct"]
)
def test_faults_of_unknown_methods(model: Model, method: str) -> None:
    """A method that no dialect has cannot be broken: a script's misspelling does not go unseen."""
    for action in ("fail", "hang"):
        with pytest.raises(ValueError, match="there is no method"):
            do(model, action, method=method)
