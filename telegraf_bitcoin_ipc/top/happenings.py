"""The last things that happened, collected from the log: events in a few words, and the last complaint."""

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from telegraf_bitcoin_ipc.top.words import printable

KEPT: Final = 100
"""More than any terminal has lines for."""

TOGETHER: Final = 1.0
"""Seconds within which events of one kind, one after another, are one line."""

PACKAGE: Final = "telegraf_bitcoin_ipc"

TOLD: Final = tuple(f"{PACKAGE}.{module}" for module in ("collect.events", "collect.tips"))
"""Loggers whose debug lines are the node's events."""

RECONNECT: Final = f"{PACKAGE}.reconnect"

_HEIGHT: Final = re.compile(r"(block_connected|block_disconnected|tip): height=(\d+)(?!.*historical chainstate)")

_PLURAL: Final = {"block_connected": "connected", "block_disconnected": "disconnected"}


@dataclass
class Happening:
    """What happened at a time (Unix seconds); `blocks` of a kind may stand for several, `first` to `last`."""

    time: float
    kind: str
    text: str = ""
    first: int = 0
    last: int = 0
    blocks: int = 1
    new_tip: bool = False

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.kind == "tip":
            return f"tip at height {self.last}"
        if self.kind not in _PLURAL:
            return self.text
        what = _PLURAL[self.kind]
        if self.kind == "block_disconnected":
            what += " by a reorganisation"
        blocks = (
            f"block {self.last}" if self.blocks == 1 else f"{self.blocks} blocks, {self.first} to {self.last},"
        )
        return f"{blocks} {what}{'; new tip' if self.new_tip else ''}"


class Happenings(logging.Handler):
    """Collects what the package logs; the newest is the first.

    `complaint` is the last warning or error, `problem` why there is no session.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Stamp what happens by `clock`."""
        super().__init__()
        self._clock = clock
        self._kept: deque[Happening] = deque(maxlen=KEPT)
        self.complaint: Happening | None = None
        self.problem = ""

    def __iter__(self) -> Iterator[Happening]:
        """Yield what happened, the newest first."""
        return iter(self._kept)

    def listen(self) -> None:
        """Take the place of every other handler of the log, and have it say what is shown."""
        logging.basicConfig(handlers=[self], level=logging.INFO, force=True)
        logging.captureWarnings(True)
        logging.getLogger("asyncio").setLevel(logging.WARNING)
        for name in (*TOLD, RECONNECT):
            logging.getLogger(name).setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of the log; single transactions and coins are left to the rates."""
        if record.name in TOLD and record.levelno == logging.DEBUG:
            self._event(record)
            return
        text = printable(record.getMessage().partition("\n")[0])
        if record.name == RECONNECT:
            self.problem = text
        if record.levelno >= logging.WARNING:
            self.complaint = Happening(self._clock(), "complaint", text)
        if record.levelno >= logging.INFO:
            self._kept.appendleft(Happening(self._clock(), record.levelname, text))

    def _event(self, record: logging.LogRecord) -> None:
        message = str(record.msg)
        if message.startswith(("block_", "tip:")):
            if match := _HEIGHT.match(record.getMessage()):
                self._block(match[1], int(match[2]))
        elif message == "tip_updated":
            self._tip_updated()
        elif message.startswith("chain_state_flushed"):
            self._kept.appendleft(Happening(self._clock(), "flush", "chain state flushed to disk"))

    def _block(self, kind: str, height: int) -> None:
        now = self._clock()
        newest = self._recent(now)
        if newest and newest.kind == "tip" and kind == "block_connected" and height <= newest.last:
            newest.kind, newest.first, newest.new_tip = kind, height, True  # the tip was told before its blocks
            newest.last = height
            return
        following = 1 if kind == "block_connected" else -1
        if newest and newest.kind == kind != "tip" and height == newest.last + following:
            newest.last, newest.blocks = height, newest.blocks + 1
            return
        self._kept.appendleft(Happening(now, kind, first=height, last=height))

    def _tip_updated(self) -> None:
        newest = self._recent(self._clock())
        if newest and newest.kind == "block_connected":
            newest.new_tip = True
        else:
            self._kept.appendleft(Happening(self._clock(), "updated", "new tip"))

    def _recent(self, now: float) -> Happening | None:
        """Return the newest happening if it is so young that one like it belongs to it."""
        newest = self._kept[0] if self._kept else None
        return newest if newest and now - newest.time < TOGETHER else None
