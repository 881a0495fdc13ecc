"""The simulated node's model: valid blocks, balanced values, and the events in a real node's order."""

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
    connected_coins,
    kinds,
    made,
    outpoints_of,
    parsed,
    replay,
    tx_of,
    undone,
    utxo,
)
from support.properties import examples

from telegraf_bitcoin_ipc.simnode.events import (
    BlockConnected,
    BlockDisconnected,
    Event,
    Flushed,
    RemovalReason,
    TipUpdated,
    TransactionAdded,
    TransactionRemoved,
    UtxoEvent,
)
from telegraf_bitcoin_ipc.simnode.wallet import FEW


def test_first_chain() -> None:
    """The first chain stands on regtest's genesis block and ends now, ten minutes from block to block."""
    model = made(blocks=12)
    assert model.block(0).data == CoreRegTestParams.GENESIS_BLOCK.serialize()
    assert [model.block(height).time for height in range(1, 13)] == list(range(NOW - 6600, NOW + 1, 600))
    assert (model.height, model.chain.tip.time, model.chain.median_time) == (12, NOW, NOW - 5 * 600)
    assert model.tip_hash == model.block(12).hash
    check_blocks(model)


def test_transaction_is_replaced() -> None:
    """A replacement removes the old transaction first, spends the same and pays more."""
    model = made(transactions=20)
    size, fee = model.mempool_size, model.mempool.total_fee
    removed, added = model.replace_transaction(NOW)
    assert isinstance(removed, TransactionRemoved)
    assert removed.reason == 5
    assert isinstance(added, TransactionAdded)
    old, new = tx_of(removed), tx_of(added)
    assert outpoints_of(new) == outpoints_of(old)
    assert new.GetTxid() != old.GetTxid()
    assert model.mempool_size == size
    assert model.mempool.total_fee > fee
    check_mempool(model)


@pytest.mark.parametrize("reason", [RemovalReason.EXPIRY, RemovalReason.SIZELIMIT])
def test_transaction_is_evicted(reason: RemovalReason) -> None:
    """Expiry and the size limit remove a transaction, then uncache its confirmed inputs."""
    model = made(transactions=20)
    while model.mempool_size:
        removed, *uncached = model.remove_transaction(reason)
        assert isinstance(removed, TransactionRemoved)
        assert removed.reason == reason
        assert uncached == [
            utxo("uncache", spent, model.coins[spent])
            for spent in outpoints_of(tx_of(removed))
            if spent in model.coins
        ]
        check_mempool(model)
    assert model.remove_transaction(reason) == []


@pytest.mark.parametrize("reason", [RemovalReason.REORG, RemovalReason.BLOCK, RemovalReason.REPLACED, 6])
def test_other_removals_are_refused(reason: int) -> None:
    """The other reasons have actions of their own, or never come."""
    with pytest.raises(ValueError, match="not a reason"):
        made(transactions=1).remove_transaction(reason)


def test_block_is_connected() -> None:
    """A block is its UTXO events, coinbase first, then the block, then the tip, and no removal."""
    model = made(transactions=30)
    coins, prev_hash = dict(model.coins), model.tip_hash
    *changes, block, tip = model.connect_block(NOW + 600)
    assert isinstance(block, BlockConnected)
    assert tip == TipUpdated()
    vtx = parsed(block.data).vtx
    assert len(vtx) == 31
    assert changes == connected_coins(vtx, coins, 111)
    assert coins == model.coins
    assert (block.hash, block.prev_hash, block.height) == (model.tip_hash, prev_hash, 111)
    assert (block.chain_time_max, block.historical) == (NOW + 600, False)
    assert model.mempool_size == 0


def test_block_commits_to_witnesses() -> None:
    """Only a block with witnesses in it commits to them, and that output never becomes a coin."""
    model = made(transactions=1)
    model.connect_block(NOW)
    model.connect_block(NOW)
    with_witness, without = (parsed(model.block(height).data) for height in (111, 112))
    assert with_witness.get_witness_commitment_index() == 1
    assert [(spent.n, coin.value) for spent, coin in model.coins.items() if coin.height == 111] == [
        (0, with_witness.vtx[0].vout[0].nValue),
        *((n, out.nValue) for n, out in enumerate(with_witness.vtx[1].vout)),
    ]
    assert not without.vtx[0].has_witness()
    assert len(without.vtx[0].vout) == 1


