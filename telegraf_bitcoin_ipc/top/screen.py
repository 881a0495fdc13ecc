"""The whole screen: head, parts, last events and foot, in 80 columns and 24 lines or more."""

import time
from typing import Final

from rich.text import Text

from telegraf_bitcoin_ipc.collect.metrics import UNKNOWN
from telegraf_bitcoin_ipc.top import words
from telegraf_bitcoin_ipc.top.events import Event, Events
from telegraf_bitcoin_ipc.top.model import Model, Node
from telegraf_bitcoin_ipc.top.panels import Panels

COLUMNS: Final = 80
LINES: Final = 24
"""The smallest terminal that it is made for."""

KEYS: Final = "q quits"

GAP: Final = 2
"""Columns between two parts side by side."""


class Screen:
    """Draws one node; `step` is how many seconds a column of a graph stands for."""

    def __init__(self, model: Model, events: Events, socket: str, step: float) -> None:
        """Draw from `model` and `events`."""
        self._model = model
        self._events = events
        self._panels = Panels(model, step)
        self._socket = words.printable(socket)
        self._legend = f"graphs: {step:g} s a column   {KEYS} "

    def draw(self, columns: int, lines: int, now: float) -> Text:
        """Return what fills a terminal of that size at that moment (Unix time)."""
        if columns < COLUMNS or lines < LINES:
            size = f"{columns} columns and {lines} lines"
            return Text(f"top needs {COLUMNS} columns and {LINES} lines, and this terminal has {size}. {KEYS}.")
        drawn = [self._head(columns, now), *self._node(columns, now), _title("Events, newest first", columns)]
        shown = [_event(event) for event in self._events][: lines - 1 - len(drawn)]
        blank = [Text()] * (lines - 1 - len(drawn) - len(shown))
        return Text("\n").join(_fitted(line, columns) for line in [*drawn, *shown, *blank, self._foot(columns)])

    def _head(self, columns: int, now: float) -> Text:
        node = self._model.node
        what = _named(node) if node else "no node"
        return _ends(f" telegraf-bitcoin-ipc top  {what}", f"{_clock(now)} ", columns, "reverse")

    def _node(self, columns: int, now: float) -> list[Text]:
        if self._model.node is None:
            return self._no_node()
        left = (columns - GAP) // 2
        right = columns - GAP - left
        panels = self._panels
        return [
            _title("Chain", columns),
            *panels.chain(columns, now),
            *_beside(left, [_title("Mempool", left), *panels.mempool(left)],
                     [_title("Peers", right), *panels.peers(right)]),
            *_beside(left, [_title("Fees", left), *panels.fees()],
                     [_title("Coins cache", right), *panels.coins(right)]),
        ]  # fmt: skip

    def _no_node(self) -> list[Text]:
        """Return what there is to say without a node: nothing that an earlier one told."""
        problem = self._events.problem.removeprefix(f"{self._socket}: ") or "connecting"
        return [Text(), Text(f" No node on {self._socket}", "bold"), Text(f" {problem}"), Text()]

    def _foot(self, columns: int) -> Text:
        warning = self._events.warning
        if warning is None:
            return _ends(" no warnings", self._legend, columns, "dim")
        return _ends(f" {_clock(warning.time)} {warning}", self._legend, columns, "bold yellow")


def _named(node: Node) -> str:
    told = [name for name in (node.version, node.chain) if name != UNKNOWN]
    return words.printable("  ".join([*(told or ["version not told"]), node.dialect.name]))


def _title(text: str, width: int) -> Text:
    return Text.assemble((f"─ {text} ", "bold"), ("─" * (width - len(text) - 3), "dim"))


def _event(event: Event) -> Text:
    return Text.assemble((f" {_clock(event.time)}  ", "dim"), str(event))


def _beside(width: int, left: list[Text], right: list[Text]) -> list[Text]:
    """Return two parts of as many lines next to each other, the first in so many columns."""
    return [Text.assemble(_fitted(one, width), " " * GAP, other) for one, other in zip(left, right, strict=True)]


def _ends(left: str, right: str, columns: int, style: str) -> Text:
    """Return a line with a text at either end; the left one gives way."""
    return Text.assemble(_fitted(Text(left), columns - len(right) - 1), " ", right, style=style)


def _fitted(line: Text, columns: int) -> Text:
    """Return a line of exactly so many columns; one that is cut says so by its last character."""
    fitted = line.copy()
    fitted.truncate(columns, overflow="ellipsis", pad=True)
    return fitted


def _clock(when: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(when))
