"""The loop in this process: when the system refuses to send, to receive, or memory."""

from __future__ import annotations

import errno
import mmap
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from support.conversation import handed
from support.frames import question_of, transaction
from support.guard import DEADLINE, Guarded, Side

from telegraf_bitcoin_ipc.guard import contract, loop, stream, wire

PASSING = (errno.ENOBUFS, errno.ENOMEM, errno.EINTR, errno.EAGAIN)
GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN)


class Refusing(socket.socket):
    """A real socket whose `send` and `recv_into` first fail as often as they are told to, and note when."""

    refusals: list[int]
    refused_at: list[float]

    def _refuse(self) -> None:
        if self.refusals:
            self.refused_at.append(time.monotonic())
            number = self.refusals.pop(0)
            raise OSError(number, os.strerror(number))

    def send(self, *arguments: Any) -> int:
        self._refuse()
        return super().send(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        self._refuse()
        return super().recv_into(*arguments)


def refusing(end: socket.socket) -> Refusing:
    """Return the same socket, refusing nothing yet."""
    made = Refusing(fileno=end.detach())
    made.setblocking(False)
    made.refusals, made.refused_at = [], []
    return made


class Local(Guarded):
    """A guard in this process between two real sockets; the test plays the node and the plugin."""

    def __init__(self, stack: ExitStack) -> None:
        (ours_node, node), (ours_plugin, plugin) = socket.socketpair(), socket.socketpair()
        self.node, self.plugin = Side(ours_node), Side(ours_plugin)
        self.its_node, self.its_plugin = refusing(node), refusing(plugin)
        self.totals = memoryview(bytearray(contract.SHARED_BYTES)).cast("Q")
        self.loop = loop.Loop(self.its_node, self.its_plugin, self.totals, 0.0, False)
        self._stack = stack
        for end in (ours_node, ours_plugin, self.its_node, self.its_plugin):
            stack.callback(end.close)

    def runs(self) -> None:
        """Run the guard, beside the test, until the test ends."""
        thread = threading.Thread(target=self.loop.run, daemon=True)
        thread.start()

        def end() -> None:
            self.node.close()
            self.plugin.close()
            thread.join(DEADLINE)
            assert not thread.is_alive()

        self._stack.callback(end)

    def relays(self, *blocks: bytes) -> None:
        """Each event that the node sends is answered, and reaches the plugin whole."""
        self.node.send(*blocks)
        for block in blocks:
            assert self.node.take() == wire.answer_to(question_of(block))
        for block in blocks:
            handed(self, block)


@pytest.fixture
def local() -> Iterator[Local]:
    """A guard in this process."""
    with ExitStack() as stack:
        yield Local(stack)


@pytest.mark.parametrize("side", ["node", "plugin"])
@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_what_the_system_refuses_is_tried_again(local: Local, side: str, number: int) -> None:
    """An error that does not say that the peer is gone closes nothing, and no byte is lost."""
    its = getattr(local, f"its_{side}")
    its.refusals = [number] * 6  # in reading, in writing, whichever comes
    local.runs()
    for question in range(20):
        local.relays(transaction(question, bytes(100_000)))
    assert its.refusals == []


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENOMEM], ids=errno.errorcode.get)
def test_what_the_system_refuses_is_not_tried_at_once(local: Local, number: int) -> None:
    """While the system has no memory the guard does not spin: there is a pause after each refusal."""
    local.its_node.refusals = [number] * 5
    local.runs()
    local.relays(transaction(1))
    pauses = [later - earlier for earlier, later in pairwise(local.its_node.refused_at)]
    assert len(pauses) == 4
    assert min(pauses) >= loop.RETRY_SECONDS


@pytest.mark.parametrize("act", [lambda side: side.send(b"frame"), lambda side: side.receive(0.0)])
@pytest.mark.parametrize("number", GONE, ids=errno.errorcode.get)
def test_a_peer_that_is_gone_closes_its_side(local: Local, number: int, act: Callable[[loop.Side], Any]) -> None:
    """What says that the other end is gone closes the side, be it found in writing or in reading."""
    local.its_node.refusals = [number]
    act(local.loop.node)
    assert not local.loop.node.open


class NoBuffers(stream.BufferPool):
    """A pool for which the system refuses memory a few times."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    def take(self, size: int) -> memoryview:
        if self.refusals:
            self.refusals -= 1
            raise MemoryError
        return super().take(size)


def test_no_mapping_for_a_large_frame(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no memory can be mapped (ENOMEM), a block's frame lies on the heap, and all goes on."""

    def refused(*arguments: Any) -> mmap.mmap:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(stream, "new_mapping", refused)
    local.runs()
    for _ in range(3):
        local.relays(transaction(1, bytes(3 * stream.READ_BYTES)))


def test_no_memory_for_a_large_frame(local: Local) -> None:
    """Where there is no memory at all for a block, the guard waits for it, and no byte is lost."""
    pool = NoBuffers(5)
    local.loop.node.frames = stream.FrameSplitter(pool)
    local.runs()
    local.relays(transaction(0), transaction(1, os.urandom(3 * stream.READ_BYTES)), transaction(2))
    assert pool.refusals == 0
