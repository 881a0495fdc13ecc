"""The simulated node's getblockstats: what it says of a block is what the block's UTXO events say."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from bitcoin.core import CBlock
from hypothesis import given
from hypothesis import strategies as st
from support.properties import examples

from telegraf_bitcoin_ipc.simnode.events import Event, UtxoEvent
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.errors import RpcError
from telegraf_bitcoin_ipc.simnode.rpc.methods import answer
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint

NOW = 1_700_000_000

STOCK = "/Satoshi:31.99.0/"


def stats(model: Model, block: object, *names: str, subversion: str = STOCK) -> Any:
    """Return a block's statistics: all of them, or those that are named."""
    params = [block, list(names)] if names else [block]
    return answer(model, "getblockstats", params, now=NOW, started=NOW, subversion=subversion)


def of_kind(events: Sequence[Event], kind: str) -> list[UtxoEvent]:
    """Return the UTXO events of a kind."""
    return [event for event in events if isinstance(event, UtxoEvent) and event.kind == kind]


def check(model: Model, events: Sequence[Event]) -> None:
    """Check the statistics of the tip, whose connection was `events`."""
    found = stats(model, model.height)
    added, spent = of_kind(events, "add"), of_kind(events, "spend")
    assert found["ins"] == len(spent)
    assert found["ins"] + found["utxo_increase_actual"] == len(added)
    moved = found["total_out"] + found["totalfee"]
    assert moved == sum(event.value for event in spent)
    assert moved + found["subsidy"] == sum(event.value for event in added)


def size_of_coins(model: Model, block: Any, overhead: int) -> tuple[int, int]:
    """Return utxo_size_inc and utxo_size_inc_actual, from the serialised blocks alone."""
    outputs = {
        OutPoint(tx.GetTxid(), n): len(out.serialize()) + overhead
        for height in range(model.height + 1)
        for tx in CBlock.deserialize(model.block(height).data).vtx
        for n, out in enumerate(tx.vout)
    }
    spent = sum(outputs[OutPoint(i.prevout.hash, i.prevout.n)] for tx in block.vtx[1:] for i in tx.vin)
    created = [
        (len(o.serialize()) + overhead, bool(o.scriptPubKey.is_unspendable())) for tx in block.vtx for o in tx.vout
    ]
    return sum(size for size, _ in created) - spent, sum(size for size, gone in created if not gone) - spent


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
        check(model, model.connect_block(NOW, outputs, mined))


@pytest.mark.parametrize("seed", range(20))
def test_statistics_after_a_reorganisation(seed: int) -> None:
    """The blocks of a new branch have statistics of their own, and the stale ones keep theirs."""
    model = Model(rng=random.Random(seed), now=NOW)
    for _ in range(30):
        model.accept_transaction(NOW)
    model.connect_block(NOW)
    stale, before = model.tip_hash[::-1].hex(), stats(model, model.height)
    model.disconnect_tip()
    for _ in range(2):
        check(model, model.connect_block(NOW, 2, 10))
    assert stats(model, stale) == before


@pytest.mark.parametrize("seed", range(5))
def test_statistics_of_real_blocks(seed: int) -> None:
    """Sizes, weights and counts are those of the serialised block, a commitment is no coin."""
    model = Model(rng=random.Random(seed), now=NOW)
    for _ in range(40):
        model.accept_transaction(NOW)
    model.connect_block(NOW, outputs=3)
    block = CBlock.deserialize(model.block(111).data)
    paying, found = block.vtx[1:], stats(model, 111)
    sizes = [len(tx.serialize()) for tx in paying]
    assert found["txs"] == found["swtxs"] + 1 == len(block.vtx)
    assert found["total_size"] == found["swtotal_size"] == sum(sizes)
    assert found["total_weight"] == found["swtotal_weight"] == sum(tx.calc_weight() for tx in paying)
    assert (found["mintxsize"], found["maxtxsize"]) == (min(sizes), max(sizes))
    assert found["avgtxsize"] == sum(sizes) // len(sizes)
    assert found["outs"] == sum(len(tx.vout) for tx in block.vtx)
    assert found["utxo_increase"] == found["outs"] - found["ins"] == found["utxo_increase_actual"] + 1
    for subversion, overhead in ((STOCK, 40), ("/Satoshi:30.99.0/", 41)):
        found = stats(model, 111, subversion=subversion)
        assert (found["utxo_size_inc"], found["utxo_size_inc_actual"]) == size_of_coins(model, block, overhead)


