"""Ask the node for every polled value, one failure at a time."""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol, TypeVar, cast

from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Labelled, PeerTotals, Value
from telegraf_bitcoin_ipc.errors import CallFailed, PartlyFailed

log = logging.getLogger(__name__)


class Source(Protocol):
    """One call, and the metrics whose values it gives."""

    @property
    def name(self) -> str:
        """The call as people write it."""

    @property
    def values(self) -> Mapping[str, object]:
        """The metrics."""

    @property
    def once_per_tip(self) -> bool:
        """Whether its values stay what they are until there is a new tip."""


SourceT = TypeVar("SourceT", bound=Source)
AnySourceT = TypeVar("AnySourceT", bound=Source, contravariant=True)


class Node(Protocol[AnySourceT]):
    """Answers a source's call."""

    async def read(self, source: AnySourceT) -> dict[str, Value]:
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
        self._asked_at: dict[str, Hashable] = {}
        self._totals: dict[str, PeerTotals] = {}

    def begin_session(self) -> None:
        """Forget what the last session's node told."""
        self._asked_at.clear()
        self._totals.clear()

    async def poll(
        self,
        node: Node[SourceT],
        sources: Iterable[SourceT],
        tip: Callable[[Mapping[str, Value]], Hashable] = lambda known: None,
    ) -> dict[str, Value]:
        """Ask for everything that is wanted; returns the values that the node gave.

        `tip` returns, from the values known by then, anything that is another after each new block; while it is
        None, what is asked for once per tip is left out. A source that fails costs its own values only: they
        become absent. Raises NodeUnavailable.
        """
        began = self._clock.monotonic()
        known: dict[str, Value] = {}
        answers = 0
        for source in sources:
            now = tip(known) if source.once_per_tip else None
            if not self.wants(source) or (source.once_per_tip and now in (None, self._asked_at.get(source.name))):
                continue
            values = await self.ask(node, source)
            answers += values is not None
            for metric in source.values:
                value = values.get(metric) if values is not None else None
                self._put(metric, value)
                if value is not None:
                    known[metric] = value
            if values is not None:
                self._asked_at[source.name] = now
        self._store.set("up", int(answers > 0))
        self._store.set("poll_duration_seconds", self._clock.monotonic() - began)
        self._store.set("last_poll_timestamp_seconds", self._clock.time())
        return known

    def wants(self, source: Source) -> bool:
        """Say whether a source gives any metric of a group that is on."""
        return any(self._store.wants(metric) for metric in source.values)

    async def ask(self, node: Node[SourceT], source: SourceT) -> dict[str, Value] | None:
        """Return the source's values, or None where it fails: see `attempt`."""
        with suppress(CallFailed):
            return await self.attempt(node, source)
        return None

    async def attempt(self, node: Node[SourceT], source: SourceT) -> dict[str, Value]:
        """Return the source's values, those that could not be read left out.

        A failure is counted, and warned of once. Raises CallFailed where there is no value at all.
        """
        self._store.add("poll_errors_total", 0, source.name)
        try:
            values = await node.read(source)
        except CallFailed as error:
            self._failed(source.name, error)
            if isinstance(error, PartlyFailed):
                return cast(dict[str, Value], dict(error.values))
            raise
        if source.name in self._failing:
            self._failing.remove(source.name)
            log.info("%s works again", source.name)
        return values

    def _failed(self, name: str, error: CallFailed) -> None:
        self._store.add("poll_errors_total", 1, name)
        log.log(logging.DEBUG if name in self._failing else logging.WARNING, "%s fails: %s", name, error)
        self._failing.add(name)

    def _put(self, metric: str, value: Value) -> None:
        if METRICS[metric].lifetime == "process":
            self._add_up(metric, cast(PeerTotals | None, value))
        elif value is None:
            self._store.forget(metric)
        elif isinstance(value, Mapping):
            self._store.replace(metric, cast(Labelled, value))
        else:
            self._store.set(metric, value)

    def _add_up(self, metric: str, totals: PeerTotals | None) -> None:
        """Count the increase of running totals: of each since the last poll, of a new one whole.

        What the first poll of a session finds has come about before it.
        """
        self._store.start(metric)
        if totals is None:
            return
        before = self._totals.get(metric)
        for key, total in totals.items():
            if before is not None:
                _, tag_value = key
                self._store.add(metric, max(total - before.get(key, 0), 0), tag_value)
        self._totals[metric] = totals