def test_burst_has_a_limit() -> None:
    """More outputs than fit into a block are refused, and leave everything as it was."""
    model = made(transactions=1)
    with pytest.raises(ValueError, match="do not fit"):
        model.connect_block(NOW, outputs=99_801)
    assert (model.height, model.mempool_size) == (110, 1)


def test_block_leaves_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions for which a block has no room stay in the mempool."""
    monkeypatch.setattr("telegraf_bitcoin_ipc.simnode.model.MAX_BLOCK_WEIGHT", 12_000)
    model = made(transactions=30)
    *_, block, _ = model.connect_block(NOW)
    assert isinstance(block, BlockConnected)
    mined = len(parsed(block.data).vtx) - 1
    assert 0 < mined < 30
    assert model.mempool_size == 30 - mined
    check_mempool(model)


def test_time_moves_on() -> None:
    """A block mined too early gets the first valid time, and the latest time so far is remembered."""
    model = made(blocks=12)
    *_, block, _ = model.connect_block(NOW - 100_000)
    assert isinstance(block, BlockConnected)
    assert model.chain.tip.time == NOW - 5 * 600 + 1
    assert block.chain_time_max == NOW


def test_tip_is_disconnected() -> None:
    """A disconnection undoes the UTXO events, then tells the block, then what returned; no tip."""
    model = made(transactions=30)
    before = dict(model.coins)
    connection = model.connect_block(NOW + 600)
    block = connection[-2]
    assert isinstance(block, BlockConnected)
    vtx = parsed(block.data).vtx
    expected = undone(connection, vtx)
    events = model.disconnect_tip()
    assert events[: len(expected)] == expected
    assert events[len(expected)] == BlockDisconnected(
        block.hash, block.prev_hash, block.height, block.data, block.chain_time_max
    )
    assert events[len(expected) + 1 :] == [TransactionAdded(tx.serialize()) for tx in vtx[1:]]
    assert dict(model.coins) == before
    assert (model.height, model.mempool_size) == (110, 30)
    check_mempool(model)


def test_disconnection_removes_what_becomes_immature() -> None:
    """A coinbase that is immature again takes its descendants out of the mempool, with reason reorg."""
    model = made(blocks=100)
    for _ in range(3):
        assert model.accept_transaction(NOW)
    events = model.disconnect_tip()
    assert kinds(events) == ["UtxoEvent", "BlockDisconnected", *["TransactionRemoved"] * 3]
    assert {e.reason for e in events if isinstance(e, TransactionRemoved)} == {RemovalReason.REORG}
    assert model.mempool_size == 0
    assert model.accept_transaction(NOW) == []
    model.connect_block(NOW)
    assert model.accept_transaction(NOW)


def test_reorg() -> None:
    """A reorganisation is its disconnections, then one block more than that, each with its tip."""
    depth = 2
    model = made(transactions=depth)
    for _ in range(10):  # so that what the transactions spend stays mature
        model.connect_block(NOW, transactions=0)
    for _ in range(depth):
        model.connect_block(NOW, transactions=1)
    old, coins = model.tip_hash, dict(model.coins)
    events = model.reorg(NOW, depth)
    assert kinds(events) == [
        *["UtxoEvent", "BlockDisconnected", "TransactionAdded"] * depth,
        *["UtxoEvent", "BlockConnected", "TipUpdated"] * (depth + 1),
    ]
    replay(events, coins)
    assert coins == model.coins
    assert model.height == 120 + depth + 1
    assert model.block(120 + depth).hash != old
    assert model.mempool_size == 0
    check_blocks(model)


@pytest.mark.parametrize("depth", [0, 4])
def test_reorg_needs_blocks(depth: int) -> None:
    """A reorganisation of no block, or of more than there are, is an error."""
    with pytest.raises(ValueError, match="cannot reorganise"):
        made(blocks=3).reorg(NOW, depth)


def test_historical_block() -> None:
    """A background block is far below the tip, moves nothing, and comes to an end at the snapshot."""
    model = made()
    tip, coins = model.tip_hash, dict(model.coins)
    for height in range(1, 56):
        (event,) = model.connect_historical_block()
        assert isinstance(event, BlockConnected)
        assert (event.historical, event.height) == (True, height)
        assert event.data == model.block(height).data
    assert model.connect_historical_block() == []
    assert (model.tip_hash, dict(model.coins)) == (tip, coins)


def test_flush() -> None:
    """A flush reports a locator of the tip."""
    model = made(blocks=30)
    (event,) = model.flush()
    assert isinstance(event, Flushed)
    assert CBlockLocator.deserialize(event.locator).vHave == [model.tip_hash]


def test_template() -> None:
    """A template is the UTXO events of a block that is not there, and changes nothing."""
    model = made(transactions=10)
    coins, tip = dict(model.coins), model.tip_hash
    events = model.build_template()
    assert (dict(model.coins), model.tip_hash, model.mempool_size) == (coins, tip, 10)
    block = model.connect_block(NOW)
    assert events[1:] == block[1:-2]
    first, mined = events[0], block[0]
    assert isinstance(first, UtxoEvent)
    assert isinstance(mined, UtxoEvent)
    assert (first.kind, first.height, first.value, first.coinbase) == ("add", 111, mined.value, True)


def test_mempool_check() -> None:
    """With -checkmempool each acceptance replays the mempool, and its coins are in no block."""
    model = made(check_mempool=True)
    for _ in range(20):
        *checked, added = model.accept_transaction(NOW)
        assert isinstance(added, TransactionAdded)
        mempool = [CTransaction.deserialize(entry.tx.data) for entry in model.mempool]
        assert checked == connected_coins(mempool, dict(model.coins), 2147483647)
    assert kinds(model.replace_transaction(NOW)) == ["UtxoEvent", "TransactionRemoved", "TransactionAdded"]
    spends = [e for e in checked if isinstance(e, UtxoEvent) and e.kind == "spend"]
    assert {e.height == 2147483647 for e in spends} == {True, False}


def test_coins_do_not_run_out() -> None:
    """Payments go on for as long as they like."""
    model = made()
    for _ in range(3):
        for _ in range(200):
            assert model.accept_transaction(NOW)
        model.connect_block(NOW)
    assert len(model.coins) > FEW


def test_initial_block_download() -> None:
    """While headers are ahead the progress is their share; after that it is nearly 1."""
    model = made(blocks=50)
    assert model.header_height == 50
    assert model.verification_progress == 0.9999999876
    model.ibd, model.header_height = True, 200
    assert (model.header_height, model.verification_progress) == (200, 0.25)
    model.header_height = 0
    assert model.header_height == 50
    assert model.verification_progress < 1


ACTIONS = st.one_of(
    st.just(("accept_transaction", (NOW,))),
    st.just(("accept_transaction", (NOW + 5_000,))),
    st.just(("replace_transaction", (NOW,))),
    st.builds(lambda reason: ("remove_transaction", (reason,)), st.sampled_from([0, 1, 4])),
    st.builds(
        lambda now, outputs, transactions: ("connect_block", (NOW + now, outputs, transactions)),
        st.integers(-2_000, 7_200),
        st.integers(0, 5),
        st.none() | st.integers(0, 5),
    ),
    st.just(("disconnect_tip", ())),
    st.builds(lambda depth: ("reorg", (NOW, depth)), st.integers(1, 3)),
    st.just(("connect_historical_block", ())),
    st.just(("build_template", ())),
    st.just(("flush", ())),
)


@examples(25)
@given(actions=st.lists(ACTIONS, max_size=30), seed=st.integers(0, 2**32), blocks=st.sampled_from([100, 110]))
def test_any_sequence_of_actions(actions: list[tuple[str, tuple[Any, ...]]], seed: int, blocks: int) -> None:
    """Whatever happens, the events tell the coins and the mempool, and all that is left is valid."""
    model = made(seed=seed, blocks=blocks)
    coins = dict(model.coins)
    mempool: dict[bytes, None] = {}
    for name, arguments in actions:
        events: list[Event] = getattr(model, name)(*arguments)
        if name != "build_template":  # its events are a scratch view's
            replay(events, coins)
        for event in events:
            if isinstance(event, TransactionAdded):
                assert event.tx not in mempool
                mempool[event.tx] = None
            elif isinstance(event, TransactionRemoved):
                del mempool[event.tx]
            elif isinstance(event, BlockConnected) and not event.historical:
                for tx in parsed(event.data).vtx[1:]:
                    del mempool[tx.serialize()]
        assert coins == model.coins
        assert set(mempool) == {entry.tx.data for entry in model.mempool}
        check_mempool(model)
    check_blocks(model)
