"""Starts the guard, connects to the node through it, reads its totals, and waits for its exit."""

import asyncio
import logging
import math
import mmap
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, closing
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.guard import contract, hello, memory

log = logging.getLogger(__name__)

START_LIMIT: Final = 5.0
"""Seconds within which the guard must report that it is ready; it takes some milliseconds."""

SPIN_MICROSECONDS: Final = 300
"""How long the guard polls busily for the next UTXO event: a block has thousands back to back."""

EXIT_TIMEOUT: Final = 0.8
"""Seconds to wait for the guard's exit after being told to stop; later the guard finishes on its own."""

PAUSE: Final = 0.005

STDERR_BYTES: Final = 4000
"""How much of the end of the guard's stderr is logged; it is at most a traceback."""

GUARD: Final = os.path.dirname(os.path.abspath(contract.__file__))
"""The directory of the guard's package."""

RUN: Final = (
    "import os, sys; sys.path.append(os.path.dirname(sys.argv[1])); "
    "from guard import {0}; sys.path.pop(); sys.exit({0}.main(sys.argv[2:]))"
)
"""Runs a module of the guard, given the guard's directory and arguments, as a top-level package: nothing else of
this package is imported, and Python caches its compiled form. A script would be compiled at each start."""


class Guarded(NamedTuple):
    """The socket that leads to the node through a guard, its totals since its start, whether it is standing."""

    connection: socket.socket
    totals: Callable[[], Mapping[str, int]]
    standing: bool


class GuardFailed(Exception):
    """The guard could not be started: the caller must not subscribe."""


class Totals:
    """A guard's totals, in memory that both processes map; after `close`, `read` returns the last ones."""

    def __init__(self, descriptor: int) -> None:
        """Map the memory, whose descriptor is no longer needed then. Raises OSError and ValueError."""
        self._memory = mmap.mmap(descriptor, contract.SHARED_BYTES, prot=mmap.PROT_READ)
        self._last = b""

    def read(self) -> Mapping[str, int]:
        """Return the totals by name."""
        numbers = struct.unpack(f"={len(contract.TOTALS)}Q", self._last or self._memory[:])
        return dict(zip(contract.TOTALS, numbers, strict=True))

    def close(self) -> None:
        """Release the memory in this process; the guard keeps its own mapping."""
        self._last = self._memory[:]
        self._memory.close()


@asynccontextmanager
async def guarded(
    connection: socket.socket, *, forward_utxo: bool, meanwhile: Callable[[], object] = lambda: None
) -> AsyncIterator[Guarded]:
    """Pass the node's socket to a new guard, and connect to the node through it.

    `meanwhile` is called while the guard starts. Once this yields, `connection` is closed here and only the guard
    holds it. If this raises GuardFailed, `connection` is still open.
    """
    with ExitStack() as stack:
        try:
            shared, stderr = _unnamed(stack), _unnamed(stack)
            os.ftruncate(shared, contract.SHARED_BYTES)
            totals = stack.enter_context(closing(Totals(shared)))
            ours, its = map(stack.enter_context, socket.socketpair())
            process = _start(connection, its, shared, stderr, forward_utxo)
        except OSError as error:
            raise GuardFailed(f"the guard cannot be started: {error}") from error
        its.close()
        ours.setblocking(False)
        started, patience = False, None
        try:
            meanwhile()
            await _ready(ours, process, stderr)
            started = True
            connection.close()
            yield Guarded(ours, totals.read, standing=False)
        except asyncio.CancelledError:
            patience = EXIT_TIMEOUT
            raise
        finally:
            ours.close()
            await _wait_for_exit(process, patience)
            words = _written(stderr)
            if started and (process.returncode or words):
                log.error("the guard ended with status %d%s", process.returncode, words)


def _unnamed(stack: ExitStack) -> int:
    descriptor = memory.unnamed()
    stack.callback(os.close, descriptor)
    return descriptor


def _start(
    connection: socket.socket, its: socket.socket, shared: int, stderr: int, forward_utxo: bool
) -> subprocess.Popen[bytes]:
    """Start the guard in its own process session, with three descriptors and none of this process's pipes.

    Its stderr is a file, because the guard can outlive this process and must never wait for a reader.
    """
    descriptors = (connection.fileno(), its.fileno(), shared)
    return subprocess.Popen(
        command(*descriptors, SPIN_MICROSECONDS, int(forward_utxo)),
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def command(*arguments: object, module: str = "loop") -> list[str]:
    """Return the command that runs the guard with these arguments, and only the standard library on its path."""
    return [sys.executable, "-I", "-S", "-c", RUN.format(module), GUARD, *map(str, arguments)]


async def _ready(ours: socket.socket, process: subprocess.Popen[bytes], stderr: int) -> None:
    """Wait for the guard's answer."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(START_LIMIT):
            if answer := await loop.sock_recv(ours, hello.HEAD.size):
                hello.Answer.of(answer)
                return
            await _wait_for_exit(process, None)
        why = f"exit status {process.returncode}"
    except TimeoutError:
        why = f"it was not ready within {START_LIMIT:g} seconds"
    except (hello.NotSpoken, OSError) as error:
        why = str(error)
    process.kill()  # it holds no subscription yet
    await _wait_for_exit(process, None)
    raise GuardFailed(f"the guard did not start ({why}){_written(stderr)}")


def _written(stderr: int) -> str:
    """Return the end of the guard's stderr, phrased as the end of a sentence."""
    size = os.fstat(stderr).st_size
    text = os.pread(stderr, STDERR_BYTES, max(size - STDERR_BYTES, 0)).decode(errors="replace").strip()
    return f"; it wrote: {text}" if text else ""


async def _wait_for_exit(process: subprocess.Popen[bytes], patience: float | None) -> None:
    """Wait at most `patience` seconds for the guard: it exits once the node has ended every subscription."""
    clock = asyncio.get_running_loop().time
    deadline = math.inf if patience is None else clock() + patience
    while process.poll() is None:
        if clock() > deadline:
            log.warning("the guard is still waiting for the node; it continues alone, as process %d", process.pid)
            process.returncode = 0  # else subprocess would warn that nothing waits for it
            return
        await asyncio.sleep(PAUSE)
