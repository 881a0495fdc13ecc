"""Start the guard, hold the socket that leads to it, read its totals, and see it off."""

import asyncio
import logging
import mmap
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from typing import Final, NamedTuple, Self

from telegraf_bitcoin_ipc.guard import contract, hello, memory

log = logging.getLogger(__name__)

START_LIMIT: Final = 5.0
"""Seconds that the guard has to say that it is ready; it takes some milliseconds."""

SPIN_MICROSECONDS: Final = 300
"""How long the guard looks busily for the next UTXO event: a block brings thousands back to back."""

EXIT_TIMEOUT: Final = 0.8
"""Seconds that a program that was told to stop waits for the guard's end; the guard needs nobody."""

PAUSE: Final = 0.005

STDERR_BYTES: Final = 4000
"""How much of what the guard wrote on stderr, at most a traceback, is logged: its end."""

GUARD: Final = os.path.dirname(os.path.abspath(contract.__file__))
"""The directory of the guard's package."""

RUN: Final = (
    "import os, sys; sys.path.append(os.path.dirname(sys.argv[1])); "
    "from guard import {0}; sys.path.pop(); sys.exit({0}.main(sys.argv[2:]))"
)
"""Runs a module of the guard, given the guard's directory and arguments, as a package of its own: nothing else of
this one is imported, and Python keeps its compiled form, where a script would be compiled at each start."""


class Guarded(NamedTuple):
    """The socket on which the node is spoken to, and what the guard has added up since its start.

    `standing` is whether it is a service, and not of the plugin's own.
    """

    connection: socket.socket
    totals: Callable[[], Mapping[str, int]]
    standing: bool


class GuardFailed(Exception):
    """The guard could not be started: its caller must not subscribe."""


class Totals:
    """A guard's totals, in memory that both processes have mapped.

    They can be read after `close`, too, as they were then.
    """

    def __init__(self, descriptor: int) -> None:
        """Map the memory to read it; the descriptor is closed by `close`. Raises OSError and ValueError."""
        self.descriptor = descriptor
        self._memory: mmap.mmap | bytes = mmap.mmap(descriptor, contract.SHARED_BYTES, prot=mmap.PROT_READ)

    @classmethod
    def new(cls) -> Self:
        """Make the memory, filled with zeros. Raises OSError."""
        descriptor = memory.unnamed()
        try:
            os.ftruncate(descriptor, contract.SHARED_BYTES)
            return cls(descriptor)
        except OSError:
            os.close(descriptor)
            raise

    def read(self) -> Mapping[str, int]:
        """Return the totals by name."""
        numbers = struct.unpack(f"={len(contract.TOTALS)}Q", self._memory[:])
        return dict(zip(contract.TOTALS, numbers, strict=True))

    def close(self) -> None:
        """Let go of the memory; the guard's mapping of it is its own."""
        if isinstance(self._memory, mmap.mmap):
            last = self._memory[:]
            self._memory.close()
            self._memory = last
            os.close(self.descriptor)


@asynccontextmanager
async def guarded(
    connection: socket.socket, *, forward_utxo: bool, meanwhile: Callable[[], object] = lambda: None
) -> AsyncIterator[Guarded]:
    """Give the node's socket to a guard of its own, and hold what leads to that guard.

    What need not wait for the guard is done `meanwhile`, while it starts. The connection is the guard's once this
    yields; it is still open and the caller's where GuardFailed is raised.
    """
    with ExitStack() as stack:
        with _failing():
            totals = stack.enter_context(closing(Totals.new()))
            side = stack.enter_context(closing(Side(*socket.socketpair())))
            stderr = memory.unnamed()
            stack.callback(os.close, stderr)
            process = _start(connection, side.its, totals.descriptor, stderr, forward_utxo)
        try:
            meanwhile()
            await _ready(side.ours, process, stderr)
            connection.close()
            yield Guarded(side.ours, totals.read, standing=False)
        finally:
            failure = sys.exc_info()[1]
            side.close()
            await _wait_for_exit(process, EXIT_TIMEOUT if isinstance(failure, asyncio.CancelledError) else None)
            words = _written(stderr)
            if (process.returncode or words) and not isinstance(failure, GuardFailed):
                log.error("the guard ended with status %d%s", process.returncode, words)


@contextmanager
def _failing() -> Iterator[None]:
    """Raise GuardFailed when the system refuses what the guard needs."""
    try:
        yield
    except OSError as error:
        raise GuardFailed(f"the guard cannot be started: {error}") from error


class Side:
    """A socket pair of which one end is about to be inherited."""

    def __init__(self, ours: socket.socket, its: socket.socket) -> None:
        """Hold both ends."""
        self.ours, self.its = ours, its
        ours.setblocking(False)

    def close(self) -> None:
        """Close what is open of it."""
        self.ours.close()
        self.its.close()


def _start(
    connection: socket.socket, its: socket.socket, shared: int, stderr: int, forward_utxo: bool
) -> subprocess.Popen[bytes]:
    """Start the guard in a session of its own, with three descriptors and nothing of ours on its pipes.

    Its stderr is a file: the guard outlives this process, and must never wait for a reader.
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


def command(*arguments: object, module: str = "loop") -> list[str]:
    """Return the command that runs the guard, without anything but the standard library, with its arguments."""
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
    except hello.NotSpoken as error:
        why = str(error)
    except TimeoutError:
        why = f"it was not ready within {START_LIMIT:g} seconds"
    except OSError as error:
        why = str(error)
    process.kill()  # it holds no subscription yet
    await _wait_for_exit(process, None)
    raise GuardFailed(f"the guard did not start ({why}){_written(stderr)}")


def _written(stderr: int) -> str:
    """Return the end of what the guard has written on stderr, as the end of a sentence."""
    size = os.fstat(stderr).st_size
    text = os.pread(stderr, STDERR_BYTES, max(size - STDERR_BYTES, 0)).decode(errors="replace").strip()
    return f"; it wrote: {text}" if text else ""


async def _wait_for_exit(process: subprocess.Popen[bytes], patience: float | None) -> None:
    """Wait for the guard, which ends when the node has let go of every subscription, and needs nobody for it."""
    loop = asyncio.get_running_loop()
    deadline = None if patience is None else loop.time() + patience
    while process.poll() is None:
        if deadline is not None and loop.time() > deadline:
            log.warning("the node has not let go yet: guard %d waits for it alone", process.pid)
            process.returncode = 0  # for subprocess, which would complain: nobody here waits for it any more
            return
        await asyncio.sleep(PAUSE)
