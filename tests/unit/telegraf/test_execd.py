"""Telegraf's pipes: everything arrives while they are read, nothing waits when not; and when to emit."""

import errno
import fcntl
import logging
import math
import os
import queue
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telegraf_bitcoin_ipc.telegraf.execd import LineWriter, LogHandler, PrefixFormatter, Schedule, watch_stdin

LONG = 120.0  # seconds: only a test that fails waits for so long
TELEGRAFS_LIMIT = 64 * 1024  # bytes: a longer line ends Telegraf's reading of stderr


class Pair:
    """A small real pipe whose writing end is a LineWriter's."""

    def __init__(self, kept: int) -> None:
        reader, self.writer = os.pipe()
        self.reader = os.fdopen(reader, "rb", buffering=0)
        capacity = fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 1)  # the least that the system makes of it
        self._too_much = "s" * 2 * capacity
        before = set(threading.enumerate())
        self.pipe = LineWriter(self.writer, kept)
        (self._thread,) = set(threading.enumerate()) - before

    def read(self, size: int, seconds: float = LONG) -> bytes:
        """Wait for that many bytes and return them; an error if nothing comes for so long."""
        data = b""
        while len(data) < size:
            assert select.select([self.reader], [], [], seconds)[0], f"no more than {data!r} came"
            data += self.reader.read(size - len(data))
        return data

    def read_lines(self, *lines: str) -> None:
        """Wait for these lines; anything else that comes first is an error."""
        for line in lines:
            assert self.read(len(line.encode()) + 1).decode() == f"{line}\n"

    def get_stuck(self) -> None:
        """Write what does not fit, and return once the thread is at it: its first byte has come."""
        self.pipe.put([self._too_much])
        assert self.read(1) == b"s"

    def get_unstuck(self) -> None:
        """Read the rest of it."""
        self.read_lines(self._too_much[1:])

    def end(self) -> None:
        """Break the pipe, and wait for the thread to find that out."""
        self.reader.close()
        self.pipe.put(["the end"])
        self._thread.join(LONG)
        assert not self._thread.is_alive()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Return a pipe that keeps a thousand lines, or as many as the test says."""
    pair = Pair(getattr(request, "param", 1000))
    yield pair
    pair.end()
    os.close(pair.writer)


def keeping(lines: int) -> pytest.MarkDecorator:
    """Have a test's pipe keep that many lines."""
    return pytest.mark.parametrize("pair", [lines], indirect=True)


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_arrive_in_order(pair: Pair, blocking: bool) -> None:
    """Telegraf reads every line whole, in the order of the emissions, in as many writes as it takes.

    With O_NONBLOCK on it, as a process may set it that shares the pipe, a full pipe is waited for. A path of raw
    bytes in the log is shown escaped, and what comes after it still arrives.
    """
    os.set_blocking(pair.writer, blocking)
    lines = [f"{number:0200d}" for number in range(900)]
    for batch in (["one", "two"], [], ["three é"], ["connected to /run/\udcff.sock"], lines):
        pair.pipe.put(batch)
    pair.read_lines("one", "two", "three é", "connected to /run/\\udcff.sock", *lines)
    assert pair.pipe.take_dropped() == 0


def test_flush_waits_for_all(pair: Pair) -> None:
    """When the program ends, its last lines are in the pipe, and nothing waits any longer than for that."""
    pair.pipe.put(["last", "lines"])
    pair.pipe.flush(threading.TIMEOUT_MAX)
    assert pair.read(11, seconds=0) == b"last\nlines\n"
    pair.pipe.flush(threading.TIMEOUT_MAX)


def test_flush_gives_up(pair: Pair) -> None:
    """A Telegraf that does not read is waited for, but cannot keep the program from ending."""
    pair.get_stuck()
    for waiting in (0, 1):
        began = time.monotonic()
        pair.pipe.flush(0.05)
        assert time.monotonic() > began + 0.04
        assert pair.pipe.backlog() == waiting
        pair.pipe.put(["never read"])


