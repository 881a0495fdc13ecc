"""The simulated node's model: valid blocks, balanced values, and the events in a real node's order."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from bitcoin.core import CoreRegTestParams, CTransaction
from bitcoin.net import CBlockLocator
from hypothesis import given
from hypothesis import strategies as st
from support.blocks import (
    NOW,
    check_blocks,
    check_mempool,
    coin_of,
    connected_coins,
    kinds,
    made,
    outpoints_of,
    parsed,
    replay,
    tx_of,
    undone,
)
from support.properties import examples

from telegraf_bitcoin_ipc.simnode.coins import Coin, CoinsView, utxo_event
from telegraf_bitcoin_ipc.simnode.events import Event, RemovalReason
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, payment
from telegraf_bitcoin_ipc.simnode.wallet import FEW


def test_first_chain() -> None:
    """The first chain stands on regtest's genesis block and ends now, ten minutes from block to block."""
    model = made(blocks=12)
    blocks = model.chain.blocks
    assert blocks[0].data == CoreRegTestParams.GENESIS_BLOCK.serialize()
    assert [block.time for block in blocks[1:]] == list(range(NOW - 6600, NOW + 1, 600))
    assert (model.height, model.chain.median_time) == (12, NOW - 5 * 600)
    assert model.tip_hash == blocks[12].hash


def test_transaction_is_replaced() -> None:
    """A replacement removes the old transaction first, spends the same and pays more."""
    model = made(transactions=20)
    fee = model.mempool.total_fee
    removed, added = model.replace_transaction(NOW)
    assert kinds([removed, added]) == ["transactionRemovedFromMempool", "transactionAddedToMempool"]
    assert removed.parameters["reason"] == 5
    old, new = tx_of(removed), tx_of(added)
    assert outpoints_of(new) == outpoints_of(old)
    assert new.GetTxid() != old.GetTxid()
    assert len(model.mempool) == 20
    assert model.mempool.total_fee > fee


@pytest.mark.parametrize("reason", [RemovalReason.EXPIRY, RemovalReason.SIZELIMIT])
def test_transaction_is_evicted(reason: RemovalReason) -> None:
    """Expiry and the size limit remove a transaction, then uncache its confirmed inputs."""
    model = made(transactions=20)
    coins = model.chain.coins
    while model.mempool:
        removed, *uncached = model.remove_transaction(reason)
        assert (removed.method, removed.parameters["reason"]) == ("transactionRemovedFromMempool", reason)
        spent = [outpoint for outpoint in outpoints_of(tx_of(removed)) if outpoint in coins]
        assert uncached == [utxo_event("uncache", outpoint, coins[outpoint]) for outpoint in spent]
        check_mempool(model)
    assert model.remove_transaction(reason) == []


@pytest.mark.parametrize(
    ("act", "message"),
    [
        *[
            (lambda model, reason=reason: model.remove_transaction(reason), "not a reason")
            for reason in (RemovalReason.REORG, RemovalReason.BLOCK, RemovalReason.REPLACED, 6)
        ],
        (lambda model: model.connect_block(NOW, outputs=99_801), "do not fit"),
        (lambda model: model.reorg(NOW, 0), "cannot reorganise"),
        (lambda model: model.reorg(NOW, 111), "cannot reorganise"),
        (lambda model: model.prune(111), "cannot delete 111 of 110 blocks"),
    ],
)
def test_what_cannot_be_is_refused(act: Callable[[Model], object], message: str) -> None:
    """A mistake in a script is an error, and leaves everything as it was."""
    model = made(transactions=1)
    with pytest.raises(ValueError, match=message):
        act(model)
    assert (model.height, len(model.mempool)) == (110, 1)


def test_block_is_connected() -> None:
    """A block is its UTXO events, coinbase first, then the block, then the tip, and no removal."""
    model = made(transactions=30)
    coins, prev_hash = dict(model.chain.coins), model.tip_hash
    *changes, block, tip = model.connect_block(NOW + 600)
    info = block.parameters["block"]
    vtx = parsed(info.pop("data")).vtx
    assert len(vtx) == 31
    assert changes == connected_coins(vtx, coins, 111)
    assert coins == model.chain.coins
    assert (block.method, tip) == ("blockConnected", Event("updatedBlockTip", {}))
    assert info == {"hash": model.tip_hash, "prevHash": prev_hash, "height": 111, "chainTimeMax": NOW + 600}
    assert not block.parameters["role"]["historical"]
    assert not model.mempool


