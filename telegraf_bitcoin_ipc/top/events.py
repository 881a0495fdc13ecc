"""The latest events on the chain in a few words, and the latest warning of the log."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from telegraf_bitcoin_ipc.collect.events import ChainListener
from telegraf_bitcoin_ipc.collect.values import Block

KEPT: Final = 100
"""More events than any terminal has lines."""

TOGETHER: Final = 1.0
"""Seconds within which consecutive events of one kind are shown as one line."""


class Kind(Enum):
    """What kind of event a line shows."""

    CONNECTED = auto()
    DISCONNECTED = auto()
    TIP = auto()
    """A new tip whose blocks have not been reported yet."""

    TEXT = auto()


@dataclass
class Event:
    """One event at a time (Unix seconds); a line about blocks may cover several, from height `first` to `last`."""

    time: float
    kind: Kind
    text: str = ""
    first: int = 0
    last: int = 0
    new_tip: bool = False

    def __str__(self) -> str:
        """Return the event in a few words."""
        if self.kind is Kind.TEXT:
            return self.text
        if self.kind is Kind.TIP:
            return f"tip at height {self.last}"
        what = "connected" if self.kind is Kind.CONNECTED else "disconnected by a reorganisation"
        number = abs(self.last - self.first) + 1
        blocks = f"block {self.last}" if number == 1 else f"{number} blocks, {self.first} to {self.last},"
        return f"{blocks} {what}{'; new tip' if self.new_tip else ''}"


class Events(ChainListener, logging.Handler):
    """Collects events on the chain and lines of the log, the newest first.

    `warning` is the last warning or error, `problem` the reason why there is no session.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Timestamp events with `clock`."""
        super().__init__()
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self.warning: Event | None = None
        self.problem = ""

    def __iter__(self) -> Iterator[Event]:
        """Yield the events, the newest first."""
        return iter(self._kept)

    def take_log(self) -> None:
        """Replace every other handler of the log, which would write over the screen."""
        logging.basicConfig(handlers=[self], level=logging.INFO, force=True)
        logging.captureWarnings(True)
        logging.getLogger("asyncio").setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record of the log; only its first line is shown."""
        event = self._add(Kind.TEXT, printable(record.getMessage().partition("\n")[0]))
        if record.levelno >= logging.WARNING:
            self.warning = event

    def set_problem(self, problem: str) -> None:
        """Set the reason why there is no session."""
        self.problem = printable(problem)

    def connected(self, block: Block) -> None:
        """Show a block, in one line with those just before it, and with the tip that announced it."""
        newest = self._recent()
        if newest and newest.kind is Kind.TIP and block.height <= newest.last:
            newest.kind, newest.new_tip = Kind.CONNECTED, True
            newest.first = newest.last = block.height
        else:
            self._add_block(Kind.CONNECTED, block.height, following=1)

    def disconnected(self, block: Block) -> None:
        """Show a block, in one line with those just before it."""
        self._add_block(Kind.DISCONNECTED, block.height, following=-1)

    def new_tip(self, tip: Block | None) -> None:
        """Show a new tip, unless its block was shown just before it."""
        newest = self._recent()
        if tip is not None:
            self._add(Kind.TIP, height=tip.height)
        elif newest and newest.kind is Kind.CONNECTED:
            newest.new_tip = True
        else:
            self._add(Kind.TEXT, "new tip")

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        """Show a flush."""
        self._add(Kind.TEXT, "chain state flushed to disk")

    def _add(self, kind: Kind, text: str = "", height: int = 0) -> Event:
        self._kept.appendleft(Event(self._clock(), kind, text, first=height, last=height))
        return self._kept[0]

    def _add_block(self, kind: Kind, height: int, *, following: int) -> None:
        newest = self._recent()
        if newest and newest.kind is kind and height == newest.last + following:
            newest.last = height
        else:
            self._add(kind, height=height)

    def _recent(self) -> Event | None:
        """Return the newest event if another one may still share its line."""
        newest = self._kept[0] if self._kept else None
        return newest if newest and self._clock() - newest.time < TOGETHER else None


def printable(text: str) -> str:
    """Replace the characters that could move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else "?" for character in text)
