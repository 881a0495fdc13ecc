"""The parts of the screen about the node: lines of text, made from the model."""

from collections.abc import Callable
from typing import Final

from rich.text import Text

from telegraf_bitcoin_ipc.top import words
from telegraf_bitcoin_ipc.top.model import Model

LABEL: Final = 12
FIGURE: Final = 10
"""Columns of a row's name, and of a pace before its graph."""

FEE_TARGETS_SHOWN: Final = 4
"""As many as half of the smallest terminal has room for."""

BAR: Final = 24
SATOSHI: Final = 100_000_000


class Panels:
    """What is shown of one node; `step` is how many seconds a column of a graph stands for."""

    def __init__(self, model: Model, step: float) -> None:
        """Draw from `model`."""
        self._model = model
        self._step = step

    def chain(self, width: int, now: float) -> list[Text]:
        """Return height, synchronisation, blocks since the start, and the last block."""
        blocks = self._told("blocks_connected_total", self._blocks)
        room = width - LABEL - len(blocks) - 3
        return [
            _row("Height", Text.assemble(self._height(), f"   {self._age(now)}   {self._headers()}")),
            _row("Sync", self._sync()),
            _row("Blocks", Text.assemble(blocks, "  ", self._graph("blocks_connected_total", room))),
            _row("Last block", self._last_block()),
        ]

    def mempool(self, width: int) -> list[Text]:
        """Return the mempool's size, and what enters and leaves it."""
        size = self._told("mempool_size", lambda count: f"{count:,.0f} tx")
        used, most = self._model.value("mempool_bytes"), self._model.value("mempool_max_bytes")
        known = used is not None and most is not None
        memory = f", {words.amount(used or 0, 'B')} of {words.amount(most or 0, 'B')}" if known else ""
        return [
            _row("Size", size + memory),
            self._paced("In", "mempool_tx_added_total", width),
            self._paced("Out", "mempool_tx_removed_total", width),
            self._paced("Confirmed", "mempool_tx_confirmed_total", width),
        ]

    def peers(self, width: int) -> list[Text]:
        """Return who is connected, and the bytes received and sent."""
        directions = ", ".join(f"{count} {name}" for name, count in self._by_tag("peers_by_direction"))
        return [
            _row(
                "Connected",
                self._told("peers", lambda count: f"{count:,.0f}") + (directions and f": {directions}"),
            ),
            self._paced("Received", "bytes_recv_total", width, "B"),
            self._paced("Sent", "bytes_sent_total", width, "B"),
            self._networks(),
        ]

    def fees(self) -> list[Text]:
        """Return the fee estimates, and the feerate below which nothing enters the mempool."""
        fees = sorted(self._model.by_tag("fee_estimate_sat_per_vb").items(), key=lambda fee: int(fee[0]))
        shown = fees[:FEE_TARGETS_SHOWN]
        absent = self._model.why_absent("fee_estimate_sat_per_vb")
        return [
            _row("In blocks", "".join(f"{target:>6}" for target, _ in shown) or absent),
            _row("sat/vB", "".join(f"{rate:>6.1f}" for _, rate in shown) or absent),
            _row("Minimum", self._told("mempool_min_fee_sat_per_vb", lambda rate: f"{rate:>6.1f} sat/vB")),
        ]

    def coins(self, width: int) -> list[Text]:
        """Return what happens in the coins cache."""
        return [
            self._paced("Added", "utxo_cache_add_total", width),
            self._paced("Spent", "utxo_cache_spend_total", width),
            self._paced("Dropped", "utxo_cache_uncache_total", width),
        ]

    def _height(self) -> tuple[str, str]:
        height = self._model.height
        return self._model.why_absent("chain_height") if height is None else f"{height:,}", "bold"

    def _age(self, now: float) -> str:
        return "age " + self._told("chain_tip_timestamp_seconds", lambda told: words.duration(now - told))

    def _headers(self) -> str:
        return "headers " + self._told("header_height", lambda height: f"{height:,.0f}")

    def _sync(self) -> Text:
        ibd = self._model.value("ibd")
        if ibd is None:
            return Text(self._model.why_absent("ibd"))
        return self._download() if ibd else Text(f"in step with the network{self._verified()}")

    def _verified(self) -> str:
        progress = self._model.value("verification_progress")
        return "" if progress is None else f", {progress:.2%} verified"

    def _download(self) -> Text:
        synced, seconds = self._model.synced(), self._model.seconds_to_sync()
        if synced is None:
            why = self._model.why_absent("verification_progress")
            return Text(f"initial block download; how far: {why}")
        rest = "no estimate yet" if seconds is None else f"about {words.duration(seconds)} left"
        done = round(min(synced, 1.0) * BAR)
        bar = ("█" * done, "cyan"), ("░" * (BAR - done), "dim")
        return Text.assemble(*bar, f" {synced:.2%} downloaded, {rest}")

    def _blocks(self, connected: float) -> str:
        gone, reorgs = self._model.value("blocks_disconnected_total"), self._model.value("reorgs_total")
        text = f"+{connected:,.0f}"
        text += "" if gone is None else f" -{gone:,.0f}"
        return text + ("" if reorgs is None else f", {reorgs:,.0f} reorg{'' if reorgs == 1 else 's'}")

    def _last_block(self) -> str:
        size, fee = self._model.value("last_block_size_bytes"), self._model.value("last_block_fee_sat")
        text = self._told("last_block_transactions", lambda count: f"{count:,.0f} tx")
        text += "" if size is None else f", {words.amount(size, 'B')}"
        return text + ("" if fee is None else f", {fee / SATOSHI:.8f} BTC in fees")

    def _networks(self) -> Text:
        """Return the peers by network where that was chosen, or else all bytes since the node's start."""
        networks = ", ".join(f"{count} {name}" for name, count in self._by_tag("connections_by_network"))
        received, sent = self._model.value("bytes_recv_total"), self._model.value("bytes_sent_total")
        if networks:
            return _row("Networks", networks)
        if received is None or sent is None:
            return _row("In total", self._model.why_absent("bytes_recv_total"))
        return _row("In total", f"{words.amount(received, 'B')} in, {words.amount(sent, 'B')} out")

    def _paced(self, label: str, name: str, width: int, unit: str = "") -> Text:
        """Return a row with a counter's pace and its graph."""
        if self._model.value(name) is None:
            return _row(label, self._model.why_absent(name))
        pace = self._model.pace(name)
        figure = "..." if pace is None else words.pace(pace, unit)
        return _row(label, Text.assemble(f"{figure:<{FIGURE}}", self._graph(name, width - LABEL - FIGURE - 2)))

    def _graph(self, name: str, columns: int) -> tuple[str, str]:
        return words.sparkline(self._model.paces(name, columns, self._step)), "cyan"

    def _told(self, name: str, text: Callable[[float], str]) -> str:
        """Return a value in words, or why there is none."""
        value = self._model.value(name)
        return self._model.why_absent(name) if value is None else text(value)

    def _by_tag(self, name: str) -> list[tuple[str, float]]:
        """Return the values of a metric that are not 0, the largest first."""
        known = [(tag, value) for tag, value in self._model.by_tag(name).items() if value]
        return sorted(known, key=lambda item: -item[1])


def _row(label: str, what: Text | str) -> Text:
    return Text.assemble(f" {label:<{LABEL - 1}}", what)
