"""A listener to the chain that remembers what it was told."""

from typing import Any

from telegraf_bitcoin_ipc.collect.events import ChainListener
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block, Number


class Recorder(ChainListener):
    """Keeps what it is told, each with the sum of all that was counted by then."""

    def __init__(self, store: Store) -> None:
        self.told: list[tuple[tuple[Any, ...], Number]] = []
        self._store = store

    @property
    def blocks(self) -> list[str]:
        """The hashes of the blocks that were connected."""
        return [what[1] for what, _ in self.told if what[0] == "connected"]

    def _record(self, *what: Any) -> None:
        self.told.append((what, sum(value for _, _, value in self._store.samples())))

    def connected(self, block: Block) -> None:
        self._record("connected", block.hash)

    def disconnected(self, block: Block) -> None:
        self._record("disconnected", block.hash)

    def new_tip(self, tip: Block | None) -> None:
        self._record("tip", tip)

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        self._record("flushed", historical, locator_size)