def test_fees() -> None:
    """Fees are in satoshi, fee rates in satoshi per virtual byte, in the order of their size."""
    model = Model(rng=random.Random(1), now=NOW)
    for _ in range(25):
        model.accept_transaction(NOW)
    fees = sorted(entry.fee for entry in model.mempool)
    model.connect_block(NOW)
    found = stats(model, 111)
    assert (found["minfee"], found["medianfee"], found["maxfee"]) == (fees[0], fees[12], fees[-1])
    assert (found["totalfee"], found["avgfee"]) == (sum(fees), sum(fees) // 25)
    rates = [found["minfeerate"], *found["feerate_percentiles"], found["maxfeerate"]]
    assert rates == sorted(rates)
    assert 1 <= found["minfeerate"] < found["avgfeerate"] < found["maxfeerate"] <= 20


def test_empty_block() -> None:
    """A block with a coinbase alone: the figures of a real node of version 30.99."""
    model = Model(rng=random.Random(1), now=NOW, blocks=1)
    found = stats(model, 1, subversion="/Satoshi:30.99.0/")
    assert {name: value for name, value in found.items() if value not in (0, [0] * 5)} == {
        "blockhash": model.tip_hash[::-1].hex(),
        "height": 1,
        "mediantime": NOW,
        "outs": 1,
        "subsidy": 5_000_000_000,
        "time": NOW,
        "txs": 1,
        "utxo_increase": 1,
        "utxo_increase_actual": 1,
        "utxo_size_inc": 72,
        "utxo_size_inc_actual": 72,
    }


def test_genesis_block() -> None:
    """The genesis block's output is counted and is no coin, as on a real node."""
    found = stats(Model(rng=random.Random(1), now=NOW, blocks=0), 0, subversion="/Satoshi:30.99.0/")
    assert (found["outs"], found["utxo_increase"], found["utxo_size_inc"]) == (1, 1, 117)
    assert (found["utxo_increase_actual"], found["utxo_size_inc_actual"]) == (0, 0)


def test_selected_statistics() -> None:
    """Only what was asked for is answered, by height or by hash."""
    model = Model(rng=random.Random(1), now=NOW)
    assert stats(model, model.tip_hash[::-1].hex(), "txs", "height", "txs") == {"height": 110, "txs": 1}


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ([1, ["txs", "foo"]], -8, "Invalid selected statistic 'foo'"),
        ([400], -8, "Target block height 400 after current tip 110"),
        ([-1], -8, "Target block height -1 is negative"),
        (["00"], -8, "hash_or_height must be of length 64 (not 2, for '00')"),
        (["zz" * 32], -8, f"hash_or_height must be hexadecimal string (not '{'zz' * 32}')"),
        (["00" * 32], -5, "Block not found"),
        ([True], -3, "JSON value of type bool is not of expected type string"),
        ([1, [5]], -3, "JSON value of type number is not of expected type string"),
    ],
)
def test_errors(params: list[object], code: int, message: str) -> None:
    """What cannot be answered is the error that a real node gives (measured)."""
    with pytest.raises(RpcError) as raised:
        answer(Model(rng=random.Random(1), now=NOW), "getblockstats", params, now=NOW, started=NOW)
    assert (raised.value.code, raised.value.message) == (code, message)


def test_pruned_block() -> None:
    """A block that was deleted has no statistics any more, and still a header."""
    model = Model(rng=random.Random(1), now=NOW)
    size = model.size_on_disk
    model.prune(50)
    assert stats(model, 50, "height") == {"height": 50}
    assert model.size_on_disk == size - sum(len(model.block(height).data) + 8 for height in range(50))
    with pytest.raises(RpcError) as raised:
        stats(model, 49)
    assert (raised.value.code, raised.value.message) == (-1, "Block not available (pruned data)")
    name = model.block_hash(49)[::-1].hex()
    assert answer(model, "getblockheader", [name, False], now=NOW, started=NOW) == model.block(49).data[:80].hex()
