"""The guard as a process between two sockets, and what a test may do on both sides of a guard."""

from __future__ import annotations

import os
import select
import socket
import struct
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Self

from support.frames import (
    INIT,
    POLL_THREAD,
    THREAD,
    THREAD_MAP_ID,
    bootstrap,
    call,
    done,
    gives,
    handler_for,
    make_thread,
    question_of,
    subscribe_chain,
    subscribe_utxo,
    wait_tip,
)

from telegraf_bitcoin_ipc.guard import contract, hello, memory
from telegraf_bitcoin_ipc.ipc import guard_process

INTERFACES, THREADS = (4, 5, 6, 9), (THREAD, POLL_THREAD, 13)
"""The node's capabilities in support.frames: Chain, Tracing, Mining, Node; server threads."""

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
        head = self.exactly(8)
        count, words = struct.unpack("<II", head)
        if count:
            head += self.exactly((4 * (count + 2) + 7 & ~7) - 8)
            words = sum(struct.unpack_from(f"<{count + 1}I", head, 4))
        return head + self.exactly(8 * words)

    def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
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


class Guarded:
    """A guard between a node and a plugin, both played by the test: a process, or in memory."""

    node: Side
    plugin: Side

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.node.close()
            self.plugin.close()
            self.ends()

    def ends(self) -> None:
        """It ends by itself, in good order."""

    def exchanged(self, asked: bytes, given: bytes) -> None:
        """Have the plugin ask, the node answer, and the plugin finish with the question and keep what it got."""
        finished = done(question_of(asked))
        self.plugin.send(asked)
        assert self.node.take() == asked
        self.node.send(given)
        assert self.plugin.take() == given
        self.plugin.send(finished)
        assert self.node.take() == finished

    def introduced(self) -> None:
        """Have the plugin get what the frames of a test name: server threads, and the node's interfaces."""
        self.exchanged(bootstrap(1000), gives(1000, 0))
        self.exchanged(call(1001, INIT, "construct"), gives(1001, THREAD_MAP_ID, *INTERFACES))
        for question, thread in enumerate(THREADS, start=1002):
            self.exchanged(make_thread(question), gives(question, thread))

    def waits(self) -> int:
        """Have the plugin wait for the node's stop, as it must to subscribe; returns the guard's question."""
        self.plugin.send(wait_tip(WAIT, bytes(32)))
        return question_of(self.node.take())

    def subscribed(self) -> None:
        """Subscribe to both, as a plugin does, by questions 1 and 2; the handlers get the ids 21 and 22."""
        self.exchanged(subscribe_chain(1), handler_for(1, 21))
        self.exchanged(subscribe_utxo(2), handler_for(2, 22))


class RunningGuard(Guarded):
    """The real guard as a process; `node` and `plugin` are its two sides, both played by the test."""

    def __init__(self, *, forward_utxo: bool = False) -> None:
        self._forward_utxo = forward_utxo
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            (node, its_node), (plugin, its_plugin) = socket.socketpair(), socket.socketpair()
            self.node, self.plugin = Side(node), Side(plugin)
            shared = memory.unnamed()
            stack.callback(os.close, shared)
            os.ftruncate(shared, contract.SHARED_BYTES)
            self._totals = stack.enter_context(closing(guard_process.Totals(shared)))
            self.stderr = stack.enter_context(tempfile.TemporaryFile())
            for each in (node, plugin):
                stack.callback(each.close)
            with its_node:
                self.process = guard_process._start(
                    its_node, its_plugin, shared, self.stderr.fileno(), self._forward_utxo
                )
            stack.enter_context(self.process)
            stack.callback(self.process.kill)
            ready = hello.Answer().packet()
            assert self.plugin.exactly(len(ready)) == ready
            self.introduced()
            self._stack = stack.pop_all()
        return self

    def subscribed(self) -> None:
        """Subscribe to both, behind a wait for the node's stop, which is the guard's question `waiting`."""
        self.waiting = self.waits()
        super().subscribed()

    def __exit__(self, kind: object, *_: object) -> None:
        with self._stack:
            super().__exit__(kind)

    def ends(self) -> None:
        """Wait for its end by itself, in good order."""
        status = self.process.wait(DEADLINE)
        self.stderr.seek(0)
        said = self.stderr.read().decode()
        assert (status, said) == (0, "")

    def totals(self) -> Mapping[str, int]:
        """What it has added up."""
        return self._totals.read()
