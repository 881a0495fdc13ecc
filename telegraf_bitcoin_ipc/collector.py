"""Fills a store from one node, session after session."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from telegraf_bitcoin_ipc import __version__
from telegraf_bitcoin_ipc.aio import run_until_first_done
from telegraf_bitcoin_ipc.collect.blocks import Blocks
from telegraf_bitcoin_ipc.collect.dialect import Dialect, Followed, Source
from telegraf_bitcoin_ipc.collect.events import ActiveChain, ChainEvents, ChainListener, GuardTotals, UtxoEvents
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.polls import Poller
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.collect.tips import Tips
from telegraf_bitcoin_ipc.collect.values import Block, Value
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.errors import CallFailed, SessionExpired
from telegraf_bitcoin_ipc.ipc.connection import Connection, connect, look_at
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.session import Session
from telegraf_bitcoin_ipc.reconnect import delays, keep_serving, renewals

log = logging.getLogger(__name__)

SILENT_SECONDS: Final = 5.0
"""Seconds that a node may take to open a session before the log says that it has not answered."""


class Collector:
    """Keeps a session with one node open, and reports in the store whether there is one."""

    def __init__(
        self,
        config: Config,
        store: Store,
        on_change: Callable[[], None] = lambda: None,
        *,
        listeners: Sequence[ChainListener] = (),
        on_problem: Callable[[str], None] = lambda problem: None,
    ) -> None:
        """Fill `store`; call `on_change` after each poll, new tip, and start or end of a session.

        `on_problem` gets each reason why there is no session.
        """
        self._config = config
        self._store = store
        self._on_change = on_change
        self._renewals: Iterator[float] | None = None  # None while the guard can be started
        self._on_problem = on_problem
        self._node_socket = NodeSocket(config.socket)
        self._waiting_for = ""
        self._measurements = Measurements(store, config.fee_targets, on_change, listeners)
        self._guard_totals: GuardTotals | None = None
        store.set("up", 0)
        store.set("plugin_info", 1, __version__)
        store.start("connects_total", "events_dropped_total", "guard_refused_calls_total", "lines_dropped_total")
        for subscription in Subscription:
            store.set("subscription_active", 0, subscription)

    async def watch(self) -> NoReturn:
        """Watch the node, reconnecting as needed, until cancelled; then unsubscribe and disconnect."""
        await keep_serving(
            self._session, self._serve, sleep=asyncio.sleep, clock=time.monotonic, on_problem=self._on_problem
        )

    async def look(self) -> None:
        """Poll the node once, without subscribing. Raises NodeUnavailable or UnsupportedNode."""
        async with look_at(self._node_socket, unguarded=self._config.no_guard) as connection:
            self._introduce(connection)
            await self._measurements.poll(connection.session, pushed=False)

    def sync_totals(self) -> None:
        """Add to the store what the guard has counted since the last call."""
        if self._guard_totals is not None:
            self._guard_totals.sync_totals()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Connection]:
        config = self._config
        later = asyncio.get_running_loop().call_later
        silence = later(SILENT_SECONDS, self._log_wait, "the node has not answered yet")
        try:
            async with connect(
                self._node_socket,
                unguarded=config.no_guard,
                forward_utxo=config.debug,
                level=logging.ERROR if self._renewals is None else logging.DEBUG,
                on_wait=self._log_wait,
            ) as connection:
                silence.cancel()
                self._waiting_for = ""
                if connection.guard is not None:
                    self._guard_totals = GuardTotals(self._store, connection.guard.totals)
                self._store.add("connects_total", 1)
                self._introduce(connection)
                if config.no_guard and connection.guard is None:
                    log.warning(
                        "running without the guard: if this process crashes or stalls, the node aborts or freezes"
                    )
                log.info("connected to %s: %s", config.socket, connection.session)
                try:
                    yield connection
                finally:
                    self._end_session()
        finally:
            silence.cancel()
            self._end_session()  # again, because events may have set gauges while unsubscribing
            self._guard_totals = None

    def _log_wait(self, reason: str) -> None:
        """Log what a connecting session waits for: the first reason as a warning, later ones at debug level."""
        log.log(logging.DEBUG if self._waiting_for else logging.WARNING, "%s", reason)
        self._waiting_for = reason

    def _introduce(self, connection: Connection) -> None:
        session, guard = connection.session, connection.guard
        if guard is not None:
            self._store.set("guard_standing", int(guard.standing))
        self._store.set("node_info", 1, session.version, session.chain, session.dialect.name)

    def _end_session(self) -> None:
        self.sync_totals()
        self._store.end_session()
        self._store.set("up", 0)
        for subscription in Subscription:
            self._store.set("subscription_active", 0, subscription)
        self._on_change()

    async def _serve(self, connection: Connection) -> NoReturn:
        session, config = connection.session, self._config
        self._measurements.begin_session()
        await _probe_tip(session, logging.WARNING)
        subscriptions = Subscriptions(connection, self._store, self._measurements, trace=not config.no_utxo_trace)
        work = [_follow_tip(session, self._measurements), self._poll_forever(session, subscriptions)]
        if connection.may_subscribe:
            self._renewals = None
        else:
            self._renewals = self._renewals or renewals()
            work.append(_expire(next(self._renewals)))
        if session.dialect.statistics is not None:
            work.append(self._measurements.follow_blocks(session, session.dialect.statistics))
        await run_until_first_done(*work)
        raise AssertionError("a session ends by an exception")

    async def _poll_forever(self, session: Session, subscriptions: "Subscriptions") -> NoReturn:
        await subscriptions.make(Subscription.CHAIN)
        while True:
            due = time.monotonic() + self._config.poll_interval
            values = await self._measurements.poll(session, pushed=subscriptions.blocks_are_pushed)
            self._on_change()
            await subscriptions.polled(values)
            await asyncio.sleep(due - time.monotonic())


class Measurements:
    """Polls, requests block statistics, and counts blocks and reorganisations in one store; outlives sessions."""

    def __init__(
        self,
        store: Store,
        fee_targets: Sequence[int],
        on_change: Callable[[], None],
        listeners: Sequence[ChainListener],
    ) -> None:
        self._store = store
        self._fee_targets = fee_targets
        self._on_change = on_change
        self._new_block = asyncio.Event()
        self._poller = Poller(store, time)
        self._tips = 0
        self.blocks = Blocks(store, self._poller, self._new_block.set)
        self.chain = ActiveChain(store, self.blocks, *listeners)

    def begin_session(self) -> None:
        """Drop what is known of the previous session's node."""
        self._poller.begin_session()
        self.blocks.begin_session()

    def start_counters(self, dialect: Dialect, *kinds: Subscription | Followed) -> None:
        """Start the counters that are made from these events at 0."""
        names = dialect.event_metrics(*kinds)
        self._store.start(*(name for name in names if METRICS[name].type == "counter"))
        if "reorg_depth_max" in names:
            self.chain.start()

    def tip_changed(self) -> None:
        """Note that the tip has changed."""
        self._tips += 1
        self._on_change()

    async def poll(self, session: Session, *, pushed: bool) -> dict[str, Value]:
        """Poll once, and request the tip's statistics if no event does; `pushed` says if events report blocks."""
        dialect = session.dialect
        values = await self._poller.poll(session, dialect.polled(self._fee_targets), self._tip_token)
        if dialect.statistics is not None:
            ibd, height = values.get("ibd"), values.get("chain_height")
            await self.blocks.polled(session, dialect.statistics, ibd, height, pushed=pushed)
            self._new_block.set()  # blocks may have waited for what this poll found
        return values

    def count_tips(self, session: Session) -> Callable[[Block], Awaitable[None]]:
        """Return a function that counts each new tip of a node without notifications."""
        headers = session if session.dialect.statistics is not None else None
        tips = Tips(self._store, self.chain, lambda: self.blocks.downloading is not False)
        self.start_counters(session.dialect, *Followed)

        async def count(tip: Block) -> None:
            await tips.moved(tip, headers)
            self.tip_changed()

        return count

    async def follow_blocks(self, session: Session, statistics: Source) -> NoReturn:
        """Request the statistics of each new block."""
        while True:
            await self._new_block.wait()
            self._new_block.clear()
            if await self.blocks.catch_up(session, statistics):
                self._on_change()

    def _tip_token(self, known: Mapping[str, Value]) -> Hashable:
        """Return a token that changes with every new tip, or None during initial block download."""
        return (self._tips, known.get("chain_height")) if known.get("ibd") == 0 else None


