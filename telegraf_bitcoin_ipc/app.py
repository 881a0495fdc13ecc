"""The joint: keeps a session with the node, polls it, hands its events to the store, emits, and stops."""

import asyncio
import logging
import math
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NoReturn

from telegraf_bitcoin_ipc import __version__
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.errors import CallFailed
from telegraf_bitcoin_ipc.events import (
    CHAIN_COUNTERS,
    UTXO_COUNTERS,
    ChainEvents,
    GuardTotals,
    UtxoEvents,
)
from telegraf_bitcoin_ipc.ipc.session import run
from telegraf_bitcoin_ipc.ipc.watch import Watch, watch
from telegraf_bitcoin_ipc.lines import encode
from telegraf_bitcoin_ipc.metrics import SUBSCRIPTIONS
from telegraf_bitcoin_ipc.polls import Poller
from telegraf_bitcoin_ipc.reconnect import keep_serving
from telegraf_bitcoin_ipc.store import Store
from telegraf_bitcoin_ipc.telegraf import Pipe, Schedule, watch_stdin

log = logging.getLogger(__name__)


STDIN: Final = 0


class Plugin:
    """One node, one store, one output."""

    def __init__(self, config: Config, output: Pipe) -> None:
        """Emit to `output`."""
        self._config = config
        self._output = output
        self._store = Store(config.metrics)
        self._poller = Poller(self._store, time)
        self._schedule = Schedule(config.emit_interval)
        self._rescheduled = asyncio.Event()
        self._stop = asyncio.Event()
        self._guard_totals: GuardTotals | None = None
        self._store.set("plugin_info", 1, __version__)
        self._store.start("connects_total", "events_dropped_total", "lines_dropped_total")
        for subscription in SUBSCRIPTIONS:
            self._store.set("subscription_active", 0, subscription)

    async def run(self) -> None:
        """Work until stdin ends, stdout breaks, or SIGTERM or SIGINT comes; then leave the node in peace."""
        if self._config.no_guard:
            log.warning("without the guard a crash of this process, or a stall, takes the node down with it")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        watch_stdin(STDIN, on_newline=_from_thread(loop, self._newline), on_end=_from_thread(loop, self.stop))
        await together(
            self._stop.wait(),
            self._emit_for_ever(),
            keep_serving(self._session, self._serve, sleep=asyncio.sleep, clock=time.monotonic),
        )

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Watch]:
        config = self._config
        try:
            async with watch(config.socket, unguarded=config.no_guard, hand_on_utxo=config.debug) as node:
                session = node.session
                if node.totals is not None:
                    self._guard_totals = GuardTotals(self._store, node.totals)
                self._store.add("connects_total", 1)
                self._store.set("node_info", 1, session.version, session.chain, session.dialect.name)
                log.info("connected to %s: %s", config.socket, session)
                try:
                    yield node
                finally:
                    self._gone()
        finally:
            self._gone()  # again: events that came while leaving have counted, and set gauges
            self._guard_totals = None

    def _gone(self) -> None:
        self._carry_over()
        self._store.end_session()
        self._store.set("up", 0)
        for subscription in SUBSCRIPTIONS:
            self._store.set("subscription_active", 0, subscription)
        self._emit_soon()

    def _carry_over(self) -> None:
        if self._guard_totals is not None:
            self._guard_totals.carry_over()

    async def _serve(self, node: Watch) -> NoReturn:
        await together(node.session.until_it_leaves(), self._poll_for_ever(node))
        raise AssertionError("a session ends by an exception")

    async def _poll_for_ever(self, node: Watch) -> NoReturn:
        session = node.session
        wanted = set(session.dialect.subscriptions) if node.may_subscribe else set()
        if self._config.no_utxo_trace:
            wanted.discard("utxo_cache")
        await self._subscribe(node, "chain", wanted)
        deferred = False
        while True:
            due = time.monotonic() + self._config.poll_interval
            values = await self._poller.poll(session, session.dialect.sources)
            self._emit_soon()
            await self._subscribe(node, "chain", wanted)
            if values.get("ibd") == 0:
                await self._subscribe(node, "utxo_cache", wanted)
            elif "utxo_cache" in wanted and not deferred:
                deferred = True
                log.info("the UTXO cache trace waits for the end of initial block download")
            await asyncio.sleep(due - time.monotonic())

    async def _subscribe(self, node: Watch, name: str, wanted: set[str]) -> None:
        """Make a subscription that is wanted; one that fails stays wanted for the next poll."""
        if name not in wanted:
            return
        try:
            if name == "chain":
                await node.session.subscribe_chain(ChainEvents(self._store, self._emit_soon))
                self._store.start(*CHAIN_COUNTERS)
            else:
                counting = self._store if node.totals is None else None
                await node.session.subscribe_utxo_cache(UtxoEvents(counting))
                self._store.start(*UTXO_COUNTERS)
        except CallFailed as error:
            log.warning("the %s subscription failed: %s; trying again at the next poll", name, error)
            return
        wanted.discard(name)
        self._store.set("subscription_active", 1, name)
        log.info("subscribed: %s", name)

    def _emit_soon(self) -> None:
        self._schedule.hurry(time.monotonic())
        self._rescheduled.set()

    def _newline(self) -> None:
        self._emit(by_newline=True)
        self._rescheduled.set()

    def _emit(self, *, by_newline: bool = False) -> None:
        self._carry_over()
        self._store.add("lines_dropped_total", self._output.take_dropped())
        self._output.put(encode(self._store.samples(), time.time_ns(), self._config.tag))
        self._schedule.emitted(time.monotonic(), by_newline=by_newline)

    async def _emit_for_ever(self) -> NoReturn:
        while True:
            wait = self._schedule.wait(time.monotonic())
            if wait == 0:
                self._emit()
                continue
            self._rescheduled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if math.isfinite(wait) else None):
                    await self._rescheduled.wait()


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Callable[[], None]:
    """Return a function that has the loop make the call, for threads that may outlive the loop."""

    def schedule() -> None:
        with suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
            loop.call_soon_threadsafe(call)

    return schedule


async def together(*work: Coroutine[Any, Any, Any]) -> None:
    """Run coroutines until the first of them ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def once(config: Config) -> list[str]:
    """Return the lines of one poll; subscribes to nothing. Raises NodeUnavailable or UnsupportedNode."""
    store = Store(config.metrics)
    store.set("plugin_info", 1, __version__)
    async with watch(config.socket, unguarded=config.no_guard) as node:
        session = node.session
        store.set("node_info", 1, session.version, session.chain, session.dialect.name)
        await Poller(store, time).poll(session, session.dialect.sources)
        return encode(store.samples(), time.time_ns(), config.tag)


def serve(config: Config, descriptor: int) -> None:
    """Run the plugin, writing line protocol to a file descriptor, until it is told to stop."""

    async def work() -> None:
        output = Pipe(descriptor)
        plugin = Plugin(config, output)
        output.on_broken(_from_thread(asyncio.get_running_loop(), plugin.stop))
        await plugin.run()
        output.flush()

    run(work())


def look(config: Config) -> list[str]:
    """Return the lines of one poll."""
    return run(once(config))
