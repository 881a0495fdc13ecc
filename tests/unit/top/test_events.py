"""telegraf_bitcoin_ipc.top.events: what happens on the chain, and the log, as a few lines."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from support.properties import any_text

from telegraf_bitcoin_ipc.collect.events import ActiveChain, ChainEvents
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block
from telegraf_bitcoin_ipc.top.events import KEPT, Events, printable


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock that timestamps events."""
    return Clock()


@pytest.fixture
def shown(clock: Clock) -> Iterator[Events]:
    """Events that take the whole log, as they are set up for `top`."""
    root, asyncio_log = logging.getLogger(), logging.getLogger("asyncio")
    handlers, level, asyncio_level = list(root.handlers), root.level, asyncio_log.level
    made = Events(clock)
    made.take_log()
    yield made
    logging.captureWarnings(False)
    logging.basicConfig(handlers=handlers or [logging.NullHandler()], level=level, force=True)
    asyncio_log.setLevel(asyncio_level)


@pytest.fixture
def events(shown: Events) -> ChainEvents:
    """A subscription's events, of which `shown` is told."""
    store = Store(())
    return ChainEvents(store, ActiveChain(store, shown), lambda: None)


def connect(events: ChainEvents, height: int, *, historical: bool = False) -> None:
    """Connect a block, and announce it as a tip, as a tracing node does."""
    events.block_connected(Block(height, "0" * 64), b"", historical=historical)
    if not historical:
        events.tip_updated()


def texts(shown: Events) -> list[str]:
    """What happened in words, the newest first."""
    return [str(event) for event in shown]


def test_blocks_within_a_second_are_one_line(shown: Events, events: ChainEvents, clock: Clock) -> None:
    """With heights, number and tip; those that come later are a line of their own."""
    for height in (5, 6, 7):
        connect(events, height)
    clock.now += 1
    connect(events, 8)
    assert texts(shown) == ["block 8 connected; new tip", "3 blocks, 5 to 7, connected; new tip"]


def test_a_reorganisation_is_two_lines(shown: Events, events: ChainEvents) -> None:
    """What left, and what came."""
    for height in (9, 8):
        events.block_disconnected(Block(height, "0" * 64))
    for height in (8, 9, 10):
        connect(events, height)
    assert texts(shown) == [
        "3 blocks, 8 to 10, connected; new tip",
        "2 blocks, 9 to 8, disconnected by a reorganisation",
    ]


def test_a_tip_that_is_reported_before_its_block_is_one_line_with_it(shown: Events) -> None:
    """As on a stock node, where blocks are worked out from the new tip."""
    shown.new_tip(Block(7, "ab"))
    assert texts(shown) == ["tip at height 7"]
    shown.connected(Block(6, "cd", "ef"))
    shown.connected(Block(7, "ab", "cd"))
    assert texts(shown) == ["2 blocks, 6 to 7, connected; new tip"]


def test_transactions_and_historical_blocks_are_no_events(shown: Events, events: ChainEvents) -> None:
    """They are many, or not of the active chain; a flush is an event."""
    events.transaction_added(b"")
    logging.getLogger("telegraf_bitcoin_ipc.collect.polls").debug("getpeerinfo fails")
    connect(events, 3, historical=True)
    events.chain_state_flushed(historical=False, locator=b"")
    assert texts(shown) == ["chain state flushed to disk"]


def test_a_warning_is_kept_and_so_is_why_there_is_no_session(shown: Events) -> None:
    """The last one counts; further tries change the reason without another line. Nothing tears the screen."""
    assert shown.warning is None
    log = logging.getLogger("telegraf_bitcoin_ipc.reconnect")
    log.error("first")
    log.warning("the node\x1b[2J is stopping\nsecond")
    shown.set_problem("nobody\x1banswers")
    assert str(shown.warning) == "the node?[2J is stopping"
    assert shown.problem == "nobody?answers"
    assert texts(shown) == ["the node?[2J is stopping", "first"]


def test_only_so_many_are_kept(shown: Events, events: ChainEvents, clock: Clock) -> None:
    """The memory of a screen that runs for months is bounded."""
    for height in range(KEPT * 2):
        clock.now += 2
        connect(events, height)
    assert len(texts(shown)) == KEPT


@given(any_text())
def test_nothing_from_elsewhere_moves_the_cursor(text: str) -> None:
    """Text from a node cannot tear the screen."""
    assert len(printable(text)) == len(text)
    assert printable(text).isprintable()
