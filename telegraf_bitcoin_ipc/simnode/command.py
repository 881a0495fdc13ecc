"""`telegraf-bitcoin-ipc simulate`: a simulated node on a Unix socket, until SIGTERM or SIGINT."""

import argparse
import asyncio
import os
import random
import signal
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, Final

import capnp

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.ipc.working_directory import checked
from telegraf_bitcoin_ipc.simnode.connection import Connection
from telegraf_bitcoin_ipc.simnode.dialects import DIALECTS
from telegraf_bitcoin_ipc.simnode.journal import Journal
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.node import SimulatedNode
from telegraf_bitcoin_ipc.simnode.script import follow
from telegraf_bitcoin_ipc.simnode.servers import serve
from telegraf_bitcoin_ipc.simnode.slow_stop import SlowStop
from telegraf_bitcoin_ipc.simnode.timeline import Life

SEEDED_START: Final = 1_700_000_000
"""Start of the simulated clock of a node with a seed (Unix time), so that two runs are identical."""

NETWORK_THREAD: Final = "b-msghand"
"""The thread that a real node runs while its chain is loaded, visible to other processes."""

OWNER_ONLY: Final = 0o077
"""The umask that gives the socket the mode of a real node's, 0700."""


def run(options: argparse.Namespace) -> int:
    """Run a simulated node with the options of `add_options`; returns the exit status.

    Raises ConfigError, and BrokenPipeError once the node has stopped because its stdout was closed.
    """
    checked("SOCKET", options.socket)
    if options.script not in (None, "-"):
        checked("--script", options.script)
    asyncio.run(capnp.run(_simulate(options)))
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `simulate`."""
    add = parser.add_argument
    seconds = partial(add, type=_number, default=0.0, metavar="S")
    number = partial(add, type=_count, default=0, metavar="N")
    add("socket", metavar="SOCKET", help="path of the socket to listen on")
    add("--dialect", choices=list(DIALECTS), default="tracing", help="kind of node (default: %(default)s)")
    seconds("--ibd", help="stay in initial block download for S seconds")
    seconds("--block-interval", type=_positive, default=10.0, help="seconds between blocks (default: %(default)g)")
    add("--tx-rate", type=_number, default=2.0, metavar="N", help="transactions per second (default: %(default)g)")
    number("--reorg-every", help="reorganise two blocks at every Nth block")
    number("--utxo-burst", help="create N outputs in the first traced block")
    add(
        "--check-mempool",
        action="store_true",
        help="replay the mempool on a scratch view, like a real node's -checkmempool",
    )
    seconds("--warmup", help="take S seconds to load the chain")
    seconds("--stop-seconds", help="take S seconds to stop, and accept connections meanwhile")
    seconds("--patience", help="when stopping, give subscribers S seconds more than a real node does")
    add("--pruned", action="store_true", help="start with the older half of the blocks deleted")
    add("--seed", type=int, metavar="N", help="behave identically in every run with this seed")
    add(
        "--script",
        metavar="FILE",
        help="run the actions in a file (- for stdin) instead, one JSON object per line",
    )
    add("--lenient", action="store_true", help="report what would abort a real node, and continue")


async def _simulate(options: argparse.Namespace) -> None:
    rng = random.Random(options.seed)
    clock = _clock(options.seed)
    model = Model(rng=rng, now=clock(), check_mempool=options.check_mempool)
    if options.pruned:
        model.prune(model.height // 2)
    stop, network_stopped = asyncio.Event(), threading.Event()
    journal = Journal(sys.stdout, on_closed=stop.set)
    node = SimulatedNode(
        model,
        journal,
        strict=not options.lenient,
        warmup=options.warmup,
        patience=options.patience,
        slow_stop=SlowStop(options.stop_seconds),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: node.slow_stop.hasten() if stop.is_set() else stop.set())
    loading = asyncio.ensure_future(_run_network_thread(node, network_stopped))
    server = await _listen(options.socket, node, options.dialect)
    try:
        if options.script:
            life = follow(_lines(options.script), node, clock)
        else:
            life = Life(node, options, rng, clock).live()
        node.announce(options.socket, options.dialect)
        await _live_until(stop, life, node.validation)
        network_stopped.set()
        await node.shut_down()
    finally:
        loading.cancel()
        server.close()
        with suppress(FileNotFoundError):
            os.unlink(options.socket)
    if journal.closed:
        raise BrokenPipeError("nobody reads the journal")


async def _run_network_thread(node: SimulatedNode, until: threading.Event) -> None:
    """Once the chain is loaded run an idle thread of that name until the event is set, first thing at a stop."""

    def idle() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(NETWORK_THREAD)
        until.wait()

    if await node.chain_loaded():
        threading.Thread(target=idle, daemon=True).start()


async def _listen(path: str, node: SimulatedNode, dialect: str) -> Any:
    """Listen on the socket, with access for its owner only; replace a stale socket, as a real node does."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConfigError(f"SOCKET: {path} exists and is not a socket")
        os.unlink(path)

    async def accept(stream: Any) -> None:
        await serve(Connection(node, dialect), stream)

    before = os.umask(OWNER_ONLY)
    try:
        return await capnp.AsyncIoStream.create_unix_server(accept, path)
    except OSError as error:
        raise ConfigError(f"SOCKET: cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(before)


async def _live_until(stop: asyncio.Event, life: Coroutine[Any, Any, None], validation: asyncio.Lock) -> None:
    """Run `life` until a stop is requested; let a validation that has begun finish first."""
    tasks = [asyncio.ensure_future(life), asyncio.ensure_future(stop.wait())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        await stop.wait()  # after the end of a script the node keeps running
    finally:
        async with validation:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _clock(seed: int | None) -> Callable[[], int]:
    """Return a clock in Unix seconds: the real one, or with a seed one that is the same in every run."""
    return count(SEEDED_START).__next__ if seed is not None else lambda: int(time.time())


async def _lines(path: str) -> AsyncIterator[str]:
    """Yield the lines of a file, or of stdin as they arrive."""
    try:
        file = sys.stdin if path == "-" else StringIO(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--script: cannot read {path}: {error.strerror}") from error
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in file:
            loop.call_soon_threadsafe(queue.put_nowait, line)
        loop.call_soon_threadsafe(queue.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    while line := await queue.get():
        yield line


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return number


def _positive(text: str) -> float:
    if (number := _number(text)) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)
