"""Polls the node for every polled value; one failed call does not affect the others."""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol, cast

from telegraf_bitcoin_ipc.collect.dialect import Source
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Labelled, PeerTotals, Value
from telegraf_bitcoin_ipc.errors import CallFailed, PartlyFailed

log = logging.getLogger(__name__)


class Node(Protocol):
    """Answers a source's call."""

    async def read(self, source: Source) -> dict[str, Value]:
        """Return the values by metric; raises CallFailed."""


class Clock(Protocol):
    """The clocks that time a poll."""

    monotonic: Callable[[], float]
    time: Callable[[], float]


class Poller:
    """Polls a node's sources and puts their values into the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._failing: set[str] = set()
        self._polled_at: dict[str, Hashable] = {}
        self._totals: dict[str, PeerTotals] = {}

    def begin_session(self) -> None:
        """Drop what is known of the previous session's node."""
        self._polled_at.clear()
        self._totals.clear()

    async def poll(
        self,
        node: Node,
        sources: Iterable[Source],
        tip: Callable[[Mapping[str, Value]], Hashable] = lambda known: None,
    ) -> dict[str, Value]:
        """Poll every source of a group that is on; return the values.

        `tip` gets the values known so far and returns a token that changes with every new tip; while it is None,
        sources that are polled once per tip are skipped. A failed source makes only its own values absent. Raises
        NodeUnavailable.
        """
        began = self._clock.monotonic()
        known: dict[str, Value] = {}
        answers = 0
        for source in sources:
            once_per_tip = source.call.once_per_tip
            now = tip(known) if once_per_tip else None
            if not self.wants(source) or (once_per_tip and now in (None, self._polled_at.get(source.name))):
                continue
            values = await self.ask(node, source)
            answers += values is not None
            for metric in source.values:
                value = values.get(metric) if values is not None else None
                self._put(metric, value)
                if value is not None:
                    known[metric] = value
            if values is not None:
                self._polled_at[source.name] = now
        self._store.set("up", int(answers > 0))
        self._store.set("poll_duration_seconds", self._clock.monotonic() - began)
        self._store.set("last_poll_timestamp_seconds", self._clock.time())
        return known

    def wants(self, source: Source) -> bool:
        """Return whether a source has a metric of a group that is on."""
        return any(self._store.wants(metric) for metric in source.values)

    async def ask(self, node: Node, source: Source) -> dict[str, Value] | None:
        """Return the source's values, or None if it fails; see `attempt`."""
        with suppress(CallFailed):
            return await self.attempt(node, source)
        return None

    async def attempt(self, node: Node, source: Source) -> dict[str, Value]:
        """Return the values that could be read; count and log a failure. Raises CallFailed if there is none."""
        self._store.add("poll_errors_total", 0, source.name)
        try:
            values = await node.read(source)
        except CallFailed as error:
            self._store.add("poll_errors_total", 1, source.name)
            level = logging.DEBUG if source.name in self._failing else logging.WARNING
            log.log(level, "%s fails: %s", source.name, error)
            self._failing.add(source.name)
            if isinstance(error, PartlyFailed):
                return cast(dict[str, Value], dict(error.values))
            raise
        if source.name in self._failing:
            self._failing.remove(source.name)
            log.info("%s works again", source.name)
        return values

    def _put(self, metric: str, value: Value) -> None:
        if METRICS[metric].lifetime == "process":
            self._add_increase(metric, cast(PeerTotals | None, value))
        elif value is None:
            self._store.forget(metric)
        elif isinstance(value, Mapping):
            self._store.replace(metric, cast(Labelled, value))
        else:
            self._store.set(metric, value)

    def _add_increase(self, metric: str, totals: PeerTotals | None) -> None:
        """Count the increase of each total since the last poll; the first of a session only sets the base."""
        self._store.start(metric)
        if totals is None:
            return
        before = self._totals.get(metric)
        for key, total in totals.items():
            if before is not None:
                _, tag_value = key
                self._store.add(metric, max(total - before.get(key, 0), 0), tag_value)
        self._totals[metric] = totals
