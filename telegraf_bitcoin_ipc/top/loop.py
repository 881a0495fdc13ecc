"""`telegraf-bitcoin-ipc top`: one node on one screen, until q, a signal or the end of the terminal."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from rich.text import Text

from telegraf_bitcoin_ipc.aio import run_until_first_done, threadsafe_callback
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collector import Collector
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.top.events import Events
from telegraf_bitcoin_ipc.top.model import Model
from telegraf_bitcoin_ipc.top.screen import Screen
from telegraf_bitcoin_ipc.top.terminal import Terminal

REDRAWN: Final = 1.0
"""Seconds between two frames at most: ages and the clock go on."""

SHORTEST: Final = 0.2
"""Seconds between two frames at least, whatever happens meanwhile."""

STEP: Final = 2.0
"""Seconds that a column of a graph stands for, unless polls are further apart: 17 columns are half a minute."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

KEYS_READ: Final = 64


class Top:
    """One node: its store is filled by a watcher, and drawn."""

    def __init__(self, config: Config, events: Events, on_change: Callable[[], None]) -> None:
        """Watch as `config` says; `on_change` is called when there is something new to draw."""
        self._store = Store(config.metrics)
        self._collector = Collector(
            config, self._store, on_change, listeners=[events], on_problem=events.set_problem
        )
        self._model = Model(config.metrics, trace_wanted=not config.no_utxo_trace)
        self._screen = Screen(self._model, events, config.socket, max(STEP, config.poll_interval))

    async def watch(self) -> NoReturn:
        """Watch until cancelled; then the node is left in peace."""
        await self._collector.watch()

    def draw(self, columns: int, lines: int) -> Text:
        """Take what is known now, and return the screen that shows it."""
        now = time.time()
        self._collector.sync_totals()
        self._model.take(self._store.samples(), now)
        return self._screen.draw(columns, lines, now)


def show(config: Config, terminal: Terminal) -> None:
    """Show the node on a terminal until told to stop."""
    events = Events()
    events.take_log()
    run(_show(config, events, terminal))


async def _show(config: Config, events: Events, terminal: Terminal) -> None:
    stop, changed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # stopped, it would leave its terminal in a state of its own
    terminal.on_gone(threadsafe_callback(loop, stop.set))
    top = Top(config, events, changed.set)
    with terminal:  # not before the signals are taken care of: it is given back whatever comes
        if terminal.keys is not None:
            loop.add_reader(terminal.keys, _read_keys, loop, terminal.keys, stop.set)
        await run_until_first_done(stop.wait(), _draw_for_ever(top, terminal, changed), top.watch())


async def _draw_for_ever(top: Top, terminal: Terminal, changed: asyncio.Event) -> NoReturn:
    while True:
        changed.clear()
        size = terminal.size()
        terminal.show(top.draw(*size), size)
        await asyncio.sleep(SHORTEST)
        with suppress(TimeoutError):
            async with asyncio.timeout(REDRAWN - SHORTEST):
                await changed.wait()


def _read_keys(loop: asyncio.AbstractEventLoop, descriptor: int, quit: Callable[[], None]) -> None:
    """Quit at q, and when the terminal has gone; other keys are left alone."""
    try:
        keys = os.read(descriptor, KEYS_READ)
    except OSError:
        keys = b""
    if not keys or b"q" in keys.lower():
        loop.remove_reader(descriptor)
        quit()
