"""Notifications: what each does to the store, what --debug says about it, and what listeners are told."""

import logging
import random
from collections.abc import Callable

import pytest
from support.listener import Recorder

from telegraf_bitcoin_ipc.collect.decode import Malformed
from telegraf_bitcoin_ipc.collect.events import (
    UNCONFIRMED_HEIGHT,
    ActiveChain,
    ChainEvents,
    ChainListener,
    GuardTotals,
    UtxoEvents,
)
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
BLOCK = Block(120, HASH_TEXT, "0" * 64, NOW)

TX: Transaction = payment(random.Random(1), [OutPoint(HASH, 0)], [50_000, 40_000])
TXID = TX.txid[::-1].hex()

Notify = Callable[[ChainEvents], None]


def five_and_a_coinbase() -> bytes:
    """Return a serialised block of five transactions besides its coinbase."""
    model = Model(rng=random.Random(1), now=NOW)
    for _ in range(5):
        model.accept_transaction(NOW)
    model.connect_block(NOW)
    return model.chain.tip.data


DATA = five_and_a_coinbase()


class Watched:
    """Events that go into a store of their own, with a log that can be read."""

    def __init__(self, caplog: pytest.LogCaptureFixture, *groups: str, level: int = logging.DEBUG) -> None:
        caplog.set_level(level, logger="telegraf_bitcoin_ipc.collect")
        self.store = Store(groups)
        self.tips = 0
        self._listener = Recorder(self.store)
        self.chain = ChainEvents(self.store, ActiveChain(self.store, self._listener), self._tip)
        self._caplog = caplog

    @property
    def blocks(self) -> list[str]:
        """The hashes of the blocks that were reported as connected."""
        return self._listener.blocks

    @property
    def values(self) -> dict[str, Number]:
        """The values by name, with the tag values after a space."""
        return {" ".join([name, *(text for _, text in tags)]): n for name, tags, n in self.store.samples()}

    @property
    def log(self) -> list[str]:
        return self._caplog.messages

    def _tip(self) -> None:
        self.tips += 1


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> Watched:
    """Return a store and its events, with the mempool group on and --debug given."""
    return Watched(caplog, "mempool")


@pytest.mark.parametrize(
    ("notify", "values", "log"),
    [
        # A transaction that enters the mempool counts with its virtual size, which differs from its size.
        (
            lambda chain: chain.transaction_added(TX.data),
            {"mempool_tx_added_total": 1, "mempool_tx_added_vbytes_total": TX.vsize},
            f"mempool_add: txid={TXID} size={len(TX.data)}",
        ),
        # One that leaves it counts under the reason; one of a later node as unknown, not under another reason.
        *(
            (
                lambda chain, reason=reason: chain.transaction_removed(TX.data, reason),
                {"mempool_tx_removed_total": 1, f"mempool_tx_removed_by_reason_total {name}": 1},
                f"mempool_remove: txid={TXID} reason={name} size={len(TX.data)}",
            )
            for reason, name in (
                *((int(reason), reason.name.lower()) for reason in RemovalReason),
                *((reason, "unknown") for reason in (-1, len(REMOVAL_REASONS), 2**31 - 1)),
            )
        ),
        # A connected block counts, tells its height, and confirms its transactions but the coinbase.
        (
            lambda chain: chain.block_connected(BLOCK, DATA, historical=False),
            {"blocks_connected_total": 1, "block_height": 120, "mempool_tx_confirmed_total": 5},
            f"block_connected: height=120 hash={HASH_TEXT} prev={'0' * 64} chain_time_max={NOW}",
        ),
        # One of an assumeutxo background chainstate is told in the log, and moves no number.
        (
            lambda chain: chain.block_connected(BLOCK, DATA, historical=True),
            {},
            f"block_connected: height=120 hash={HASH_TEXT} prev={'0' * 64} chain_time_max={NOW} "
            "(historical chainstate)",
        ),
        (
            lambda chain: chain.block_disconnected(BLOCK),
            {"blocks_disconnected_total": 1},
            f"block_disconnected: height=120 hash={HASH_TEXT}",
        ),
        (lambda chain: chain.tip_updated(), {"tip_updates_total": 1}, "tip_updated"),
        # Each flush of either chainstate counts, and the log says which it was.
        (
            lambda chain: chain.chain_state_flushed(historical=False, locator=bytes(581)),
            {"chain_state_flushes_total": 1},
            "chain_state_flushed: role=validated locator_size=581",
        ),
        (
            lambda chain: chain.chain_state_flushed(historical=True, locator=b""),
            {"chain_state_flushes_total": 1},
            "chain_state_flushed: role=historical locator_size=0",
        ),
    ],
)
def test_event(watched: Watched, notify: Notify, values: dict[str, Number], log: str) -> None:
    """Each event counts as what it is, and is one line of the log.

    A new tip, and a block that leaves the chain (for which no new tip is announced), ask for an emission.
    """
    notify(watched.chain)
    assert watched.values == values
    assert watched.log == [log]
    assert watched.tips == len(values.keys() & {"tip_updates_total", "blocks_disconnected_total"})
    assert watched.blocks == [HASH_TEXT] * ("blocks_connected_total" in values)
    assert TX.vsize != len(TX.data)


