"""Start the guard, hold the socket that leads to it, read its totals, and see it off."""

import asyncio
import logging
import mmap
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.ipc import guard

log = logging.getLogger(__name__)

START_LIMIT: Final = 5.0
"""Seconds that the guard has to say that it is ready; it takes some milliseconds."""

SPIN_MICROSECONDS: Final = 300
"""How long the guard looks busily for the next UTXO event: a block brings thousands back to back."""

FAREWELL: Final = 0.8
"""Seconds that a program that was told to stop waits for the guard's end; the guard needs nobody."""

PAUSE: Final = 0.005

RUN: Final = (
    "import os, sys; sys.path.append(os.path.dirname(sys.argv[1])); import guard; guard.main(sys.argv[2:])"
)
"""Runs guard.py, given its path and its arguments, as a module, whose compiled form Python keeps: as a script it
would be compiled at each start, which takes longer than everything else in it, and memory that stays taken."""


class Guarded(NamedTuple):
    """The socket on which the node is spoken to, and what the guard has added up since its start."""

    connection: socket.socket
    totals: Callable[[], Mapping[str, int]]


class GuardFailed(Exception):
    """The guard could not be started: its caller must not subscribe."""


class Totals:
    """The guard's totals, in memory that both processes have mapped and that no name leads to.

    They can be read after `close`, too, as they were then.
    """

    def __init__(self) -> None:
        """Make the memory, filled with zeros."""
        self.descriptor = os.memfd_create("telegraf-bitcoin-ipc", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, guard.SHARED_BYTES)
        self._memory: mmap.mmap | bytes = mmap.mmap(self.descriptor, guard.SHARED_BYTES)

    def read(self) -> Mapping[str, int]:
        """Return the totals by name."""
        numbers = struct.unpack(f"={len(guard.TOTALS)}Q", self._memory[:])
        return dict(zip(guard.TOTALS, numbers, strict=True))

    def close(self) -> None:
        """Let go of the memory; the guard's mapping of it is its own."""
        if isinstance(self._memory, mmap.mmap):
            last = self._memory[:]
            self._memory.close()
            self._memory = last
            os.close(self.descriptor)


@asynccontextmanager
async def guarded(
    connection: socket.socket, *, hand_on_utxo: bool, meanwhile: Callable[[], object] = lambda: None
) -> AsyncIterator[Guarded]:
    """Give the node's socket to a guard of its own, and hold what leads to that guard.

    What need not wait for the guard is done `meanwhile`, while it starts. The connection is the guard's once this
    yields; it is still open and the caller's where GuardFailed is raised.
    """
    with closing(Totals()) as totals, closing(Side(*socket.socketpair())) as side:
        process = _start(connection, side.its, totals.descriptor, hand_on_utxo)
        try:
            meanwhile()
            await _ready(side.ours, process)
            connection.close()
            yield Guarded(side.ours, totals.read)
        finally:
            stopping = isinstance(sys.exc_info()[1], asyncio.CancelledError)
            side.close()
            await _see_off(process, FAREWELL if stopping else None)


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
    connection: socket.socket, its: socket.socket, shared: int, hand_on_utxo: bool
) -> subprocess.Popen[bytes]:
    """Start the guard in a session of its own, with three descriptors and nothing of ours on its pipes."""
    descriptors = (connection.fileno(), its.fileno(), shared)
    try:
        return subprocess.Popen(
            command(*descriptors, SPIN_MICROSECONDS, int(hand_on_utxo)),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise GuardFailed(f"the guard cannot be started: {error}") from error
    finally:
        its.close()


def command(*arguments: int) -> list[str]:
    """Return the command that runs the guard, without anything but the standard library, with its arguments."""
    return [sys.executable, "-I", "-S", "-c", RUN, guard.__file__, *map(str, arguments)]


async def _ready(ours: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Wait for the guard's first byte."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(START_LIMIT):
            said = await loop.sock_recv(ours, len(guard.READY))
    except TimeoutError:
        said = b""
    if said != guard.READY:
        process.kill()  # it holds no subscription yet
        raise GuardFailed(f"the guard did not start (exit status {process.poll()})")


async def _see_off(process: subprocess.Popen[bytes], patience: float | None) -> None:
    """Wait for the guard, which ends when the node has let go of every subscription, and needs nobody for it."""
    loop = asyncio.get_running_loop()
    deadline = None if patience is None else loop.time() + patience
    while process.poll() is None:
        if deadline is not None and loop.time() > deadline:
            log.warning("the node has not let go yet: guard %d waits for it alone", process.pid)
            process.returncode = 0  # for subprocess, which would complain: nobody here waits for it any more
            return
        await asyncio.sleep(PAUSE)
