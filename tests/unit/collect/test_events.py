"""Notifications: what each does to the store, and what --debug says about it."""

import logging
import random
from collections.abc import Callable

import pytest
from support.listener import Connected

from telegraf_bitcoin_ipc.collect.decode import Malformed
from telegraf_bitcoin_ipc.collect.events import (
    UNCONFIRMED_HEIGHT,
    ActiveChain,
    ChainEvents,
    GuardTotals,
    UtxoEvents,
)
from telegraf_bitcoin_ipc.collect.listeners import ChainLog
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tags import REMOVAL_REASONS, Subscription
from telegraf_bitcoin_ipc.collect.values import Block, Number
from telegraf_bitcoin_ipc.guard import contract
from telegraf_bitcoin_ipc.ipc.dialects import CHAIN, TRACING
from telegraf_bitcoin_ipc.simnode.events import RemovalReason
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, Transaction, payment

NOW = 1_700_000_000
HASH = bytes(range(32))
HASH_TEXT = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"
MALFORMED = b"\x02\x00\x00\x00\x00\x01"

TX: Transaction = payment(random.Random(1), [OutPoint(HASH, 0)], [50_000, 40_000])
TXID = TX.txid[::-1].hex()


class Watched:
    """Events that go into a store of their own, with a log that can be read."""

    def __init__(self, caplog: pytest.LogCaptureFixture, groups: tuple[str, ...]) -> None:
        self.store = Store(groups)
        self.tips = 0
        self._listener = Connected()
        self.chain = ChainEvents(self.store, ActiveChain(self.store, self._listener, ChainLog()), self._tip)
        self.utxo = UtxoEvents(self.store).utxo
        self._caplog = caplog

    @property
    def blocks(self) -> list[str]:
        """The hashes of the blocks that were reported as connected."""
        return self._listener.hashes

    @property
    def values(self) -> dict[str, Number]:
        """The values by name, with the tag values after a space."""
        return {" ".join([name, *(text for _, text in tags)]): n for name, tags, n in self.store.samples()}

    @property
    def log(self) -> list[str]:
        return self._caplog.messages

    def connect(self, *, data: bytes, historical: bool = False) -> None:
        """Connect a block with that data."""
        block = Block(120, HASH_TEXT, "0" * 64, NOW)
        self.chain.block_connected(block, data, historical=historical)

    def _tip(self) -> None:
        self.tips += 1


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Callable[..., Watched]:
    """Make a store and its events, with the mempool group on and --debug given unless said otherwise."""

    def make(*groups: str, level: int = logging.DEBUG) -> Watched:
        caplog.set_level(level, logger="telegraf_bitcoin_ipc.collect")
        return Watched(caplog, groups or ("mempool",))

    return make


@pytest.fixture(scope="module")
def block() -> bytes:
    """Return a serialised block of five transactions besides its coinbase."""
    model = Model(rng=random.Random(1), now=NOW)
    for _ in range(5):
        model.accept_transaction(NOW)
    model.connect_block(NOW)
    return model.chain.tip.data


def test_transaction_added(watch: Callable[..., Watched]) -> None:
    """A transaction that enters the mempool counts with its virtual size, which differs from its size."""
    watched = watch()
    watched.chain.transaction_added(TX.data)
    assert watched.values == {"mempool_tx_added_total": 1, "mempool_tx_added_vbytes_total": TX.vsize}
    assert watched.log == [f"mempool_add: txid={TXID} size={len(TX.data)}"]
    assert TX.vsize != len(TX.data)


@pytest.mark.parametrize("reason", RemovalReason)
def test_transaction_removed(watch: Callable[..., Watched], reason: RemovalReason) -> None:
    """A transaction that leaves the mempool counts under the node's own reason."""
    watched = watch()
    watched.chain.transaction_removed(TX.data, int(reason))
    assert watched.values == {
        "mempool_tx_removed_total": 1,
        f"mempool_tx_removed_by_reason_total {reason.name.lower()}": 1,
    }
    assert watched.log == [f"mempool_remove: txid={TXID} reason={reason.name.lower()} size={len(TX.data)}"]


@pytest.mark.parametrize("reason", [-1, len(REMOVAL_REASONS), 2**31 - 1])
def test_unknown_reason(watch: Callable[..., Watched], reason: int) -> None:
    """A reason of a later node is counted as unknown, not under another reason."""
    watched = watch()
    watched.chain.transaction_removed(TX.data, reason)
    assert watched.values["mempool_tx_removed_by_reason_total unknown"] == 1
    assert watched.log == [f"mempool_remove: txid={TXID} reason=unknown size={len(TX.data)}"]


