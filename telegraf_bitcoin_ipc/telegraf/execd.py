"""Telegraf's side of an execd plugin: when to emit, what its pipes do, and how it wants its log.

Neither pipe may hold anything up: when Telegraf does not read, a write blocks once the pipe's 64 KiB are
full. So each pipe has a thread of its own, and what waits for it is bounded. Facts: Telegraf's inputs.execd.
"""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

LINES_KEPT: Final = 1000
"""Lines that wait for a pipe that is not read; the oldest go first."""

FLUSH_SECONDS: Final = 0.5
"""How long the end of the program waits for a pipe to take its last lines."""

LOG_LINE_CHARACTERS: Final = 8192
"""A longer line of the log is cut: Telegraf gives up on stderr for good after one of 64 KiB. A character
takes up to six bytes, as an escape."""

PROMPT_GAP: Final = 1.0
"""Seconds between two emissions, at least, when a new tip asks for one out of turn."""


class Schedule:
    """When to emit: every `interval` seconds, at each newline, and soon after a new tip.

    Newlines (signal = "STDIN") take the timer's place while they come; a stray one only puts it off once.
    Times are in seconds of a monotonic clock, which the caller reads.
    """

    def __init__(self, interval: float) -> None:
        """Begin with an emission that is not due before the first request or `emitted`."""
        self._interval = interval
        self._last = float("-inf")
        self._due = float("inf")

    def emitted(self, now: float, *, by_newline: bool = False) -> None:
        """Take note of an emission; the next is due an interval later, or two where newlines set the pace."""
        self._last = now
        self._due = now + self._interval * (2 if by_newline else 1)

    def request_soon(self, now: float) -> None:
        """Ask for an emission as soon as the last one is a second ago."""
        self._due = min(self._due, max(now, self._last + PROMPT_GAP))

    def wait(self, now: float) -> float:
        """Return the seconds until the next emission is due: 0 when it is, infinity when none is."""
        return max(0.0, self._due - now)


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own, keeping the newest when it is not read."""

    def __init__(self, descriptor: int, kept: int = LINES_KEPT) -> None:
        """Write to `descriptor`, and let no more than `kept` lines wait for it."""
        self._descriptor = descriptor
        self._on_broken: Callable[[], None] = lambda: None
        self._kept = kept
        self._batches: deque[Sequence[str]] = deque()
        self._waiting = 0
        self._dropped = 0
        self._writing = False
        self._broken = False
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name=f"pipe {descriptor}", daemon=True).start()

    def on_broken(self, call: Callable[[], None]) -> None:
        """Have `call` called once, from the pipe's thread, when nobody can read it any more."""
        with self._changed:
            self._on_broken = call

    def put(self, lines: Sequence[str]) -> None:
        """Queue whole lines (without newlines) to be written in one go; never waits."""
        with self._changed:
            if self._broken:
                return
            self._batches.append(lines)
            self._waiting += len(lines)
            while self._waiting > self._kept and len(self._batches) > 1:
                oldest = len(self._batches.popleft())
                self._waiting -= oldest
                self._dropped += oldest
            self._changed.notify_all()

    def backlog(self) -> int:
        """Return how many lines wait."""
        with self._changed:
            return self._waiting

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last call."""
        with self._changed:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until everything is written, but no longer than `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._broken or not (self._batches or self._writing), seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._batches)
                lines = self._batches.popleft()
                self._waiting -= len(lines)
                self._writing = True
            try:
                _write_all(self._descriptor, _encoded(lines))
            except OSError:
                with self._changed:
                    self._broken = True
                    self._batches.clear()
                    self._waiting = 0
                    self._changed.notify_all()
                self._on_broken()
                return


def _encoded(lines: Sequence[str]) -> bytes:
    """Return the lines in UTF-8; what has no place there (a path's raw bytes) becomes an escape."""
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # it is shared with a process that has set O_NONBLOCK
            _wait_for(descriptor, select.POLLOUT)


def _wait_for(descriptor: int, events: int) -> None:
    """Wait until a non-blocking descriptor is ready, or broken."""
    poll = select.poll()
    poll.register(descriptor, events)
    poll.poll()


def watch_stdin(descriptor: int, on_newline: Callable[[], None], on_end: Callable[[], None]) -> None:
    """Call back, from a thread, at each newline and once at the end of file: Telegraf's wish to stop."""

    def work() -> None:
        try:
            while data := _read(descriptor):
                if b"\n" in data:
                    on_newline()
        except OSError:  # a terminal that went away reads as an error
            pass
        on_end()

    threading.Thread(target=work, name="stdin", daemon=True).start()


def _read(descriptor: int) -> bytes:
    """Wait for bytes and return them; none at the end of file."""
    while True:
        try:
            return os.read(descriptor, 4096)
        except BlockingIOError:
            _wait_for(descriptor, select.POLLIN)


class PrefixFormatter(logging.Formatter):
    """Puts Telegraf's level prefix before every line, those of a traceback too, and cuts very long ones."""

    _PREFIXES: Final = {
        logging.CRITICAL: "E! ",
        logging.ERROR: "E! ",
        logging.WARNING: "W! ",
        logging.INFO: "I! ",
        logging.DEBUG: "D! ",
    }

    def lines(self, record: logging.LogRecord) -> list[str]:
        """Return the record as lines for stderr."""
        prefix = self._PREFIXES.get(record.levelno, "I! ")
        return [prefix + line[:LOG_LINE_CHARACTERS] for line in super().format(record).splitlines() or [""]]

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one text."""
        return "\n".join(self.lines(record))


class LogHandler(logging.Handler):
    """Logs to a pipe without ever waiting for its reader; tells it how many lines were lost meanwhile."""

    def __init__(self, pipe: LineWriter) -> None:
        """Log to `pipe`."""
        super().__init__()
        self._pipe = pipe
        self._lost = 0
        self.setFormatter(PrefixFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's lines."""
        self._lost += self._pipe.take_dropped()
        if self._lost and not self._pipe.backlog():
            self._pipe.put([f"W! {self._lost} lines of this log were dropped: they were not read in time"])
            self._lost = 0
        self._pipe.put(self.format(record).split("\n"))
