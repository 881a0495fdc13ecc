"""Statistics of each new block, requested once: the last block's figures, and the changes of the UTXO set."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from telegraf_bitcoin_ipc.collect.dialect import Source
from telegraf_bitcoin_ipc.collect.events import ChainListener
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.polls import Node, Poller
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block, Value
from telegraf_bitcoin_ipc.errors import CallFailed, NotAnswered

LAST_BLOCK: Final = tuple(name for name in METRICS if name.startswith("last_block_"))
"""The metrics of the newest block."""

LONGEST_QUEUE: Final = 1008
"""Blocks (a week's worth) that are queued while the node does not answer."""


class Blocks(ChainListener):
    """Requests the statistics of blocks in order. Blocks are skipped while `downloading`; None is unknown."""

    def __init__(self, store: Store, poller: Poller, on_new: Callable[[], None] = lambda: None) -> None:
        """Request through `poller`; call `on_new` when a block was queued."""
        self._store = store
        self._poller = poller
        self._on_new = on_new
        self.begin_session()

    def begin_session(self) -> None:
        """Drop all session-scoped state."""
        self._waiting: deque[str] = deque()
        self._shown = False
        self._height: Value = None
        self.downloading: bool | None = None

    def connected(self, block: Block) -> None:
        """Queue a new block; if the queue is full, drop and count the oldest one."""
        if self.downloading:
            return
        if len(self._waiting) == LONGEST_QUEUE:
            self._waiting.popleft()
            self._store.add("events_dropped_total", 1)
        self._waiting.append(block.hash)
        self._on_new()

    def disconnected(self, block: Block) -> None:
        """Forget the last block's statistics until the next block or poll."""
        self._shown = False
        self._store.forget(*LAST_BLOCK)

    async def polled(self, node: Node, statistics: Source, ibd: Value, height: Value, *, pushed: bool) -> None:
        """Use a poll's values: after initial block download, show the statistics of a tip that no event reported.

        `pushed` says whether events report new blocks; if not, the tip is shown whenever its height changes.
        Raises NodeUnavailable.
        """
        if ibd is not None:
            self.downloading = bool(ibd)
        if self.downloading:
            self._waiting.clear()
        if self.downloading is not False or not self._poller.wants(statistics) or not isinstance(height, int):
            return
        if not self._shown or (not pushed and self._height != height):
            self._shown, self._height = True, height
            self._store.start(*filter(_is_counter, statistics.values))
            values = await self._poller.ask(node, statistics.of_block(height))
            self._shown = self._shown and values is not None  # if not, the tip may have changed meanwhile
            self._show(values or {} if self._shown else {})

    async def catch_up(self, node: Node, statistics: Source) -> bool:
        """Request the queued blocks, and return whether any were requested. Raises NodeUnavailable.

        A block for which the node does not answer in time stays queued, as do those behind it.
        """
        if self.downloading is not False:
            return False  # queued blocks wait for the poll that finds the download finished
        asked = False
        while self._waiting:
            block = self._waiting[0]
            if self._poller.wants(statistics):
                before, self._shown = self._shown, True
                try:
                    values: dict[str, Value] = await self._poller.attempt(node, statistics.of_block(block))
                except NotAnswered:
                    self._shown = self._shown and before
                    return asked
                except CallFailed:
                    values = {}
                asked = True
                self._show(values if self._shown else {})  # the block may have been disconnected meanwhile
                for metric, value in values.items():
                    if isinstance(value, int | float) and _is_counter(metric):
                        self._store.add(metric, value)
            if self._waiting and self._waiting[0] == block:  # a poll may have cleared the queue
                self._waiting.popleft()
        return asked

    def _show(self, values: Mapping[str, Value]) -> None:
        """Show the last block's figures; those that are missing become absent."""
        for metric in LAST_BLOCK:
            value = values.get(metric)
            if isinstance(value, int | float):
                self._store.set(metric, value)
            else:
                self._store.forget(metric)


def _is_counter(metric: str) -> bool:
    return METRICS[metric].type == "counter"