@keeping(5)
def test_put_never_waits(pair: Pair) -> None:
    """Without a reader the newest lines are kept; the oldest batches are dropped and counted.

    The newest emission is never cut, however many lines it has.
    """
    pair.get_stuck()
    for batch in range(10):
        pair.pipe.put([f"{batch}a", f"{batch}b"])
    assert pair.pipe.backlog() == 4
    assert pair.pipe.take_dropped() == 16
    assert pair.pipe.take_dropped() == 0
    pair.get_unstuck()
    pair.read_lines("8a", "8b", "9a", "9b")
    pair.get_stuck()
    pair.pipe.put(["old"])
    pair.pipe.put(["1", "2", "3", "4", "5", "6"])
    assert pair.pipe.take_dropped() == 1
    pair.get_unstuck()
    pair.read_lines("1", "2", "3", "4", "5", "6")
    assert pair.pipe.take_dropped() == 0


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("stuck", [False, True])
def test_broken_pipe(pair: Pair, *, stuck: bool, blocking: bool) -> None:
    """A closed pipe is noticed at the next write, even in the middle of a line, and reported once."""
    os.set_blocking(pair.writer, blocking)
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    pair.pipe.on_broken(lambda: told.put(threading.current_thread().name))
    if stuck:
        pair.get_stuck()
    pair.reader.close()
    pair.pipe.put(["nobody reads this"])
    assert told.get(timeout=LONG).startswith("pipe ")
    pair.end()
    pair.pipe.put(["nor this"])
    pair.pipe.flush(LONG)
    assert told.empty()
    assert pair.pipe.backlog() == 0
    assert pair.pipe.take_dropped() == 0


def record(level: int, message: str, error: BaseException | None = None) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("test", level, __file__, 1, message, None, info)


def test_levels() -> None:
    """Telegraf logs each line at the level that it had here."""
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, logging.INFO + 1)
    texts = [PrefixFormatter().format(record(level, "text")) for level in levels]
    assert texts == [f"{letter}! text" for letter in "EEWIDI"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\x85", "\u2028"])
def test_every_line_has_its_prefix(end: str) -> None:
    """Whatever ends a line, no line of a message, be it empty, is one that Telegraf takes for an error."""
    assert PrefixFormatter().format(record(logging.INFO, f"one{end}two{end}")) == "I! one\nI! two"
    assert PrefixFormatter().format(record(logging.INFO, "")) == "I! "


def test_traceback() -> None:
    """A traceback is one error of several lines, each of which has its prefix."""
    try:
        raise ValueError("first line\nsecond line")
    except ValueError as error:
        lines = PrefixFormatter().format(record(logging.ERROR, "it failed", error)).split("\n")
    assert lines[:2] == ["E! it failed", "E! Traceback (most recent call last):"]
    assert lines[-2:] == ["E! ValueError: first line", "E! second line"]
    assert all(line.startswith("E! ") for line in lines)


@pytest.mark.parametrize("character", ["a", "é", "\U0001f600", "\udcff"])
def test_long_line_is_cut(pair: Pair, character: str) -> None:
    """No line of the log is so long that Telegraf stops reading the log for good; the next arrives as it is."""
    handler = LogHandler(pair.pipe)
    handler.emit(record(logging.INFO, character * 100_000))
    handler.emit(record(logging.WARNING, "one is gone,\nand two too"))
    line = b""
    while not line.endswith(b"\n"):
        line += pair.read(1)
    assert line.startswith(b"I! ")
    assert 8000 < len(line) < TELEGRAFS_LIMIT
    pair.read_lines("W! one is gone,", "W! and two too")


@keeping(2)
def test_handler_tells_what_was_lost(pair: Pair) -> None:
    """Once Telegraf reads its stderr again, the log itself says how much of it is missing."""
    handler = LogHandler(pair.pipe)
    pair.get_stuck()
    for number in range(5):
        handler.emit(record(logging.INFO, f"{number}"))
    pair.get_unstuck()
    pair.read_lines("I! 3", "I! 4")
    handler.emit(record(logging.INFO, "5"))
    pair.read_lines("W! 3 lines of this log were dropped: they were not read in time", "I! 5")
    handler.emit(record(logging.INFO, "6"))
    pair.read_lines("I! 6")


class Stdin:
    """What was called back by a thread that watches a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._called: queue.SimpleQueue[str] = queue.SimpleQueue()
        before = set(threading.enumerate())
        watch_stdin(descriptor, lambda: self._called.put("newline"), lambda: self._called.put("end"))
        self._threads = set(threading.enumerate()) - before

    def next(self) -> str:
        """Wait for the next call, and return it."""
        return self._called.get(timeout=LONG)

    def end(self) -> None:
        """Wait for the end, which is reported once and is the last that the thread does."""
        assert self.next() == "end"
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive()
        assert self._called.empty()


@pytest.mark.parametrize("blocking", [True, False])
def test_stdin(blocking: bool) -> None:
    """Each time Telegraf asks, an emission follows; other bytes ask for nothing; the end comes after the newlines.

    An empty stdin with O_NONBLOCK is not at its end.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, blocking)
    stdin = Stdin(reader)
    for _ in range(3):
        os.write(writer, b"\n")
        assert stdin.next() == "newline"
    os.write(writer, b"text")
    os.write(writer, b"\n")
    os.close(writer)
    assert stdin.next() == "newline"
    stdin.end()
    os.close(reader)


