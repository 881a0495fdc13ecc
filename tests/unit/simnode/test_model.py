"""The simulated node's model: valid blocks, balanced values, and the events in a real node's order."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from bitcoin.core import COIN, CBlock, CheckBlock, CoreRegTestParams, CTransaction
from bitcoin.core.script import OP_RETURN, CScript
from bitcoin.net import CBlockLocator
from hypothesis import given
from hypothesis import strategies as st
from support.properties import examples

from telegraf_bitcoin_ipc.simnode.chain import TARGET, subsidy
from telegraf_bitcoin_ipc.simnode.coins import UNCONFIRMED_HEIGHT, Coin
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
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint
from telegraf_bitcoin_ipc.simnode.wallet import FEW, MANY, MIN_VALUE, Payment, Wallet, bumped

NOW = 1_700_000_000
COINBASE_MATURITY = 100

Coins = dict[OutPoint, Coin]


def made(*, transactions: int = 0, seed: int = 1, blocks: int = 110, check_mempool: bool = False) -> Model:
    """Return a model with that many blocks and transactions in its mempool."""
    model = Model(rng=random.Random(seed), now=NOW, blocks=blocks, check_mempool=check_mempool)
    for _ in range(transactions):
        assert model.accept_transaction(NOW)
    return model


def parsed(data: bytes) -> Any:
    """Return the block as python-bitcoinlib reads it."""
    return CBlock.deserialize(data)


def tx_of(event: Event) -> Any:
    """Return the transaction that an event of the mempool carries."""
    assert isinstance(event, TransactionAdded | TransactionRemoved)
    return CTransaction.deserialize(event.tx)


def outpoints_of(tx: Any) -> list[OutPoint]:
    """Return what a transaction of python-bitcoinlib spends."""
    return [OutPoint(txin.prevout.hash, txin.prevout.n) for txin in tx.vin]


def coins_of(tx: Any, height: int) -> Coins:
    """Return the coins that a transaction of python-bitcoinlib creates."""
    txid, coinbase = tx.GetTxid(), tx.is_coinbase()
    return {
        OutPoint(txid, n): Coin(out.nValue, height, coinbase)
        for n, out in enumerate(tx.vout)
        if out.scriptPubKey[:1] != bytes([OP_RETURN])
    }


def utxo(kind: Any, outpoint: OutPoint, coin: Coin) -> UtxoEvent:
    """Return the event of a coin."""
    return UtxoEvent(kind, outpoint.txid, outpoint.n, coin.height, coin.value, coin.coinbase)


def connected_coins(txs: Iterable[Any], coins: Coins, height: int) -> list[UtxoEvent]:
    """Return the UTXO events of connecting `txs`, and change `coins` as that does."""
    events = []
    for tx in txs:
        if not tx.is_coinbase():
            events += [utxo("spend", spent, coins.pop(spent)) for spent in outpoints_of(tx)]
        created = coins_of(tx, height)
        coins.update(created)
        events += [utxo("add", outpoint, coin) for outpoint, coin in created.items()]
    return events


def undone(events: Iterable[Event], txs: Iterable[Any]) -> list[UtxoEvent]:
    """Return the UTXO events of disconnecting the block of `txs` whose connection was `events`."""
    coins = {(e.kind, e.txid, e.index): e for e in events if isinstance(e, UtxoEvent)}
    expected = []
    for tx in reversed(list(txs)):
        adds = [coins["add", txid, n] for txid, n in coins_of(tx, 0)]
        expected += [UtxoEvent("spend", e.txid, e.index, e.height, e.value, e.coinbase) for e in adds]
        if not tx.is_coinbase():
            spends = [coins["spend", txid, n] for txid, n in reversed(outpoints_of(tx))]
            expected += [UtxoEvent("add", e.txid, e.index, e.height, e.value, e.coinbase) for e in spends]
    return expected


def replay(events: Iterable[Event], coins: Coins) -> None:
    """Apply the UTXO events to `coins`; each has to fit."""
    for event in events:
        if isinstance(event, UtxoEvent):
            outpoint = OutPoint(event.txid, event.index)
            coin = Coin(event.value, event.height, event.coinbase)
            if event.kind == "add":
                assert outpoint not in coins
                coins[outpoint] = coin
            elif event.kind == "spend":
                assert coins.pop(outpoint) == coin
            else:
                assert coins[outpoint] == coin


def kinds(events: Iterable[Event]) -> list[str]:
    """Return the events' names, runs of UTXO events as one name."""
    names: list[str] = []
    for event in events:
        name = type(event).__name__
        if name != "UtxoEvent" or names[-1:] != [name]:
            names.append(name)
    return names


def check_blocks(model: Model) -> None:
    """Check every block as python-bitcoinlib sees it, and that no value appears or gets lost."""
    values: dict[OutPoint, int] = {}
    prev_hash = model.block(0).hash
    for height in range(1, model.height + 1):
        block = parsed(model.block(height).data)
        CheckBlock(block, fCheckPoW=False)  # that would need the library's global choice of a network
        assert int.from_bytes(block.GetHash(), "little") <= TARGET
        assert block.nBits == CoreRegTestParams.GENESIS_BLOCK.nBits
        assert block.hashPrevBlock == prev_hash
        assert bytes(block.vtx[0].vin[0].scriptSig).startswith(bytes(CScript([height])))
        assert block.GetHash() == model.block(height).hash
        prev_hash = block.GetHash()
        fees = 0
        for tx in block.vtx[1:]:
            fee = sum(values.pop(spent) for spent in outpoints_of(tx)) - sum(out.nValue for out in tx.vout)
            assert fee > 0
            fees += fee
            values |= {OutPoint(tx.GetTxid(), n): out.nValue for n, out in enumerate(tx.vout)}
        assert sum(out.nValue for out in block.vtx[0].vout) == subsidy(height) + fees
        values |= {outpoint: coin.value for outpoint, coin in coins_of(block.vtx[0], height).items()}
    assert values == {outpoint: coin.value for outpoint, coin in model.coins.items()}