@pytest.mark.parametrize("action", ["add", "spend", "uncache"])
def test_utxo(watched: Watched, action: str) -> None:
    """What the UTXO cache does with a coin counts under its action, with the coin's value, which never falls.

    A coin that belongs to no block is told apart where it is added. Where the guard counts, --debug shows the
    very same lines, and nothing is counted.
    """
    for events in (UtxoEvents(watched.store), UtxoEvents(None)):
        for value, height in ((5_000_000_000, 120), (-1, UNCONFIRMED_HEIGHT - 1), (1, UNCONFIRMED_HEIGHT)):
            events.utxo(action, txid=HASH, index=7, height=height, value=value, coinbase=value > 1)
    assert watched.values == {
        f"utxo_cache_{action}_total": 3,
        f"utxo_cache_{action}_value_total": 5_000_000_001,
        **({"utxo_cache_add_unconfirmed_total": 1} if action == "add" else {}),
    }
    coin = f"utxo_cache_{action}: outpoint={HASH_TEXT}:7 "
    assert watched.log == 2 * [
        f"{coin}height=120 value=5000000000 coinbase=true",
        f"{coin}height=2147483646 value=-1 coinbase=false",
        f"{coin}height=2147483647 value=1 coinbase=false",
    ]


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


@pytest.mark.parametrize(
    ("notify", "values"),
    [
        (lambda chain: chain.transaction_added(MALFORMED), {"mempool_tx_added_total": 1}),
        (
            lambda chain: chain.transaction_removed(MALFORMED, 0),
            {"mempool_tx_removed_total": 1, "mempool_tx_removed_by_reason_total expiry": 1},
        ),
        (
            lambda chain: chain.block_connected(BLOCK, bytes(80), historical=False),
            {"blocks_connected_total": 1, "block_height": 120},
        ),
    ],
)
def test_malformed(watched: Watched, notify: Notify, values: dict[str, Number]) -> None:
    """What cannot be read is an error for the log, but was counted first."""
    with pytest.raises(Malformed):
        notify(watched.chain)
    assert watched.values == values


def test_nothing_is_read_in_vain(caplog: pytest.LogCaptureFixture) -> None:
    """Without --debug and the mempool group no transaction and no block is parsed, so none can fail.

    --debug names each transaction, even where the mempool group is off.
    """
    watched = Watched(caplog, level=logging.INFO)
    watched.chain.transaction_added(MALFORMED)
    watched.chain.transaction_removed(MALFORMED, 0)
    watched.chain.block_connected(BLOCK, b"", historical=False)
    assert watched.values == {
        "mempool_tx_added_total": 1,
        "mempool_tx_removed_total": 1,
        "blocks_connected_total": 1,
        "block_height": 120,
    }
    assert watched.log == []
    watched = Watched(caplog)
    watched.chain.transaction_added(TX.data)
    assert watched.values == {"mempool_tx_added_total": 1}
    assert watched.log == [f"mempool_add: txid={TXID} size={len(TX.data)}"]


def test_every_metric_of_the_subscription_is_fed() -> None:
    """What the table says the chain notifications give is what they give, and nothing else."""
    store = Store(("mempool", "blocks"))
    chain = ActiveChain(store)
    chain.start()
    events = ChainEvents(store, chain, lambda: None)
    events.transaction_added(TX.data)
    events.transaction_removed(TX.data, 0)
    events.block_connected(BLOCK, DATA, historical=False)
    events.block_disconnected(BLOCK)
    events.tip_updated()
    events.chain_state_flushed(historical=False, locator=b"")
    assert {name for name, _, _ in store.samples()} == set(CHAIN.event_metrics(Subscription.CHAIN))


def test_listeners_are_told_what_happens() -> None:
    """Each listener is told everything in its order, after it was counted; one may ignore it all."""
    store = Store()
    listeners = Recorder(store), Recorder(store)
    chain = ActiveChain(store, ChainListener(), *listeners)
    chain.connected(BLOCK)
    chain.disconnected(BLOCK)
    chain.new_tip(None)
    chain.new_tip(BLOCK)
    chain.flushed(historical=True, locator_size=5)
    for listener in listeners:
        assert listener.told == [
            (("connected", HASH_TEXT), 1),
            (("disconnected", HASH_TEXT), 2),
            (("tip", None), 2),
            (("tip", BLOCK), 2),
            (("flushed", True, 5), 3),
        ]


@pytest.mark.parametrize(
    ("told", "reorgs", "deepest"),
    [
        ("", 0, 0),
        ("+++", 0, 0),
        ("-", 1, 1),  # the tip was invalidated, and nothing came in its place yet
        ("+-+", 1, 1),
        ("+---++++", 1, 3),
        ("---+-+", 2, 3),
        ("-+---+--+", 3, 3),
        ("--|+", 1, 2),  # the session ended in the middle
        ("--|-+", 2, 2),  # whether these belong together nobody knows: it is not taken for a deeper one
        ("---+|+-+", 2, 3),
    ],
)
def test_reorganisations(told: str, reorgs: int, deepest: int) -> None:
    """Blocks that leave one after another are one reorganisation; the deepest since the start is shown, also 0.

    `+` connects a block, `-` disconnects one, `|` is a new session.
    """
    store = Store(["blocks"])
    chain = ActiveChain(store)

    def begin_session() -> None:
        store.end_session()
        chain.start()

    begin_session()
    steps = {"+": lambda: chain.connected(BLOCK), "-": lambda: chain.disconnected(BLOCK), "|": begin_session}
    for sign in told:
        steps[sign]()
    values = {name: value for name, _, value in store.samples()}
    assert (values.get("reorgs_total", 0), values["reorg_depth_max"]) == (reorgs, deepest)