def test_stdin_that_cannot_be_read(tmp_path: Path) -> None:
    """A stdin that fails counts as one that ended: the program stops instead of running unseen."""
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match=os.strerror(errno.EISDIR)):
        os.read(directory, 1)
    Stdin(directory).end()
    os.close(directory)


@pytest.mark.parametrize(
    ("interval", "story"),
    [
        # Before there is something to say, nothing is emitted; the first request is met at once.
        (10, [("wait", 100, math.inf), ("request", 100), ("wait", 100, 0)]),
        # Without newlines there is an emission every interval; one that is late is due at once.
        (10, [("emit", 100), ("wait", 100, 10), ("wait", 104, 6), ("wait", 110, 0), ("wait", 999, 0)]),
        (10, [("emit", 100), ("emit", 112), ("wait", 112, 10)]),
        # A new block is on the page at once.
        (10, [("emit", 100), ("request", 105), ("wait", 105, 0)]),
        # While the node catches up, a thousand blocks a second make no more than one emission a second.
        (
            10,
            [("emit", 100), ("request", 100.25), ("wait", 100.25, 0.75), ("request", 100.5), ("wait", 100.5, 0.5)],
        ),
        (10, [("emit", 100), ("request", 100.5), ("emit", 101), ("request", 101), ("wait", 101, 1)]),
        # A request just before the interval is over does not put the emission off.
        (0.5, [("emit", 100), ("request", 100.25), ("wait", 100.25, 0.25)]),
        # With signal = "STDIN" Telegraf's newlines are answered, and the timer does not add emissions between.
        (10, [("newline", 100), ("wait", 100, 20), ("newline", 110), ("wait", 119, 11)]),
        # A stray newline puts the timer off once; then the interval holds again.
        (10, [("newline", 100), ("wait", 120, 0), ("emit", 120), ("wait", 120, 10)]),
    ],
)
def test_schedule(interval: float, story: list[tuple[str, float] | tuple[str, float, float]]) -> None:
    """What happens at one moment after another, and how long there is to wait until the next emission."""
    schedule = Schedule(interval)
    for step, now, *wait in story:
        match step:
            case "request":
                schedule.request_soon(now)
            case "wait":
                assert [schedule.wait(now)] == wait
            case _:
                schedule.emitted(now, by_newline=step == "newline")
