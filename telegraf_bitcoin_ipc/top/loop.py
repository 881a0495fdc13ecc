"""`telegraf-bitcoin-ipc top`: one node on one screen, until q, a signal or the end of the terminal."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Final, NoReturn

from rich.console import RenderableType

from telegraf_bitcoin_ipc.aio import run_until_first_done, threadsafe_callback, wait_at_most
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collector import Collector
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.top.events import Events
from telegraf_bitcoin_ipc.top.model import Model
from telegraf_bitcoin_ipc.top.screen import Screen
from telegraf_bitcoin_ipc.top.terminal import Terminal

MAX_FRAME_SECONDS: Final = 1.0
"""Redraw at least this often: ages and the clock change."""

MIN_FRAME_SECONDS: Final = 0.2
"""Redraw at most this often, however much changes."""

STEP: Final = 2.0
"""Seconds per column of a graph, unless polls are further apart: 17 columns are half a minute."""


class Top:
    """One node: a collector fills its store, and the screen shows it."""

    def __init__(self, config: Config, events: Events, on_change: Callable[[], None]) -> None:
        """Watch as configured; `on_change` is called when there is something new to draw."""
        self._store = Store(config.metrics)
        self._collector = Collector(
            config, self._store, on_change, listeners=[events], on_problem=events.set_problem
        )
        self._model = Model(config.metrics, trace_wanted=not config.no_utxo_trace)
        self._screen = Screen(self._model, events, config.socket, max(STEP, config.poll_interval))

    async def watch(self) -> NoReturn:
        """Watch until cancelled, then unsubscribe from the node."""
        await self._collector.watch()

    def draw(self, columns: int, lines: int) -> RenderableType:
        """Return the screen with the current values."""
        now = time.time()
        self._collector.sync_totals()
        self._model.take(self._store.samples(), now)
        return self._screen.draw(columns, lines, now)


def show(config: Config, terminal: Terminal) -> None:
    """Show the node on a terminal until the user, a signal or the terminal ends it."""
    events = Events()
    events.take_log()
    run(_show(config, events, terminal))


async def _show(config: Config, events: Events, terminal: Terminal) -> None:
    stop, changed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # a stopped `top` would not restore the terminal
    terminal.on_gone(threadsafe_callback(loop, stop.set))
    top = Top(config, events, changed.set)
    with terminal:  # after the signal handlers, so that it is always restored
        if terminal.keys is not None:
            loop.add_reader(terminal.keys, _read_keys, loop, terminal.keys, stop.set)
        await run_until_first_done(stop.wait(), _draw_for_ever(top, terminal, changed), top.watch())


async def _draw_for_ever(top: Top, terminal: Terminal, changed: asyncio.Event) -> NoReturn:
    while True:
        changed.clear()
        terminal.show(top.draw(*terminal.size()))
        await asyncio.sleep(MIN_FRAME_SECONDS)
        await wait_at_most(changed.wait(), MAX_FRAME_SECONDS - MIN_FRAME_SECONDS)


def _read_keys(loop: asyncio.AbstractEventLoop, descriptor: int, quit: Callable[[], None]) -> None:
    """Quit at q, and when the terminal is gone; ignore other keys."""
    try:
        keys = os.read(descriptor, 64)
    except OSError:
        keys = b""
    if not keys or b"q" in keys.lower():
        loop.remove_reader(descriptor)
        quit()