def test_a_coin_is_spent_once() -> None:
    """What was spent in a view is not there any more, though the coins below it still have it."""
    outpoint, coin = OutPoint(bytes(32), 0), Coin(value=1, height=2, coinbase=False)
    view, tx = CoinsView({outpoint: coin}), payment(random.Random(1), [outpoint], [1])
    assert view.connect(tx, 3) == (coin,)
    with pytest.raises(KeyError):
        view.connect(tx, 3)


def test_block_commits_to_witnesses() -> None:
    """Only a block with witnesses in it commits to them, and that output never becomes a coin."""
    model = made(transactions=1)
    model.connect_block(NOW)
    model.connect_block(NOW)
    with_witness, without = (parsed(block.data) for block in model.chain.blocks[111:])
    assert with_witness.get_witness_commitment_index() == 1
    assert [(spent.n, coin.value) for spent, coin in model.chain.coins.items() if coin.height == 111] == [
        (0, with_witness.vtx[0].vout[0].nValue),
        *((n, out.nValue) for n, out in enumerate(with_witness.vtx[1].vout)),
    ]
    assert not without.vtx[0].has_witness()
    assert len(without.vtx[0].vout) == 1


def test_block_leaves_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions for which a block has no room stay in the mempool."""
    monkeypatch.setattr("telegraf_bitcoin_ipc.simnode.model.MAX_BLOCK_WEIGHT", 12_000)
    model = made(transactions=30)
    model.connect_block(NOW)
    mined = len(model.chain.tip.transactions) - 1
    assert 0 < mined < 30
    assert len(model.mempool) == 30 - mined
    check_mempool(model)


def test_time_moves_on() -> None:
    """A block mined too early gets the first valid time, and the latest time so far is remembered."""
    model = made(blocks=12)
    *_, block, _ = model.connect_block(NOW - 100_000)
    assert model.chain.tip.time == NOW - 5 * 600 + 1
    assert block.parameters["block"]["chainTimeMax"] == NOW


def test_tip_is_disconnected() -> None:
    """A disconnection undoes the UTXO events, then tells the block, then what returned; no tip."""
    model = made(transactions=30)
    before = dict(model.chain.coins)
    connection = model.connect_block(NOW + 600)
    info = connection[-2].parameters["block"]
    vtx = parsed(info["data"]).vtx
    assert model.disconnect_tip() == [
        *undone(connection, vtx),
        Event("blockDisconnected", {"block": info}),
        *(Event("transactionAddedToMempool", {"tx": tx.serialize()}) for tx in vtx[1:]),
    ]
    assert model.chain.coins == before
    assert (model.height, len(model.mempool)) == (110, 30)


def test_disconnection_removes_what_becomes_immature() -> None:
    """A coinbase that is immature again takes its descendants out of the mempool, with reason reorg."""
    model = made(blocks=100)
    for _ in range(3):
        assert model.accept_transaction(NOW)
    events = model.disconnect_tip()
    assert kinds(events) == ["coins", "blockDisconnected", *["transactionRemovedFromMempool"] * 3]
    assert [event.parameters["reason"] for event in events[-3:]] == [RemovalReason.REORG] * 3
    assert not model.mempool
    assert model.accept_transaction(NOW) == []
    model.connect_block(NOW)
    assert model.accept_transaction(NOW)


def test_reorg() -> None:
    """A reorganisation is its disconnections, then one block more than that, each with its tip."""
    model = made(transactions=2)
    for _ in range(10):  # so that what the transactions spend stays mature
        model.connect_block(NOW, transactions=0)
    for _ in range(2):
        model.connect_block(NOW, transactions=1)
    old = model.tip_hash
    assert kinds(model.reorg(NOW, 2)) == [
        *["coins", "blockDisconnected", "transactionAddedToMempool"] * 2,
        *["coins", "blockConnected", "updatedBlockTip"] * 3,
    ]
    assert model.height == 123
    assert model.chain.blocks[122].hash != old
    assert not model.mempool


def test_historical_block() -> None:
    """A background block is far below the tip, moves nothing, and comes to an end at the snapshot."""
    model = made()
    tip, coins = model.tip_hash, dict(model.chain.coins)
    for height in range(1, 56):
        (event,) = model.connect_historical_block()
        assert event.parameters["role"]["historical"]
        info = event.parameters["block"]
        assert (info["height"], info["data"]) == (height, model.chain.blocks[height].data)
    assert model.connect_historical_block() == []
    assert (model.tip_hash, model.chain.coins) == (tip, coins)


def test_flush() -> None:
    """A flush reports a locator of the tip."""
    model = made(blocks=30)
    (event,) = model.flush()
    assert CBlockLocator.deserialize(event.parameters["locator"]).vHave == [model.tip_hash]


def test_template() -> None:
    """A template is the UTXO events of a block that is not there, and changes nothing."""
    model = made(transactions=10)
    coins, tip = dict(model.chain.coins), model.tip_hash
    first, *rest = model.build_template()
    assert (model.chain.coins, model.tip_hash, len(model.mempool)) == (coins, tip, 10)
    block = model.connect_block(NOW)
    assert (first.method, coin_of(first)[1]) == ("add", coin_of(block[0])[1]), "of another coinbase"
    assert rest == block[1:-2]


def test_mempool_check() -> None:
    """With -checkmempool each acceptance replays the mempool, and its coins are in no block."""
    model = made(check_mempool=True)
    for _ in range(20):
        *checked, added = model.accept_transaction(NOW)
        assert added.method == "transactionAddedToMempool"
        mempool = [CTransaction.deserialize(entry.tx.data) for entry in model.mempool]
        assert checked == connected_coins(mempool, dict(model.chain.coins), 2147483647)
    heights = {coin_of(event)[1].height for event in checked if event.method == "spend"}
    assert 2147483647 in heights
    assert len(heights) > 1
    replaced = ["coins", "transactionRemovedFromMempool", "transactionAddedToMempool"]
    assert kinds(model.replace_transaction(NOW)) == replaced


def test_coins_do_not_run_out() -> None:
    """Payments go on for as long as they like."""
    model = made()
    for _ in range(3):
        for _ in range(200):
            assert model.accept_transaction(NOW)
        model.connect_block(NOW)
    assert len(model.chain.coins) > FEW


def test_initial_block_download() -> None:
    """While headers are ahead the progress is their share; after that it is nearly 1."""
    model = made(blocks=50)
    model.ibd, model.header_height = True, 200
    assert (model.header_height, model.verification_progress) == (200, 0.25)
    model.header_height = 0
    assert model.header_height == 50
    assert model.verification_progress < 1
    model.ibd = False
    assert model.verification_progress == 0.9999999876


ACTIONS = st.one_of(
    st.just(("accept_transaction", (NOW,))),
    st.just(("accept_transaction", (NOW + 5_000,))),
    st.just(("replace_transaction", (NOW,))),
    st.tuples(st.just("remove_transaction"), st.tuples(st.sampled_from([0, 1, 4]))),
    st.tuples(
        st.just("connect_block"),
        st.tuples(st.integers(NOW - 2_000, NOW + 7_200), st.integers(0, 5), st.none() | st.integers(0, 5)),
    ),
    st.just(("disconnect_tip", ())),
    st.tuples(st.just("reorg"), st.tuples(st.just(NOW), st.integers(1, 3))),
    st.just(("connect_historical_block", ())),
    st.just(("build_template", ())),
    st.just(("flush", ())),
)


@examples(25)
@given(actions=st.lists(ACTIONS, max_size=30), seed=st.integers(0, 2**32), blocks=st.sampled_from([100, 110]))
def test_any_sequence_of_actions(actions: list[tuple[str, tuple[Any, ...]]], seed: int, blocks: int) -> None:
    """Whatever happens, the events tell the coins and the mempool, and all that is left is valid."""
    model = made(seed=seed, blocks=blocks)
    coins = dict(model.chain.coins)
    mempool: dict[bytes, None] = {}
    for name, arguments in actions:
        events: list[Event] = getattr(model, name)(*arguments)
        if name != "build_template":  # its events are a scratch view's
            replay(events, coins)
        for method, parameters in events:
            if method == "transactionAddedToMempool":
                assert parameters["tx"] not in mempool
                mempool[parameters["tx"]] = None
            elif method == "transactionRemovedFromMempool":
                del mempool[parameters["tx"]]
            elif method == "blockConnected" and not parameters["role"]["historical"]:
                for tx in parsed(parameters["block"]["data"]).vtx[1:]:
                    del mempool[tx.serialize()]
        assert coins == model.chain.coins
        assert set(mempool) == {entry.tx.data for entry in model.mempool}
        check_mempool(model)
    check_blocks(model)
