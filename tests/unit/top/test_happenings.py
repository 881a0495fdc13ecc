"""telegraf_bitcoin_ipc.top.happenings: the log of the package as a few lines of events."""

import logging
from collections.abc import Iterator

import pytest

from telegraf_bitcoin_ipc.collect.events import ActiveChain, ChainEvents
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.top.happenings import KEPT, Happenings

TIPS = "telegraf_bitcoin_ipc.collect.tips"
RECONNECT = "telegraf_bitcoin_ipc.reconnect"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock that stamps what happens."""
    return Clock()


@pytest.fixture
def happenings(clock: Clock) -> Iterator[Happenings]:
    """Happenings that hear the whole log, as it is set up for `top`."""
    root, levels = logging.getLogger(), {}
    handlers, level = list(root.handlers), root.level
    for name in ("asyncio", "telegraf_bitcoin_ipc.collect.events", TIPS, RECONNECT):
        levels[name] = logging.getLogger(name).level
    made = Happenings(clock)
    made.listen()
    yield made
    logging.captureWarnings(False)
    logging.basicConfig(handlers=handlers or [logging.NullHandler()], level=level, force=True)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def events(happenings: Happenings) -> ChainEvents:
    """What takes a node's notifications."""
    store = Store()
    return ChainEvents(store, ActiveChain(store), lambda: None)


def connect(events: ChainEvents, height: int, *, historical: bool = False) -> None:
    """Connect a block, and announce it as a tip, as a tracing node does."""
    events.block_connected(
        height=height,
        block_hash=bytes(32),
        previous=bytes(32),
        data=b"",
        chain_time_max=0,
        historical=historical,
    )
    if not historical:
        events.tip_updated()


def texts(happenings: Happenings) -> list[str]:
    """What happened in words, the newest first."""
    return [str(happening) for happening in happenings]


def test_a_block_and_its_tip_are_one_line(happenings: Happenings, events: ChainEvents) -> None:
    """With its height."""
    connect(events, 5)
    assert texts(happenings) == ["block 5 connected; new tip"]


def test_blocks_within_a_second_are_one_line(happenings: Happenings, events: ChainEvents, clock: Clock) -> None:
    """With heights and number; those that come later are a line of their own."""
    for height in (5, 6, 7):
        connect(events, height)
    clock.now += 1
    connect(events, 8)
    assert texts(happenings) == ["block 8 connected; new tip", "3 blocks, 5 to 7, connected; new tip"]


def test_a_reorganisation_is_two_lines(happenings: Happenings, events: ChainEvents) -> None:
    """What left, and what came."""
    for height in (9, 8):
        events.block_disconnected(height=height, block_hash=bytes(32))
    for height in (8, 9, 10):
        connect(events, height)
    assert texts(happenings) == [
        "3 blocks, 8 to 10, connected; new tip",
        "2 blocks, 9 to 8, disconnected by a reorganisation",
    ]


def test_a_tip_that_is_told_before_its_block_is_one_line_with_it(happenings: Happenings) -> None:
    """As on a stock node, where blocks are worked out from the new tip."""
    log = logging.getLogger(TIPS)
    log.debug("tip: height=%d hash=%s", 7, "ab")
    assert texts(happenings) == ["tip at height 7"]
    log.debug("block_connected: height=%d hash=%s prev=%s", 6, "cd", "ef")
    log.debug("block_connected: height=%d hash=%s prev=%s", 7, "ab", "cd")
    assert texts(happenings) == ["2 blocks, 6 to 7, connected; new tip"]


def test_transactions_and_historical_blocks_are_no_events(happenings: Happenings, events: ChainEvents) -> None:
    """They are many, or not of the active chain; a flush is an event."""
    logging.getLogger("telegraf_bitcoin_ipc.collect.events").debug("mempool_add: txid=%s size=%d", "ab", 1)
    connect(events, 3, historical=True)
    events.chain_state_flushed(historical=False, locator=b"")
    assert texts(happenings) == ["chain state flushed to disk"]


def test_a_warning_is_the_complaint_and_why_there_is_no_session(happenings: Happenings) -> None:
    """The last one counts; further tries change the reason without another line."""
    log = logging.getLogger(RECONNECT)
    assert happenings.complaint is None
    log.warning("the node is stopping")
    log.debug("nobody answers")
    assert str(happenings.complaint) == "the node is stopping"
    assert happenings.problem == "nobody answers"
    assert texts(happenings) == ["the node is stopping"]


def test_a_log_line_cannot_tear_the_screen(happenings: Happenings) -> None:
    """Control characters are replaced, and only the first line of many is shown."""
    logging.getLogger("telegraf_bitcoin_ipc.collect.polls").error("bad\x1b[2J\nsecond")
    assert str(happenings.complaint) == "bad?[2J"


def test_only_so_many_are_kept(happenings: Happenings, events: ChainEvents, clock: Clock) -> None:
    """The memory of a screen that runs for months is bounded."""
    for height in range(KEPT * 2):
        clock.now += 2
        connect(events, height)
    assert len(texts(happenings)) == KEPT
