"""The guard in this process: when the system refuses to send or receive, and when the wait for a tip fails."""

from __future__ import annotations

import errno
import math
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from support.guard import DEADLINE, Side, failure, finish, reading, subscribe_chain, tip_is, transaction, wait_tip

from telegraf_bitcoin_ipc.ipc import guard

PASSING = (errno.ENOBUFS, errno.ENOMEM, errno.EINTR, errno.EAGAIN)
GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN)
NO_TIP, TIP = bytes(32), b"\x01" * 32


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


class Local:
    """A guard in this process between two real sockets; the test plays the node and the plugin."""

    def __init__(self, stack: ExitStack) -> None:
        (ours_node, node), (ours_plugin, plugin) = socket.socketpair(), socket.socketpair()
        self.node, self.plugin = Side(ours_node), Side(ours_plugin)
        self.its_node, self.its_plugin = refusing(node), refusing(plugin)
        self.totals = memoryview(bytearray(guard.SHARED_BYTES)).cast("Q")
        self.guard = guard.Guard(self.its_node, self.its_plugin, self.totals, 0.0, False)
        for end in (ours_node, ours_plugin, self.its_node, self.its_plugin):
            stack.callback(end.close)

    def runs(self, stack: ExitStack) -> None:
        """Run the guard, beside the test, until the test ends."""
        thread = threading.Thread(target=self.guard.run, daemon=True)
        thread.start()

        def end() -> None:
            self.node.close()
            self.plugin.close()
            thread.join(DEADLINE)
            assert not thread.is_alive()

        stack.callback(end)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def local(stack: ExitStack) -> Local:
    """A guard in this process."""
    return Local(stack)


@pytest.mark.parametrize("side", ["node", "plugin"])
@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_what_the_system_refuses_is_tried_again(local: Local, stack: ExitStack, side: str, number: int) -> None:
    """An error that does not say that the peer is gone closes nothing, and no byte is lost."""
    its = getattr(local, f"its_{side}")
    its.refusals = [number] * 6  # in reading, in writing, whichever comes
    local.runs(stack)
    for question in range(20):
        local.node.send(transaction(question, bytes(100_000)))
        assert local.node.take() == guard.answer_to(question)
        assert len(local.plugin.take()) == len(transaction(question, bytes(100_000)))
    assert its.refusals == []


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENOMEM], ids=errno.errorcode.get)
def test_what_the_system_refuses_is_not_tried_at_once(local: Local, stack: ExitStack, number: int) -> None:
    """While the system has no memory the guard does not spin: there is a pause after each refusal."""
    local.its_node.refusals = [number] * 5
    local.runs(stack)
    local.node.send(transaction(1))
    assert local.node.take() == guard.answer_to(1)
    moments = local.its_node.refused_at
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert len(pauses) == 4
    assert min(pauses) >= guard.RETRY_SECONDS


@pytest.mark.parametrize("act", [lambda side: side.send(b"frame"), lambda side: side.receive()])
@pytest.mark.parametrize("number", GONE, ids=errno.errorcode.get)
def test_a_peer_that_is_gone_closes_its_side(local: Local, number: int, act: Callable[[guard.Side], Any]) -> None:
    """What says that the other end is gone closes the side, be it found in writing or in reading."""
    local.its_node.refusals = [number]
    act(local.guard.node)
    assert not local.guard.node.open


def asked(local: Local) -> int:
    """The question of the next call that the guard makes on the node."""
    with reading(local.node.take()) as message:
        number: int = message.call.questionId
        return number


def refused(local: Local, question: int, reason: str = "std::exception: thread busy") -> None:
    """Have the node refuse a wait for the tip."""
    local.guard.take_from_node(failure(question, reason))
    assert local.node.take() == guard.finish_of(question)


def test_the_pause_of_a_busy_node_grows(local: Local) -> None:
    """While the node's thread is busy the wait is repeated after 10 ms, 20 ms ... 1 s; a tip ends that."""
    local.guard.take_from_plugin(wait_tip(5, NO_TIP))
    question = asked(local)
    wait = local.guard.tip_wait
    assert wait is not None
    pauses = []
    for _ in range(10):
        pauses.append(wait.pause)
        before = time.monotonic()
        refused(local, question)
        due = local.guard.tip_wait_due
        assert due is not None
        assert before + pauses[-1] <= due <= time.monotonic() + pauses[-1]
        local.guard.repeat_tip_wait(math.nextafter(due, 0))
        assert local.node.silent(), "it is not repeated before its time"
        local.guard.repeat_tip_wait(due)
        question = asked(local)
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 1, 1]
    local.guard.take_from_node(tip_is(question, TIP))
    assert local.node.take() == guard.finish_of(question)
    asked(local)
    assert wait.pause == 0.01
    assert local.plugin.silent()


def of_another_outcome(question: int) -> bytes:
    """A Return that is neither results nor an exception: `canceled`."""
    frame = bytearray(failure(question, "no"))
    struct.pack_into("<H", frame, frame.index(struct.pack("<IHH", question, 0, 1)) + 6, 2)
    return bytes(frame)


FAILURES: dict[str, Callable[[int], bytes]] = {
    "an exception": lambda question: failure(question, "std::exception: a simulated failure"),
    "an exception without a reason": lambda question: failure(question, ""),
    "a short hash": lambda question: tip_is(question, bytes(31)),
    "another outcome": of_another_outcome,
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
def test_a_wait_that_fails_is_the_plugins(local: Local, answer: Callable[[int], bytes]) -> None:
    """Any other answer reaches the plugin as the answer to its own question, and the wait is not repeated."""
    local.guard.take_from_plugin(wait_tip(5, NO_TIP))
    question = asked(local)
    local.guard.take_from_node(answer(question))
    assert local.node.take() == guard.finish_of(question)
    assert local.plugin.take() == answer(5)
    assert local.guard.tip_wait is None
    assert local.guard.tip_wait_due is None
    local.guard.take_from_plugin(finish(5))
    local.guard.take_from_plugin(subscribe_chain(6))
    assert local.node.take() == subscribe_chain(6), "the node never heard of question 5"
