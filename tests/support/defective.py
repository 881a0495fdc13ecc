"""The plugin with a defect, as a process of its own: `-m support.defective DEFECT ARGUMENTS...`."""

from __future__ import annotations

import ctypes
import itertools
import os
import resource
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from support.nodes import Plugin

from telegraf_bitcoin_ipc import cli, collector
from telegraf_bitcoin_ipc.collect.events import ChainEvents
from telegraf_bitcoin_ipc.ipc import callbacks, guard_process, session

BLOCKED, UNBLOCKED = "blocked", "unblocked"
"""Files in its directory: the loop says by the first that it is blocked, and is so until the second is there."""

TESTS = str(Path(__file__).resolve().parent.parent)
SMALL_QUEUE_BYTES = 64 << 10
MEMORY_BYTES = 64 << 20  # beyond what it uses when it begins to allocate
LAST_WORDS = "no luck today"
GUARD_MAY_START = "guard-may-start"
"""A file in the plugin's working directory; the guard of `no luck` starts when it is there."""


class Defective(Plugin):
    """The plugin as Telegraf runs it, with a defect."""

    def __init__(
        self,
        defect: str,
        socket: Path,
        directory: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(socket, directory, *options, environment={**(environment or {}), "PYTHONPATH": TESTS})
        self.command[:1] = [sys.executable, "-P", "-m", "support.defective", defect]


def _each_server(change: Callable[[type], None]) -> None:
    """Change the class of both callback servers before it is used."""
    for name in ("chain_notifications", "utxo_cache_trace"):
        setattr(session, name, partial(_changed, getattr(callbacks, name), change))


def _changed(make: Callable[..., Any], change: Callable[[type], None], *arguments: Any) -> Any:
    server = make(*arguments)
    change(type(server))
    return server


def _methods(server: type) -> list[str]:
    return [name for name in vars(server) if name[0] != "_" and name != "destroy"]


async def _fail(self: Any, **_: Any) -> None:
    raise RuntimeError("a callback's mistake")


def callbacks_raise() -> None:
    """Every callback but `destroy` raises, past all that would catch it."""

    def change(server: type) -> None:
        for name in _methods(server):
            setattr(server, name, _fail)

    _each_server(change)


def destroy_raises() -> None:
    """The callbacks raise when the node lets go of them."""
    _each_server(lambda server: setattr(server, "destroy", _fail))


def callbacks_missing() -> None:
    """The callbacks have no method at all."""

    def change(server: type) -> None:
        for name in _methods(server):
            delattr(server, name)

    _each_server(change)
    del callbacks.Subscriber.destroy


def _at_a_new_tip(misbehave: Callable[[], object]) -> None:
    counted = ChainEvents.tip_updated

    def tip_updated(self: ChainEvents) -> None:
        counted(self)
        misbehave()

    ChainEvents.tip_updated = tip_updated  # type: ignore[method-assign]


def loop_blocked() -> None:
    """A new tip blocks the event loop."""

    def block() -> None:
        Path(BLOCKED).touch()
        while not Path(UNBLOCKED).exists():
            time.sleep(0.01)

    _at_a_new_tip(block)


def segmentation_fault() -> None:
    """The first new tip makes it read where nothing is."""
    _at_a_new_tip(lambda: ctypes.string_at(0))


def memory_used_up() -> None:
    """The first new tip makes it use up its address space, and keep it."""

    def allocate() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        size = MEMORY_BYTES
        while size:
            try:
                _kept.append(bytearray(size))
            except MemoryError:
                size //= 2

    _at_a_new_tip(allocate)


_kept: list[bytearray] = []


def no_interpreter() -> None:
    """There is no program that could run the guard."""
    sys.executable = str(Path.cwd() / "no-such-python")


def guard_ends() -> None:
    """The guard ends before it says that it is ready."""
    sys.executable = shutil.which("false") or ""


def no_luck() -> None:
    """The guard ends with a complaint until GUARD_MAY_START is there; sessions without it are short."""
    python = shlex.quote(sys.executable)
    interpreter = Path.cwd() / "interpreter"
    script = f"[ -e {GUARD_MAY_START} ] || {{ echo '{LAST_WORDS}' >&2; exit 3; }}\nexec {python} \"$@\""
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o700)
    sys.executable = str(interpreter)
    collector.renewals = lambda: itertools.repeat(0.2)  # type: ignore[attr-defined]


def no_memfd() -> None:
    """A Python without memfd_create."""
    del os.memfd_create


def small_queue() -> None:
    """The guard keeps no more than SMALL_QUEUE_BYTES for it: the same program, with another number."""
    copy = Path.cwd() / "guard"
    shutil.copytree(guard_process.GUARD, copy)
    text, whole = (copy / "loop.py").read_text(), "QUEUE_BYTES = 32 << 20"
    assert text.count(whole) == 1
    (copy / "loop.py").write_text(text.replace(whole, f"QUEUE_BYTES = {SMALL_QUEUE_BYTES}"))
    guard_process.GUARD = str(copy)  # type: ignore[misc]


if __name__ == "__main__":
    globals()[sys.argv[1].replace(" ", "_")]()
    sys.exit(cli.main(sys.argv[2:]))