class Subscriptions:
    """Makes a session's subscriptions, each once it is safe; retries a failed one after the next poll."""

    def __init__(self, connection: Connection, store: Store, measurements: Measurements, *, trace: bool) -> None:
        """Subscribe to what the dialect offers, to the UTXO cache trace only with `trace`."""
        self._session, self._guard, self._may_subscribe = connection
        self._store = store
        self._measurements = measurements
        self._missing = set(self._session.dialect.subscriptions)
        if not trace:
            self._missing.discard(Subscription.UTXO_CACHE)
        self._deferred = False

    @property
    def blocks_are_pushed(self) -> bool:
        """Whether new blocks are reported between polls, by a subscription or by following the tip."""
        return self._session.tip_works and Subscription.CHAIN not in self._missing

    async def polled(self, values: Mapping[str, Value]) -> None:
        """Make the missing subscriptions, the UTXO cache trace only outside initial block download."""
        await self.make(Subscription.CHAIN)
        if values.get("ibd") == 0:
            await self.make(Subscription.UTXO_CACHE)
        elif self._may_subscribe and Subscription.UTXO_CACHE in self._missing and not self._deferred:
            self._deferred = True
            log.info("the UTXO cache trace starts after initial block download")

    async def make(self, subscription: Subscription) -> None:
        """Make a subscription if it is still missing, and safe because the node can report its stop."""
        if not (self._may_subscribe and self._session.tip_works and subscription in self._missing):
            return
        try:
            await self._subscribe(subscription)
        except CallFailed as error:
            log.warning("the %s subscription failed: %s; trying again at the next poll", subscription, error)
            return
        self._missing.discard(subscription)
        self._store.set("subscription_active", 1, subscription)
        log.info("subscribed: %s", subscription)

    async def _subscribe(self, subscription: Subscription) -> None:
        measurements = self._measurements
        if subscription is Subscription.CHAIN:
            events = ChainEvents(self._store, measurements.chain, measurements.tip_changed)
            await self._session.subscribe_chain(events)
        else:
            await self._session.subscribe_utxo_cache(UtxoEvents(self._store if self._guard is None else None))
        measurements.start_counters(self._session.dialect, subscription)


async def _probe_tip(session: Session, level: int) -> None:
    """Find out whether the tip can be followed; log at `level` if not."""
    try:
        await session.probe_tip()
    except CallFailed as error:
        log.log(level, "%s; not subscribing, because the node's stop would go unnoticed; polls continue", error)


async def _follow_tip(session: Session, measurements: Measurements) -> NoReturn:
    """Follow the tip, as soon as that works, until the session is over: so the node's stop is noticed."""
    pauses = delays()
    while not session.tip_works:
        await asyncio.sleep(next(pauses))
        await _probe_tip(session, logging.DEBUG)
        if session.tip_works:
            log.info("waitTipChanged works again")
    await session.follow_tip(None if session.dialect.subscriptions else measurements.count_tips(session))


async def _expire(seconds: float) -> NoReturn:
    await asyncio.sleep(seconds)
    raise SessionExpired("this session has no guard; reconnecting to try again to start one")
