"""The guard as a process between two sockets, and what a test may do on both sides of a guard."""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from support.frames import (
    INIT,
    POLL_THREAD,
    THREAD,
    THREAD_MAP,
    answer,
    bootstrap,
    call,
    done,
    handler_for,
    reading,
    subscribe_chain,
    subscribe_utxo,
    wait_tip,
)

from telegraf_bitcoin_ipc.guard import hello
from telegraf_bitcoin_ipc.guard.contract import SHARED_BYTES, TOTALS
from telegraf_bitcoin_ipc.ipc import guard_process

THREAD_MAP_ID, INTERFACES, THREADS = 3, (4, 5, 6, 9), (THREAD, POLL_THREAD, 13)
"""The node's capabilities in support.frames: its ThreadMap; Chain, Tracing, Mining, Node; server threads."""

WAIT = 900
"""The question of the plugin's wait for the node's stop."""

DEADLINE = 120.0
"""Seconds for whatever has to happen, on a machine that is busy with other things."""


class Side:
    """What the guard takes for the node, or for the plugin: a socket on which everything has a deadline."""

    def __init__(self, ours: socket.socket) -> None:
        """Speak over a connected socket."""
        self.socket = ours
        ours.settimeout(DEADLINE)

    def send(self, *frames: bytes) -> None:
        """Send frames as one write."""
        self.socket.sendall(b"".join(frames))

    def take(self) -> bytes:
        """Return the next frame."""
        head = self._exactly(8)
        count, words = struct.unpack("<II", head)
        if count:
            head += self._exactly((4 * (count + 2) + 7 & ~7) - 8)
            words = sum(struct.unpack_from(f"<{count + 1}I", head, 4))
        return head + self._exactly(8 * words)

    def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self.socket.recv(min(size - len(data), 1 << 20))
            assert more, f"the guard closed after {len(data)} of {size} bytes"
            data += more
        return bytes(data)

    def at_the_end(self) -> bool:
        """Wait for the guard's next byte or its end; whether it was its end."""
        return self.socket.recv(1) == b""

    def silent(self) -> bool:
        """Whether nothing has come until now, not even an end."""
        return not select.select([self.socket], [], [], 0)[0]

    def close(self) -> None:
        """Close it, as a process that ends does."""
        self.socket.close()


class Mouth(Protocol):
    """A side as the test plays it."""

    def send(self, *frames: bytes) -> None:
        """Say frames."""

    def take(self) -> bytes:
        """Return the next frame that this side gets."""

    def exactly(self, size: int) -> bytes:
        """Return the next bytes that this side gets."""

    def silent(self) -> bool:
        """Whether nothing has come until now."""

    def at_the_end(self) -> bool:
        """Wait for the next frame or the end; whether it was the end."""

    def close(self) -> None:
        """Go."""


class Guarded:
    """A guard between a node and a plugin, both played by the test: a process, or in memory."""

    node: Mouth
    plugin: Mouth

    def ends(self) -> None:
        """It ends by itself, in good order."""

    def introduced(self) -> None:
        """Have the plugin get what the frames of a test name: server threads, and the node's interfaces."""
        opening = (
            (bootstrap(1000), (0,)),
            (call(1001, INIT, "construct"), (THREAD_MAP_ID, *INTERFACES)),
            *(
                (call(1002 + thread, THREAD_MAP, "makeThread", target=THREAD_MAP_ID), (thread,))
                for thread in THREADS
            ),
        )
        for asked, granted in opening:
            with reading(asked) as message:
                question = getattr(message, message.which()).questionId
            given = answer(question, table=[("senderHosted", capability) for capability in granted])
            self.plugin.send(asked)
            assert self.node.take() == asked
            self.node.send(given)
            assert self.plugin.take() == given
            self.plugin.send(done(question))
            assert self.node.take() == done(question)

    def waits(self) -> int:
        """Have the plugin wait for the node's stop, as it must to subscribe; returns the guard's question."""
        self.plugin.send(wait_tip(WAIT, bytes(32)))
        with reading(self.node.take()) as message:
            question: int = message.call.questionId
        return question

    def subscribed(self, *, chain: int = 21, trace: int = 22) -> None:
        """Subscribe to both, as a plugin does; the handlers get those ids. Questions 1 and 2 are used."""
        for ask, question, handler in ((subscribe_chain, 1, chain), (subscribe_utxo, 2, trace)):
            self.plugin.send(ask(question))
            self.node.take()
            self.node.send(handler_for(question, handler))
            assert self.plugin.take() == handler_for(question, handler)
            self.plugin.send(done(question))
            assert self.node.take() == done(question)


@dataclass
class RunningGuard(Guarded):
    """The real guard as a process; `node` and `plugin` are its two sides, both played by the test."""

    forward_utxo: bool = False
    spin: int = 0
    waiting: int = field(default=0, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            ours, its = zip(*(socket.socketpair() for _ in range(2)), strict=True)
            shared = os.memfd_create("guard-test", os.MFD_CLOEXEC)
            os.ftruncate(shared, SHARED_BYTES)
            self.memory = mmap.mmap(shared, SHARED_BYTES)
            stack.callback(self.memory.close)
            self.stderr = stack.enter_context(tempfile.TemporaryFile())
            self.node, self.plugin = map(Side, ours)
            stack.callback(self.node.close)
            stack.callback(self.plugin.close)
            descriptors = [*(side.fileno() for side in its), shared]
            try:
                self.process = subprocess.Popen(
                    guard_process.command(*descriptors, self.spin, int(self.forward_utxo)),
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self.stderr,
                    start_new_session=True,
                )
            finally:
                for side in its:
                    side.close()
                os.close(shared)
            stack.callback(self._end)
            ready = hello.Answer().packet()
            assert self.plugin.exactly(len(ready)) == ready
            self.introduced()
            self._stack = stack.pop_all()
        return self

    def subscribed(self, *, chain: int = 21, trace: int = 22) -> None:
        """Subscribe to both, behind a wait for the node's stop, which is the guard's question `waiting`."""
        self.waiting = self.waits()
        super().subscribed(chain=chain, trace=trace)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self.node.close()
                self.plugin.close()
                self.ends()

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ends(self) -> None:
        """Wait for its end by itself, in good order."""
        status = self.process.wait(DEADLINE)
        self.stderr.seek(0)
        said = self.stderr.read().decode()
        assert (status, said) == (0, "")

    def totals(self) -> dict[str, int]:
        """What it has added up."""
        numbers = struct.unpack(f"={len(TOTALS)}Q", self.memory[:])
        return dict(zip(TOTALS, numbers, strict=True))
