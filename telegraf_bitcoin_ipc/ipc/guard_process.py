"""Starts the guard, connects to the node through it, reads its totals, and waits for its exit."""

import asyncio
import logging
import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.guard import contract

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

MEMORY_DIRECTORY: Final = "/dev/shm"
"""A directory whose files are in memory, on Linux."""

GUARD: Final = os.path.dirname(os.path.abspath(contract.__file__))
"""The directory of the guard's package."""

RUN: Final = (
    "import os, sys; sys.path.append(os.path.dirname(sys.argv[1])); "
    "from guard import loop; sys.path.pop(); loop.main(sys.argv[2:])"
)
"""Runs the guard, given its directory and arguments, as a top-level package: nothing else of this package is
imported, and Python caches its compiled form. A script would be compiled at each start."""


class Guarded(NamedTuple):
    """The socket that leads to the node through the guard, and a reader of the guard's totals since its start."""

    connection: socket.socket
    totals: Callable[[], Mapping[str, int]]


class GuardFailed(Exception):
    """The guard could not be started: the caller must not subscribe."""


def unnamed_memory() -> int:
    """Return the descriptor of an empty file in memory that no name leads to. Raises OSError.

    Not every Python has memfd_create: it depends on the C library that it was built with.
    """
    try:
        return os.memfd_create("telegraf-bitcoin-ipc", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        directory = MEMORY_DIRECTORY if os.access(MEMORY_DIRECTORY, os.W_OK) else None
        with tempfile.TemporaryFile(dir=directory) as file:
            return os.dup(file.fileno())


class Totals:
    """The guard's totals, in memory that both processes map.

    After `close`, `read` returns their last values.
    """

    def __init__(self) -> None:
        """Allocate the memory, filled with zeros. Raises OSError."""
        self.descriptor = unnamed_memory()
        try:
            os.ftruncate(self.descriptor, contract.SHARED_BYTES)
            self._memory: mmap.mmap | bytes = mmap.mmap(self.descriptor, contract.SHARED_BYTES)
        except OSError:
            os.close(self.descriptor)
            raise

    def read(self) -> Mapping[str, int]:
        """Return the totals by name."""
        numbers = struct.unpack(f"={len(contract.TOTALS)}Q", self._memory[:])
        return dict(zip(contract.TOTALS, numbers, strict=True))

    def close(self) -> None:
        """Release the memory in this process; the guard keeps its own mapping."""
        if isinstance(self._memory, mmap.mmap):
            last = self._memory[:]
            self._memory.close()
            self._memory = last
            os.close(self.descriptor)


@asynccontextmanager
async def guarded(
    connection: socket.socket, *, forward_utxo: bool, meanwhile: Callable[[], object] = lambda: None
) -> AsyncIterator[Guarded]:
    """Pass the node's socket to a new guard, and connect to the node through it.

    `meanwhile` is called while the guard starts. Once this yields, `connection` is closed here and only the guard
    holds it. If this raises GuardFailed, `connection` is still open.
    """
    with ExitStack() as stack:
        with _failing():
            totals = stack.enter_context(closing(Totals()))
            side = stack.enter_context(closing(Side(*socket.socketpair())))
            stderr = unnamed_memory()
            stack.callback(os.close, stderr)
            process = _start(connection, side.its, totals.descriptor, stderr, forward_utxo)
        try:
            meanwhile()
            await _ready(side.ours, process, stderr)
            connection.close()
            yield Guarded(side.ours, totals.read)
        finally:
            failure = sys.exc_info()[1]
            side.close()
            await _wait_for_exit(process, EXIT_TIMEOUT if isinstance(failure, asyncio.CancelledError) else None)
            words = _written(stderr)
            if (process.returncode or words) and not isinstance(failure, GuardFailed):
                log.error("the guard ended with status %d%s", process.returncode, words)


@contextmanager
def _failing() -> Iterator[None]:
    """Turn an OSError into GuardFailed."""
    try:
        yield
    except OSError as error:
        raise GuardFailed(f"the guard cannot be started: {error}") from error


class Side:
    """A socket pair; the guard inherits one end."""

    def __init__(self, ours: socket.socket, its: socket.socket) -> None:
        """Hold both ends."""
        self.ours, self.its = ours, its
        ours.setblocking(False)

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.its.close()


def _start(
    connection: socket.socket, its: socket.socket, shared: int, stderr: int, forward_utxo: bool
) -> subprocess.Popen[bytes]:
    """Start the guard in its own process session, with three descriptors and none of this process's pipes.

    Its stderr is a file, because the guard can outlive this process and must never wait for a reader.
    """
    descriptors = (connection.fileno(), its.fileno(), shared)
    try:
        return subprocess.Popen(
            command(*descriptors, SPIN_MICROSECONDS, int(forward_utxo)),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    finally:
        its.close()


def command(*arguments: int) -> list[str]:
    """Return the command that runs the guard with these arguments, and only the standard library on its path."""
    return [sys.executable, "-I", "-S", "-c", RUN, GUARD, *map(str, arguments)]


async def _ready(ours: socket.socket, process: subprocess.Popen[bytes], stderr: int) -> None:
    """Wait for the guard's first byte."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(START_LIMIT):
            if await loop.sock_recv(ours, len(contract.READY)) == contract.READY:
                return
            await _wait_for_exit(process, None)
        why = f"exit status {process.returncode}"
    except TimeoutError:
        why = f"it was not ready within {START_LIMIT:g} seconds"
    except OSError as error:
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
    """Wait for the guard to exit, for at most `patience` seconds; None is no limit.

    The guard exits once the node has ended every subscription.
    """
    loop = asyncio.get_running_loop()
    deadline = None if patience is None else loop.time() + patience
    while process.poll() is None:
        if deadline is not None and loop.time() > deadline:
            log.warning(
                "the guard is still waiting for the node; it continues alone, as process %d",
                process.pid,
            )
            process.returncode = 0  # else subprocess would warn that nothing waits for it
            return
        await asyncio.sleep(PAUSE)