def check_mempool(model: Model) -> None:
    """Check that the next block can confirm the whole mempool, and that its totals are right."""
    coins = dict(model.coins)
    vbytes = total_fee = 0
    for entry in model.mempool:
        tx = CTransaction.deserialize(entry.tx.data)
        spent = [coins.pop(outpoint) for outpoint in outpoints_of(tx)]
        assert all(not coin.coinbase or model.height + 1 - coin.height >= COINBASE_MATURITY for coin in spent)
        coins |= coins_of(tx, UNCONFIRMED_HEIGHT)
        vbytes += -(-tx.calc_weight() // 4)
        total_fee += sum(coin.value for coin in spent) - sum(out.nValue for out in tx.vout)
    assert (model.mempool.vbytes, model.mempool.total_fee) == (vbytes, total_fee)
    assert model.mempool.usage >= vbytes
    assert bool(model.mempool.usage) == bool(model.mempool_size)


def test_first_chain() -> None:
    """The first chain stands on regtest's genesis block and ends now, ten minutes from block to block."""
    model = made(blocks=12)
    assert model.block(0).data == CoreRegTestParams.GENESIS_BLOCK.serialize()
    assert [model.block(height).time for height in range(1, 13)] == list(range(NOW - 6600, NOW + 1, 600))
    assert (model.height, model.chain.tip.time, model.chain.median_time) == (12, NOW, NOW - 5 * 600)
    assert model.tip_hash == model.block(12).hash
    check_blocks(model)


def test_no_block_at_all() -> None:
    """A model without blocks has the genesis block, no coins and nothing to do with them."""
    model = made(blocks=0)
    assert (model.height, dict(model.coins)) == (0, {})
    assert model.accept_transaction(NOW) == []
    assert model.disconnect_tip() == []
    assert kinds(model.connect_block(NOW)) == ["UtxoEvent", "BlockConnected", "TipUpdated"]


def test_subsidy_halves() -> None:
    """The subsidy halves every 150 blocks, as on regtest."""
    halving = [subsidy(height) for height in (1, 149, 150, 299, 300, 150 * 33, 150 * 64)]
    assert halving == [50 * COIN, 50 * COIN, 25 * COIN, 25 * COIN, 1_250_000_000, 0, 0]


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


def test_transaction_conflicts() -> None:
    """A conflict removes a transaction and uncaches nothing."""
    model = made(transactions=1)
    (removed,) = model.remove_transaction(4)
    assert isinstance(removed, TransactionRemoved)
    assert removed.reason == RemovalReason.CONFLICT


def test_expiry_takes_the_oldest() -> None:
    """Of the transactions without descendants the one with the earliest time of entry expires."""
    model = made()
    accepted = [model.accept_transaction(NOW - age) for age in range(10)]
    for ((added,),) in zip(reversed(accepted), strict=True):
        assert isinstance(added, TransactionAdded)
        assert model.remove_transaction(RemovalReason.EXPIRY)[0] == TransactionRemoved(added.tx, 0)


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


def test_coinbase_matures() -> None:
    """The first coinbase can be spent in block 101, and not before."""
    model = made(blocks=99)
    assert model.accept_transaction(NOW) == []
    model.connect_block(NOW)
    (event,) = model.accept_transaction(NOW)
    assert outpoints_of(tx_of(event)) == [OutPoint(model.block(1).transactions[0].txid, 0)]


def test_coins_do_not_run_out() -> None:
    """Payments go on for as long as they like."""
    model = made()
    for _ in range(3):
        for _ in range(200):
            assert model.accept_transaction(NOW)
        model.connect_block(NOW)
    assert len(model.coins) > FEW


def test_coins_do_not_pile_up() -> None:
    """Many outputs become fewer, few become more, and no value is lost but the fee."""
    for outputs, more in ((MANY + 1, False), (1, True)):
        wallet = Wallet()
        for n in range(outputs):
            wallet.add(OutPoint(bytes(32), n), 1_000_000)
        for seed in range(20):
            payment = wallet.next_payment(random.Random(seed))
            assert payment is not None
            assert len(set(payment.inputs)) == len(payment.inputs)
            assert (len(payment.outputs) > len(payment.inputs)) == more
            assert sum(payment.outputs) + payment.fee == 1_000_000 * len(payment.inputs)


def test_small_coins_stay_where_they_are() -> None:
    """An output that cannot pay for its own fee is not spent, and a payment too small is not bumped."""
    wallet = Wallet()
    wallet.add(OutPoint(bytes(32), 0), MIN_VALUE - 1)
    assert wallet.next_payment(random.Random(1)) is None
    assert bumped(random.Random(1), Payment([OutPoint(bytes(32), 0)], [MIN_VALUE], 100), 110) is None


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


def test_size_on_disk_keeps_stale_blocks() -> None:
    """A disconnected block stays on disk."""
    model = made(blocks=3)
    size = model.chain.size_on_disk
    model.disconnect_tip()
    assert model.chain.size_on_disk == size
    model.connect_block(NOW)
    assert model.chain.size_on_disk == size + len(model.block(3).data) + 8


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