def test_block_connected(watch: Callable[..., Watched], block: bytes) -> None:
    """A connected block counts, tells its height, and confirms its transactions but the coinbase."""
    watched = watch()
    watched.connect(data=block)
    assert watched.values == {
        "blocks_connected_total": 1,
        "block_height": 120,
        "mempool_tx_confirmed_total": 5,
    }
    assert watched.log == [f"block_connected: height=120 hash={HASH_TEXT} prev={'0' * 64} chain_time_max={NOW}"]
    assert watched.blocks == [HASH_TEXT]


def test_historical_block(watch: Callable[..., Watched], block: bytes) -> None:
    """A block of an assumeutxo background chainstate is told in the log, and moves no number."""
    watched = watch()
    watched.connect(data=block, historical=True)
    assert watched.values == {}
    assert watched.blocks == []
    (line,) = watched.log
    assert line.endswith(f"chain_time_max={NOW} (historical chainstate)")


def test_block_disconnected(watch: Callable[..., Watched]) -> None:
    """A block that leaves the active chain counts, and asks for an emission, for no new tip is announced."""
    watched = watch()
    watched.chain.block_disconnected(Block(120, HASH_TEXT))
    assert watched.values == {"blocks_disconnected_total": 1}
    assert watched.log == [f"block_disconnected: height=120 hash={HASH_TEXT}"]
    assert watched.tips == 1


def test_tip_updated(watch: Callable[..., Watched]) -> None:
    """A new tip counts, and asks for an emission."""
    watched = watch()
    watched.chain.tip_updated()
    assert watched.values == {"tip_updates_total": 1}
    assert watched.log == ["tip_updated"]
    assert watched.tips == 1


def test_chain_state_flushed(watch: Callable[..., Watched]) -> None:
    """Each flush of either chainstate counts, and the log says which it was."""
    watched = watch()
    watched.chain.chain_state_flushed(historical=False, locator=bytes(581))
    watched.chain.chain_state_flushed(historical=True, locator=b"")
    assert watched.values == {"chain_state_flushes_total": 2}
    assert watched.log == [
        "chain_state_flushed: role=validated locator_size=581",
        "chain_state_flushed: role=historical locator_size=0",
    ]


@pytest.mark.parametrize("action", ["add", "spend", "uncache"])
def test_utxo(watch: Callable[..., Watched], action: str) -> None:
    """What the UTXO cache does with a coin counts under its action, with the coin's value."""
    watched = watch()
    for value in (5_000_000_000, 1):
        watched.utxo(action, txid=HASH, index=7, height=120, value=value, coinbase=value > 1)
    assert watched.values == {
        f"utxo_cache_{action}_total": 2,
        f"utxo_cache_{action}_value_total": 5_000_000_001,
    }
    assert watched.log == [
        f"utxo_cache_{action}: outpoint={HASH_TEXT}:7 height=120 value=5000000000 coinbase=true",
        f"utxo_cache_{action}: outpoint={HASH_TEXT}:7 height=120 value=1 coinbase=false",
    ]


@pytest.mark.parametrize("action", ["add", "spend", "uncache"])
def test_negative_value(watch: Callable[..., Watched], action: str) -> None:
    """A coin of negative value counts as one of no value, as it does in the guard: no counter falls."""
    watched = watch()
    for value in (70, -1):
        watched.utxo(action, txid=HASH, index=7, height=120, value=value, coinbase=False)
    assert watched.values == {f"utxo_cache_{action}_total": 2, f"utxo_cache_{action}_value_total": 70}
    assert "value=-1" in watched.log[1]


def test_unconfirmed_coin(watch: Callable[..., Watched]) -> None:
    """A coin that belongs to no block is told apart where it is added, and only there."""
    watched = watch()
    for action in ("add", "spend", "uncache"):
        watched.utxo(action, txid=HASH, index=0, height=UNCONFIRMED_HEIGHT, value=1, coinbase=False)
    watched.utxo("add", txid=HASH, index=0, height=UNCONFIRMED_HEIGHT - 1, value=1, coinbase=False)
    assert UNCONFIRMED_HEIGHT == 2147483647
    assert watched.values["utxo_cache_add_unconfirmed_total"] == 1
    assert watched.values["utxo_cache_add_total"] == 2


