"""The screen: header, panels, events and footer as a rich layout, from 80 columns and 24 lines."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.filesize import decimal
from rich.layout import Layout
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from telegraf_bitcoin_ipc.collect.tags import UNKNOWN
from telegraf_bitcoin_ipc.top.events import Event, Events, printable
from telegraf_bitcoin_ipc.top.history import sparkline
from telegraf_bitcoin_ipc.top.model import Model

COLUMNS: Final = 80
LINES: Final = 24
"""The smallest terminal that the screen fits."""

KEYS: Final = "q quits"

LABEL: Final = 11
RATE: Final = 12
"""Columns of a row's label, and of a rate before its graph."""

FEE_TARGETS: Final = 4
"""The number of targets that fit half of the smallest terminal."""

SATOSHI: Final = 100_000_000

Rows = dict[str, RenderableType]
"""What a panel shows, by label."""

_STRETCHED: Final = Column(ratio=1, no_wrap=True, overflow="ellipsis")
"""A table column that takes the remaining width."""


@dataclass(frozen=True)
class Graph:
    """A figure, followed by a graph in the columns that are left; `paces(n)` returns its last n values."""

    figure: str
    paces: Callable[[int], list[float | None]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = max(options.max_width - len(self.figure), 0)
        yield Text.assemble(self.figure, (sparkline(self.paces(columns)), "cyan"))


class Screen:
    """Draws one node; a column of a graph stands for `step` seconds."""

    def __init__(self, model: Model, events: Events, socket: str, step: float) -> None:
        self._model = model
        self._events = events
        self._socket = printable(socket)
        self._step = step

    def draw(self, columns: int, lines: int, now: float) -> RenderableType:
        """Return the screen for a terminal of that size at a Unix time."""
        if columns < COLUMNS or lines < LINES:
            size = f"{columns} columns and {lines} lines"
            return f"top needs {COLUMNS} columns and {LINES} lines, but this terminal has {size}. {KEYS}."
        screen = Layout()
        screen.split_column(
            Layout(self._header(now), size=1),
            *(self._panels(now) if self._model.node else [self._no_node()]),
            Layout(Group(_title("Events, newest first"), *map(_event, self._events))),
            Layout(self._footer(), size=1),
        )
        return screen

    def _header(self, now: float) -> Table:
        node = self._model.node
        names = [node.version, node.chain, node.dialect.name] if node else ["no node"]
        known = [printable(name) for name in names if name != UNKNOWN]
        return _bar("  ".join(["telegraf-bitcoin-ipc top", *known]), _clock(now), "reverse")

    def _panels(self, now: float) -> list[Layout]:
        middle, lower = Layout(size=5), Layout(size=4)
        middle.split_row(_panel("Mempool", self._mempool(), right=2), _panel("Peers", self._peers()))
        lower.split_row(_panel("Fees", self._fees(), right=2), _panel("Coins cache", self._coins()))
        return [Layout(_panel("Chain", self._chain(now)), size=5), middle, lower]

    def _no_node(self) -> Layout:
        """Return what is known without a node: the socket, and why there is no session."""
        problem = self._events.problem.removeprefix(f"{self._socket}: ") or "connecting"
        text = Text.assemble((f"No node on {self._socket}\n", "bold"), problem)
        return Layout(Padding(text, 1), size=5)

    def _footer(self) -> Table:
        legend = f"graphs: {self._step:g} s a column   {KEYS}"
        warning = self._events.warning
        if warning is None:
            return _bar("no warnings", legend, "dim")
        return _bar(f"{_clock(warning.time)} {warning}", legend, "bold yellow")

    def _chain(self, now: float) -> Rows:
        height = self._model.height
        shown = self._model.why_absent("chain_height") if height is None else f"{height:,}"
        age = self._text("chain_tip_timestamp_seconds", lambda tip: _duration(now - tip))
        headers = self._text("header_height", "{:,.0f}".format)
        return {
            "Height": Text.assemble((shown, "bold"), f"   age {age}   headers {headers}"),
            "Sync": self._sync(),
            "Blocks": self._graph("blocks_connected_total", self._blocks()),
            "Last block": self._text("last_block_transactions", self._last_block),
        }

    def _sync(self) -> RenderableType:
        synced, seconds = self._model.synced(), self._model.seconds_to_sync()
        if self._model.value("ibd") is None:
            return self._model.why_absent("ibd")
        if not self._model.value("ibd"):
            return "in step with the network" + self._suffix("verification_progress", ", {:.2%} verified".format)
        if synced is None:
            return f"initial block download; progress: {self._model.why_absent('verification_progress')}"
        rest = "no estimate yet" if seconds is None else f"about {_duration(seconds)} left"
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=1, completed=synced, width=24), f"{synced:.2%} downloaded, {rest}")
        return bar

    def _blocks(self) -> str:
        connected = self._suffix("blocks_connected_total", "+{:,.0f}".format)
        disconnected = self._suffix("blocks_disconnected_total", " -{:,.0f}".format)
        reorgs = self._suffix("reorgs_total", lambda count: f", {count:,.0f} reorg{'' if count == 1 else 's'}")
        return f"{connected}{disconnected}{reorgs}  "

    def _last_block(self, transactions: float) -> str:
        size = self._suffix("last_block_size_bytes", lambda size: f", {decimal(int(size))}")
        fees = self._suffix("last_block_fee_sat", lambda fee: f", {fee / SATOSHI:.8f} BTC in fees")
        return f"{transactions:,.0f} tx{size}{fees}"

    def _mempool(self) -> Rows:
        size = self._text("mempool_size", "{:,.0f} tx".format)
        limit = self._suffix("mempool_max_bytes", lambda limit: f" of {limit / 1e6:,.0f} MB")
        used = self._suffix("mempool_bytes", lambda used: f", {used / 1e6:,.1f}{limit or ' MB'}")
        return {
            "Size": size + used,
            "In": self._rate("mempool_tx_added_total"),
            "Out": self._rate("mempool_tx_removed_total"),
            "Confirmed": self._rate("mempool_tx_confirmed_total"),
        }

    def _peers(self) -> Rows:
        directions = self._by_tag("peers_by_direction")
        networks = self._by_tag("connections_by_network")
        sent = self._suffix("bytes_sent_total", lambda sent: f", {decimal(int(sent))} out")
        total = self._text("bytes_recv_total", lambda received: f"{decimal(int(received))} in{sent}")
        return {
            "Connected": self._text("peers", "{:,.0f}".format) + (directions and f": {directions}"),
            "Received": self._rate("bytes_recv_total", _bytes_per_second),
            "Sent": self._rate("bytes_sent_total", _bytes_per_second),
            **({"Networks": networks} if networks else {"In total": total}),
        }

    def _fees(self) -> Rows:
        fees = sorted(self._model.by_tag("fee_estimate_sat_per_vb").items(), key=lambda fee: int(fee[0]))
        absent = self._model.why_absent("fee_estimate_sat_per_vb")
        return {
            "In blocks": "".join(f"{target:>6}" for target, _ in fees[:FEE_TARGETS]) or absent,
            "sat/vB": "".join(f"{rate:>6.1f}" for _, rate in fees[:FEE_TARGETS]) or absent,
            "Minimum": self._text("mempool_min_fee_sat_per_vb", "{:>6.1f} sat/vB".format),
        }

    def _coins(self) -> Rows:
        return {
            "Added": self._rate("utxo_cache_add_total"),
            "Spent": self._rate("utxo_cache_spend_total"),
            "Dropped": self._rate("utxo_cache_uncache_total"),
        }

    def _text(self, name: str, text: Callable[[float], str]) -> str:
        """Return a metric's value as text, or why it is absent."""
        return self._model.why_absent(name) if self._model.value(name) is None else self._suffix(name, text)

    def _suffix(self, name: str, text: Callable[[float], str]) -> str:
        """Return a metric's value as text, or nothing if it is absent."""
        value = self._model.value(name)
        return "" if value is None else text(value)

    def _rate(self, name: str, text: Callable[[float], str] = "{:,.1f}/s".format) -> RenderableType:
        """Return a counter's rate and graph, or why it is absent."""
        rate = self._model.pace(name)
        return self._graph(name, "..." if rate is None else text(rate))

    def _graph(self, name: str, figure: str) -> RenderableType:
        """Return a figure and a counter's graph, or why the counter is absent."""
        if self._model.value(name) is None:
            return self._model.why_absent(name)
        return Graph(f"{figure:<{RATE}}", partial(self._model.paces, name, step=self._step))

    def _by_tag(self, name: str) -> str:
        """Return the values of a metric by its tag, without zeros, the largest first."""
        values = [(value, tag) for tag, value in self._model.by_tag(name).items() if value]
        return ", ".join(f"{value:,} {tag}" for value, tag in sorted(values, reverse=True))


def _panel(title: str, rows: Rows, right: int = 0) -> Padding:
    """Return rows under a title, with `right` blank columns beside them."""
    grid = Table.grid(Column(width=LABEL), _STRETCHED.copy(), expand=True)
    for label, value in rows.items():
        grid.add_row(label, value)
    return Padding(Group(_title(title), grid), (0, right, 0, 0))


def _title(text: str) -> Rule:
    return Rule(Text(text, "bold"), align="left", style="dim")


def _bar(left: str, right: str, style: str) -> Table:
    """Return a line with a text at either end; the left one is cut if it is too long."""
    bar = Table.grid(_STRETCHED.copy(), Column(no_wrap=True), expand=True, padding=(0, 1, 0, 0))
    bar.add_row(Text(left), right, style=style)
    return bar


def _event(event: Event) -> Text:
    return Text.assemble((f"{_clock(event.time)}  ", "dim"), str(event), no_wrap=True, overflow="ellipsis")


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=max(int(seconds), 0)))


def _bytes_per_second(rate: float) -> str:
    return f"{decimal(int(rate))}/s"


def _clock(when: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(when))
