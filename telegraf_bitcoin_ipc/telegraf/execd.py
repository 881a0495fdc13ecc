"""The execd protocol: when to emit, how to write to pipes that may not be read, and the format of the log.

A write blocks if Telegraf does not read and the pipe's 64 KiB are full. So each pipe has a thread and a bounded
queue. Source of the facts: Telegraf's inputs.execd.
"""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

LINES_KEPT: Final = 1000
"""Lines that a LineWriter queues; beyond that it drops the oldest."""

FLUSH_SECONDS: Final = 0.5
"""How long the program waits on exit for its last lines to be written."""

LOG_LINE_CHARACTERS: Final = 8192
"""Longer log lines are truncated: after a line of 64 KiB Telegraf stops reading stderr. An escaped character
takes up to six bytes."""

PROMPT_GAP: Final = 1.0
"""Minimum seconds between an emission and one that is requested early, for instance by a new tip."""


class Schedule:
    """When to emit: every `interval` seconds, at each newline, and soon after a new tip.

    While newlines arrive (signal = "STDIN") they replace the timer; a single one only delays it once.
    Times are in seconds of a monotonic clock, passed by the caller.
    """

    def __init__(self, interval: float) -> None:
        """Start with no emission due until the first `request_soon` or `emitted`."""
        self._interval = interval
        self._last = float("-inf")
        self._due = float("inf")

    def emitted(self, now: float, *, by_newline: bool = False) -> None:
        """Record an emission; the next is due after one interval, or two if a newline asked for this one."""
        self._last = now
        self._due = now + self._interval * (2 if by_newline else 1)

    def request_soon(self, now: float) -> None:
        """Request an emission as soon as PROMPT_GAP has passed since the last one."""
        self._due = min(self._due, max(now, self._last + PROMPT_GAP))

    def wait(self, now: float) -> float:
        """Return the seconds until the next emission: 0 if it is due, infinity if none is scheduled."""
        return max(0.0, self._due - now)


class LineWriter:
    """Writes lines to a file descriptor in a thread, and drops the oldest ones if it is not read."""

    def __init__(self, descriptor: int, kept: int = LINES_KEPT) -> None:
        """Write to `descriptor`, and queue at most `kept` lines (a single batch may be longer)."""
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
        """Set the function that the thread calls once, when a write fails."""
        with self._changed:
            self._on_broken = call

    def put(self, lines: Sequence[str]) -> None:
        """Queue a batch of lines (without newlines) to be written together; never blocks."""
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
        """Return the number of queued lines."""
        with self._changed:
            return self._waiting

    def take_dropped(self) -> int:
        """Return the number of lines dropped since the last call."""
        with self._changed:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until everything is written, for at most `seconds`."""
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
                text = "".join(f"{line}\n" for line in lines)
                _write_all(self._descriptor, text.encode(errors="backslashreplace"))  # a path may not be UTF-8
            except OSError:
                with self._changed:
                    self._broken = True
                    self._batches.clear()
                    self._waiting = 0
                    self._changed.notify_all()
                self._on_broken()
                return


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process that shares it has set O_NONBLOCK
            _wait_for(descriptor, select.POLLOUT)


def _wait_for(descriptor: int, events: int) -> None:
    """Wait until a non-blocking descriptor is ready or closed."""
    poll = select.poll()
    poll.register(descriptor, events)
    poll.poll()


def watch_stdin(descriptor: int, on_newline: Callable[[], None], on_end: Callable[[], None]) -> None:
    """Call back from a thread: at each newline, and once at the end of file, by which Telegraf requests a stop."""

    def work() -> None:
        with suppress(OSError):  # reading from a terminal that was closed fails
            while data := _read(descriptor):
                if b"\n" in data:
                    on_newline()
        on_end()

    threading.Thread(target=work, name="stdin", daemon=True).start()


def _read(descriptor: int) -> bytes:
    """Wait for bytes and return them; at the end of file they are empty."""
    while True:
        try:
            return os.read(descriptor, 4096)
        except BlockingIOError:
            _wait_for(descriptor, select.POLLIN)


PREFIXES: Final = {logging.CRITICAL: "E! ", logging.ERROR: "E! ", logging.WARNING: "W! ", logging.DEBUG: "D! "}
"""Telegraf's levels by Python's; any other is `I! `."""


class PrefixFormatter(logging.Formatter):
    """Prefixes every line, including those of a traceback, with Telegraf's level; truncates very long ones."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as lines for stderr."""
        prefix = PREFIXES.get(record.levelno, "I! ")
        lines = super().format(record).splitlines() or [""]
        return "\n".join(prefix + line[:LOG_LINE_CHARACTERS] for line in lines)


class LogHandler(logging.Handler):
    """Logs through a LineWriter, so that it never blocks, and logs how many lines were dropped."""

    def __init__(self, output: LineWriter) -> None:
        super().__init__()
        self._output = output
        self._lost = 0
        self.setFormatter(PrefixFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's lines."""
        self._lost += self._output.take_dropped()
        if self._lost and not self._output.backlog():
            self._output.put([f"W! {self._lost} lines of this log were dropped: they were not read in time"])
            self._lost = 0
        self._output.put(self.format(record).split("\n"))
