"""Wires one collector, one store and one output together; emits, and stops."""

import asyncio
import signal
import time
from typing import NoReturn

from telegraf_bitcoin_ipc.aio import run_until_first_done, threadsafe_callback, wait_at_most
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collector import Collector
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.telegraf.execd import LineWriter, Schedule, watch_stdin
from telegraf_bitcoin_ipc.telegraf.lines import encode


class Plugin:
    """One collector, one store, one output."""

    def __init__(self, config: Config, output: LineWriter) -> None:
        self._config = config
        self._output = output
        self._store = Store(config.metrics)
        self._collector = Collector(config, self._store, self._emit_soon)
        self._schedule = Schedule(config.emit_interval)
        self._rescheduled = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Run until end of file on stdin, a broken stdout, SIGTERM or SIGINT; then unsubscribe and disconnect."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._emit_soon()  # so that `bitcoin_up 0` is emitted even if the node hangs
        newline, stop = threadsafe_callback(loop, self._newline), threadsafe_callback(loop, self.stop)
        watch_stdin(0, on_newline=newline, on_end=stop)
        await run_until_first_done(self._stop.wait(), self._emit_forever(), self._collector.watch())

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def _emit_soon(self) -> None:
        self._schedule.request_soon(time.monotonic())
        self._rescheduled.set()

    def _newline(self) -> None:
        self._emit(by_newline=True)
        self._rescheduled.set()

    def _emit(self, *, by_newline: bool = False) -> None:
        self._collector.sync_totals()
        self._store.add("lines_dropped_total", self._output.take_dropped())
        self._output.put(encode(self._store.samples(), time.time_ns(), self._config.tag))
        self._schedule.emitted(time.monotonic(), by_newline=by_newline)

    async def _emit_forever(self) -> NoReturn:
        while True:
            wait = self._schedule.wait(time.monotonic())
            if wait == 0:
                self._emit()
                continue
            self._rescheduled.clear()
            await wait_at_most(self._rescheduled.wait(), wait)


def serve(config: Config, descriptor: int) -> None:
    """Run the plugin until it stops, writing line protocol to a file descriptor."""

    async def main() -> None:
        output = LineWriter(descriptor)
        plugin = Plugin(config, output)
        output.on_broken(threadsafe_callback(asyncio.get_running_loop(), plugin.stop))
        await plugin.run()
        output.flush()

    run(main())


def look(config: Config) -> list[str]:
    """Return the lines of one poll. Raises NodeUnavailable or UnsupportedNode."""

    async def work() -> list[str]:
        store = Store(config.metrics)
        await Collector(config, store).look()
        return encode(store.samples(), time.time_ns(), config.tag)

    return run(work())