def test_utxo_log(watch: Callable[..., Watched]) -> None:
    """Where the guard counts, --debug shows the very same lines, and nothing is counted twice."""
    watched = watch()
    UtxoEvents(None).utxo("add", txid=HASH, index=7, height=120, value=1, coinbase=False)
    assert watched.values == {}
    watched.utxo("add", txid=HASH, index=7, height=120, value=1, coinbase=False)
    assert watched.log == [f"utxo_cache_add: outpoint={HASH_TEXT}:7 height=120 value=1 coinbase=false"] * 2


def test_guard_totals() -> None:
    """What the guards of several sessions have added up is counted once each, and never falls."""
    store = Store()
    totals = {"add": 0, "add_value": 0, "events_dropped": 0}
    first = GuardTotals(store, lambda: dict(totals))
    first.sync_totals()
    assert list(store.samples()) == []
    totals |= {"add": 2, "add_value": 70}
    first.sync_totals()
    totals |= {"add": 3, "add_value": 75, "events_dropped": 4}
    first.sync_totals()
    first.sync_totals()
    GuardTotals(store, lambda: {"add": 10, "add_value": 0, "events_dropped": 0}).sync_totals()
    assert {name: value for name, _, value in store.samples()} == {
        "utxo_cache_add_total": 13,
        "utxo_cache_add_value_total": 75,
        "events_dropped_total": 4,
    }


def test_every_total_of_the_guard_has_a_counter() -> None:
    """Whatever the guard adds up finds its counter, and every counter of the trace is fed."""
    store = Store()
    GuardTotals(store, lambda: dict.fromkeys(contract.TOTALS, 1)).sync_totals()
    counters = TRACING.event_metrics(Subscription.UTXO_CACHE)
    assert counters
    others = {"events_dropped_total", "guard_refused_calls_total"}
    assert {name for name, _, _ in store.samples()} == {*counters, *others}


def test_malformed_transaction_added(watch: Callable[..., Watched]) -> None:
    """A transaction that cannot be read is an error for the log, but was counted first."""
    watched = watch()
    with pytest.raises(Malformed):
        watched.chain.transaction_added(MALFORMED)
    assert watched.values == {"mempool_tx_added_total": 1}


def test_malformed_transaction_removed(watch: Callable[..., Watched]) -> None:
    """Neither is a removal lost because --debug could not name the transaction."""
    watched = watch()
    with pytest.raises(Malformed):
        watched.chain.transaction_removed(MALFORMED, 0)
    assert watched.values == {"mempool_tx_removed_total": 1, "mempool_tx_removed_by_reason_total expiry": 1}


def test_malformed_block(watch: Callable[..., Watched]) -> None:
    """A block that cannot be read still counts and still moves the height."""
    watched = watch()
    with pytest.raises(Malformed):
        watched.connect(data=bytes(80))
    assert watched.values == {"blocks_connected_total": 1, "block_height": 120}


def test_nothing_is_read_in_vain(watch: Callable[..., Watched]) -> None:
    """Without --debug and the mempool group no transaction and no block is parsed, so none can fail."""
    watched = watch("core", level=logging.INFO)
    watched.chain.transaction_added(MALFORMED)
    watched.chain.transaction_removed(MALFORMED, 0)
    watched.connect(data=b"")
    assert watched.values == {
        "mempool_tx_added_total": 1,
        "mempool_tx_removed_total": 1,
        "blocks_connected_total": 1,
        "block_height": 120,
    }
    assert watched.log == []


def test_debug_reads_without_the_group(watch: Callable[..., Watched]) -> None:
    """--debug names each transaction, even where the mempool group is off."""
    watched = watch("core")
    watched.chain.transaction_added(TX.data)
    assert watched.values == {"mempool_tx_added_total": 1}
    assert watched.log == [f"mempool_add: txid={TXID} size={len(TX.data)}"]


def told_everything(groups: tuple[str, ...], block: bytes) -> Store:
    """Return what a store holds after one notification of each kind."""
    store = Store(groups)
    chain = ActiveChain(store)
    chain.start()
    events = ChainEvents(store, chain, lambda: None)
    events.transaction_added(TX.data)
    for reason in range(-1, len(REMOVAL_REASONS)):
        events.transaction_removed(TX.data, reason)
    events.block_connected(Block(1, HASH_TEXT), block, historical=False)
    events.block_disconnected(Block(1, HASH_TEXT))
    events.tip_updated()
    events.chain_state_flushed(historical=False, locator=b"")
    return store


def test_every_metric_of_the_subscription_is_fed(block: bytes) -> None:
    """What the table says the chain notifications give is what they give, and nothing else."""
    store = told_everything(("mempool", "blocks"), block)
    assert {name for name, _, _ in store.samples()} == set(CHAIN.event_metrics(Subscription.CHAIN))
