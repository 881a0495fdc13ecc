"""Keeps a session with the node, polls it, and hands its events and tips to the store."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from telegraf_bitcoin_ipc import __version__
from telegraf_bitcoin_ipc.aio import run_until_first_done
from telegraf_bitcoin_ipc.collect.blocks import Blocks
from telegraf_bitcoin_ipc.collect.events import ActiveChain, ChainEvents, GuardTotals, UtxoEvents
from telegraf_bitcoin_ipc.collect.metrics import METRICS, Subscription
from telegraf_bitcoin_ipc.collect.polls import Poller
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tips import Tips
from telegraf_bitcoin_ipc.collect.values import Value
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.errors import CallFailed, SessionExpired
from telegraf_bitcoin_ipc.ipc.connection import Watch, look_at, watch
from telegraf_bitcoin_ipc.ipc.dialects import Followed, Source
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.session import Session, Tip
from telegraf_bitcoin_ipc.reconnect import delays, keep_serving, renewals

log = logging.getLogger(__name__)

SILENT_SECONDS: Final = 5.0
"""How long a node may take to answer the first questions before the log says that it is waited for."""


class Collector:
    """Fills a store with what one node tells, session after session."""

    def __init__(
        self,
        config: Config,
        store: Store,
        on_change: Callable[[], None] = lambda: None,
        new_renewals: Callable[[], Iterator[float]] = renewals,
    ) -> None:
        """Fill `store`; call `on_change` after each poll, new tip, and begin or end of a session.

        `new_renewals` gives how many seconds sessions without a guard last, one after another.
        """
        self._config = config
        self._new_renewals = new_renewals
        self._renewals: Iterator[float] | None = None  # none while the guard can be started
        self._store = store
        self._node_socket = NodeSocket(config.socket)
        self._waits_for = ""
        self._on_change = on_change
        self._poller = Poller(store, time)
        self._new_block = asyncio.Event()
        self._blocks = Blocks(store, self._poller, self._new_block.set)
        self._chain = ActiveChain(store, self._blocks.connected, self._blocks.disconnected)
        self._tips = 0
        self._guard_totals: GuardTotals | None = None
        store.set("up", 0)
        store.set("plugin_info", 1, __version__)
        store.start("connects_total", "events_dropped_total", "lines_dropped_total")
        for subscription in Subscription:
            store.set("subscription_active", 0, subscription)

    async def watch(self) -> NoReturn:
        """Watch the node, whatever becomes of it, until cancelled; then it is left in peace."""
        if self._config.no_guard:
            log.warning("without the guard a crash of this process, or a stall, takes the node down with it")
        await keep_serving(self._session, self._serve, sleep=asyncio.sleep, clock=time.monotonic)

    async def look(self) -> None:
        """Poll the node once, subscribing to nothing. Raises NodeUnavailable or UnsupportedNode."""
        async with look_at(self._node_socket, unguarded=self._config.no_guard) as session:
            self._introduce(session)
            await self._poll(session, told=False)

    def sync_totals(self) -> None:
        """Bring the store up to what the guard has counted by itself."""
        if self._guard_totals is not None:
            self._guard_totals.sync_totals()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Watch]:
        config = self._config
        loop = asyncio.get_running_loop()
        silence = loop.call_later(SILENT_SECONDS, self._waits, "the node has not answered yet")
        try:
            async with watch(
                self._node_socket,
                unguarded=config.no_guard,
                hand_on_utxo=config.debug,
                level=logging.ERROR if self._renewals is None else logging.DEBUG,
                on_wait=self._waits,
            ) as node:
                silence.cancel()
                self._waits_for = ""
                if node.totals is not None:
                    self._guard_totals = GuardTotals(self._store, node.totals)
                self._store.add("connects_total", 1)
                self._introduce(node.session)
                log.info("connected to %s: %s", config.socket, node.session)
                try:
                    yield node
                finally:
                    self._gone()
        finally:
            silence.cancel()
            self._gone()  # again: events that came while leaving have counted, and set gauges
            self._guard_totals = None

    def _waits(self, reason: str) -> None:
        """Log what a session that is not open yet waits for: once until one is."""
        log.log(logging.DEBUG if self._waits_for else logging.WARNING, "%s", reason)
        self._waits_for = reason

    def _introduce(self, session: Session) -> None:
        self._store.set("node_info", 1, session.version, session.chain, session.dialect.name)

    def _gone(self) -> None:
        self.sync_totals()
        self._store.end_session()
        self._store.set("up", 0)
        for subscription in Subscription:
            self._store.set("subscription_active", 0, subscription)
        self._on_change()

    async def _serve(self, node: Watch) -> NoReturn:
        session = node.session
        self._poller.begin_session()
        self._blocks.begin_session()
        await self._ask_for_tip(session, logging.WARNING)
        work = [self._until_it_leaves(session), self._poll_for_ever(node)]
        if node.may_subscribe:
            self._renewals = None
        else:
            self._renewals = self._renewals or self._new_renewals()
            work.append(_expire(next(self._renewals)))
        if session.dialect.statistics is not None:
            work.append(self._look_at_new_blocks(session, session.dialect.statistics))
        await run_until_first_done(*work)
        raise AssertionError("a session ends by an exception")

    async def _ask_for_tip(self, session: Session, level: int) -> None:
        try:
            await session.probe_tip()
        except CallFailed as error:
            log.log(level, "%s; nothing is subscribed, for the node's stop would go unnoticed; polls go on", error)

    async def _until_it_leaves(self, session: Session) -> NoReturn:
        """Follow the tip, as soon as the node tells of it, until the session is over."""
        pauses = delays()
        while not session.tip_works:
            await asyncio.sleep(next(pauses))
            await self._ask_for_tip(session, logging.DEBUG)
            if session.tip_works:
                log.info("waitTipChanged works again")
        await session.follow_tip(self._follower(session))

    def _follower(self, session: Session) -> Callable[[Tip], Awaitable[None]] | None:
        """Return what takes each new tip of a node that has no notifications; None where it has."""
        if session.dialect.subscriptions:
            return None
        headers = session if session.dialect.statistics is not None else None
        tips = Tips(self._store, self._chain, lambda: self._blocks.downloading is not False)
        self._start(session, *Followed)

        async def follow(tip: Tip) -> None:
            await tips.moved(tip, headers)
            self._tip_moved()

        return follow

    async def _poll_for_ever(self, node: Watch) -> NoReturn:
        session = node.session
        wanted = set(session.dialect.subscriptions) if node.may_subscribe else set()
        if self._config.no_utxo_trace:
            wanted.discard(Subscription.UTXO_CACHE)
        may_be_told = node.may_subscribe or not session.dialect.subscriptions
        await self._subscribe(node, Subscription.CHAIN, wanted)
        deferred = False
        while True:
            due = time.monotonic() + self._config.poll_interval
            told = may_be_told and session.tip_works and Subscription.CHAIN not in wanted
            values = await self._poll(session, told=told)
            self._on_change()
            await self._subscribe(node, Subscription.CHAIN, wanted)
            if values.get("ibd") == 0:
                await self._subscribe(node, Subscription.UTXO_CACHE, wanted)
            elif Subscription.UTXO_CACHE in wanted and not deferred:
                deferred = True
                log.info("the UTXO cache trace waits for the end of initial block download")
            await asyncio.sleep(due - time.monotonic())

    async def _poll(self, session: Session, *, told: bool) -> dict[str, Value]:
        """Poll once, and look at the tip; `told` says whether new blocks are told of between polls."""
        dialect = session.dialect
        values = await self._poller.poll(session, dialect.polled(self._config.fee_targets), self._tip_mark)
        if dialect.statistics is not None:
            ibd, height = values.get("ibd"), values.get("chain_height")
            await self._blocks.polled(session, dialect.statistics, ibd, height, told=told)
            self._new_block.set()  # blocks may have waited for what this poll found
        return values

    def _tip_mark(self, known: Mapping[str, Value]) -> Hashable:
        """Return what is another after each new tip; None while blocks are downloaded."""
        return (self._tips, known.get("chain_height")) if known.get("ibd") == 0 else None

    async def _look_at_new_blocks(self, session: Session, statistics: Source) -> NoReturn:
        while True:
            await self._new_block.wait()
            self._new_block.clear()
            if await self._blocks.catch_up(session, statistics):
                self._on_change()

    async def _subscribe(self, node: Watch, subscription: Subscription, wanted: set[Subscription]) -> None:
        """Make a subscription that is wanted, if it is safe; one that fails stays wanted for the next poll."""
        if subscription not in wanted or not node.session.tip_works:
            return
        try:
            if subscription is Subscription.CHAIN:
                await node.session.subscribe_chain(ChainEvents(self._store, self._chain, self._tip_moved))
                self._start(node.session, Subscription.CHAIN)
            else:
                counting = self._store if node.totals is None else None
                await node.session.subscribe_utxo_cache(UtxoEvents(counting))
                self._start(node.session, Subscription.UTXO_CACHE)
        except CallFailed as error:
            log.warning("the %s subscription failed: %s; trying again at the next poll", subscription, error)
            return
        wanted.discard(subscription)
        self._store.set("subscription_active", 1, subscription)
        log.info("subscribed: %s", subscription)

    def _start(self, session: Session, *kinds: Subscription | Followed) -> None:
        """Begin the counters that come by themselves from now on."""
        names = session.dialect.event_metrics(*kinds)
        self._store.start(*(name for name in names if METRICS[name].type == "counter"))
        if "reorg_depth_max" in names:
            self._chain.start()

    def _tip_moved(self) -> None:
        self._tips += 1
        self._on_change()


async def _expire(seconds: float) -> NoReturn:
    await asyncio.sleep(seconds)
    raise SessionExpired("this session has no guard; a new one tries again to start it")
