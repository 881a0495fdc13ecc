"""Ask the node for every polled value, one failure at a time."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from telegraf_bitcoin_ipc.errors import CallFailed
from telegraf_bitcoin_ipc.store import Number, Store

log = logging.getLogger(__name__)


class Source(Protocol):
    """One call, and the metrics whose values it gives."""

    @property
    def name(self) -> str:
        """The call as people write it."""

    @property
    def values(self) -> Mapping[str, object]:
        """The metrics."""


SourceT = TypeVar("SourceT", bound=Source)
AnySourceT = TypeVar("AnySourceT", bound=Source, contravariant=True)


class Node(Protocol[AnySourceT]):
    """Answers a source's call."""

    async def read(self, source: AnySourceT) -> dict[str, Number | None]:
        """Return the values by metric; raises CallFailed."""


class Clock(Protocol):
    """The two clocks that a poll is timed by."""

    monotonic: Callable[[], float]
    time: Callable[[], float]


class Poller:
    """Asks a node for the values of its sources and puts them into the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Poll into `store`, timed by `clock`."""
        self._store = store
        self._clock = clock
        self._failing: set[str] = set()

    async def poll(self, node: Node[SourceT], sources: Iterable[SourceT]) -> dict[str, Number]:
        """Ask for everything that is wanted; returns the values that the node gave.

        A source that fails costs its own values only: they become absent. Raises NodeUnavailable.
        """
        began = self._clock.monotonic()
        known: dict[str, Number] = {}
        answers = 0
        for source in sources:
            if not any(self._store.wants(metric) for metric in source.values):
                continue
            values = await self._ask(node, source)
            answers += values is not None
            for metric in source.values:
                value = values[metric] if values is not None else None
                if value is None:
                    self._store.forget(metric)
                else:
                    self._store.set(metric, value)
                    known[metric] = value
        self._store.set("up", int(answers > 0))
        self._store.set("poll_duration_seconds", self._clock.monotonic() - began)
        self._store.set("last_poll_timestamp_seconds", self._clock.time())
        return known

    async def _ask(self, node: Node[SourceT], source: SourceT) -> dict[str, Number | None] | None:
        """Return the source's values, or None (counted, and warned of once) where it fails."""
        self._store.add("poll_errors_total", 0, source.name)
        try:
            values = await node.read(source)
        except CallFailed as error:
            self._store.add("poll_errors_total", 1, source.name)
            level = logging.DEBUG if source.name in self._failing else logging.WARNING
            log.log(level, "%s cannot be polled: %s", source.name, error)
            self._failing.add(source.name)
            return None
        if source.name in self._failing:
            self._failing.remove(source.name)
            log.info("%s can be polled again", source.name)
        return values
