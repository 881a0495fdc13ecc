"""A guard's conversation in memory: a Relay between a node and a plugin played by the test, in invented time."""

from __future__ import annotations

import struct
from collections import deque
from types import TracebackType
from typing import Literal, Self

from support.frames import (
    CHAIN_NOTIFICATIONS,
    NODE,
    POLL_THREAD,
    THREAD,
    UTXO_CACHE_TRACE,
    answer,
    call,
    destroy,
    finish,
    reading,
    transaction,
    wait_tip,
)
from support.guard import Guarded
from support.layouts import Struct, Structs, frame_with, tree_of

from telegraf_bitcoin_ipc.guard import contract, relay, stream, wire

CHAIN_HANDLER, TRACE_HANDLER = 21, 22
NO_TIP, TIP, NEXT_TIP = bytes(32), b"\x01" * 32, b"\x02" * 32


class Outbox:
    """Where a Relay's frames for one side end up."""

    def __init__(self) -> None:
        self.open = True
        self.size = 0
        self.frames: deque[bytes] = deque()

    def send(self, frame: wire.Frame, event: bool = False) -> int:
        """Take a frame."""
        if self.open:
            self.frames.append(bytes(frame))
        return 0

    def close(self) -> None:
        """Take no more; what was sent before stays to be read."""
        self.open = False


class Player:
    """The node, or the plugin, as the test plays it: the same methods as on a real guard's sides."""

    def __init__(self, conversation: Conversation, side: Literal["node", "plugin"]) -> None:
        self._conversation = conversation
        self._side = side
        self.cutter = stream.FrameSplitter()
        self.outbox = Outbox()

    def send(self, *frames: bytes) -> None:
        """Say frames; whatever is no frame ends the conversation as it does in the loop."""
        frames_, raw = self.cutter.feed(b"".join(frames))
        for frame in frames_:
            self._conversation.hears(self._side, frame)
        if raw and self._side == "node":
            self._conversation.relay.to_plugin(raw)
        elif raw:
            self.outbox.close()
        self._conversation.tick()

    def take(self) -> bytes:
        """Return the next frame for this side; lets time pass until there is one."""
        while not self.outbox.frames:
            assert self._conversation.passes(), "nothing will ever come"
        return self.outbox.frames.popleft()

    def exactly(self, size: int) -> bytes:
        """Return that many bytes, which are whole frames."""
        data = b""
        while len(data) < size:
            data += self.take()
        assert len(data) == size
        return data

    def silent(self) -> bool:
        """Whether nothing has come until now, not even an end."""
        return self.outbox.open and not self.outbox.frames

    def at_the_end(self) -> bool:
        """Let time pass until a frame comes or the guard closes; whether it closed."""
        while self.outbox.open and not self.outbox.frames:
            assert self._conversation.passes(), "it is never closed"
        return not self.outbox.frames

    def close(self) -> None:
        """Go, as a process that ends does."""
        self.outbox.close()
        self._conversation.tick()


class Conversation(Guarded):
    """A Relay, and both sides of it; time stands still unless somebody waits for something."""

    node: Player
    plugin: Player

    def __init__(self, *, forward_utxo: bool = False) -> None:
        self.node, self.plugin = Player(self, "node"), Player(self, "plugin")
        self.memory = memoryview(bytearray(contract.SHARED_BYTES)).cast("Q")
        self.now = 1000.0
        self.due: float | None = None
        self.relay = relay.Relay(self.node.outbox, self.plugin.outbox, self.memory, forward_utxo)

    def hears(self, side: Literal["node", "plugin"], frame: bytes) -> None:
        """Give the relay a frame."""
        if side == "plugin":
            self.relay.from_plugin(frame, self.now)
        elif self.relay.from_burst(bytearray(frame), len(frame), self.now) == 0:
            self.relay.from_node(frame, self.now)

    def tick(self) -> None:
        """Do what is due, as the loop does between two looks at its sockets."""
        self.due = self.relay.tick(self.now)
        if not self.node.outbox.open:
            self.plugin.outbox.close()

    def passes(self) -> bool:
        """Let time pass until something is due; whether anything is."""
        if self.due is None:
            return False
        assert self.due > self.now
        self.now = self.due
        self.tick()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.node.close()
            self.plugin.close()
            self.ends()

    def ends(self) -> None:
        """Both sides are closed, and nothing is due any more."""
        assert not self.node.outbox.open
        assert not self.plugin.outbox.open
        assert self.due is None

    def totals(self) -> dict[str, int]:
        """What it has added up."""
        return dict(zip(contract.TOTALS, self.memory, strict=True))


# What both sides say


def ask_node(question: int) -> bytes:
    """A call of the plugin's that is none of the guard's business."""
    table = (("receiverHosted", POLL_THREAD),)
    return call(question, NODE, "getMempoolSize", target=9, table=table, pins={(0, 0): 0}, context={})


def question_of(frame: bytes) -> int:
    """The question's id of a Call."""
    with reading(frame) as message:
        number: int = message.call.questionId
        return number


def forwarded(event: bytes, question: int) -> bytes:
    """What the plugin gets of an event in one segment: another question, and no capabilities."""
    tree = tree_of(event)
    assert isinstance(tree, Struct)
    (body,) = tree.pointers
    assert isinstance(body, Struct)
    body.data = struct.pack("<I", question) + body.data[4:]
    payload = body.pointers[1]
    assert isinstance(payload, Struct)
    if isinstance(payload.pointers[1], Structs):
        for descriptor in payload.pointers[1].items:
            descriptor.data = bytes(2) + descriptor.data[2:]
    return frame_with(tree, lambda: "near")


def in_order(frame: bytes) -> bytes:
    """The same message with its parts in the order of `forwarded`."""
    return frame_with(tree_of(frame), lambda: "near")


def disconnected(guarded: Guarded, handler: int) -> int:
    """Take the guard's call of a handler's disconnect; returns its question."""
    frame = guarded.node.take()
    question = question_of(frame)
    assert frame == contract.disconnect_of(question, handler, THREAD)
    assert question > wire.OWN_IDS
    return question


def let_go(guarded: Guarded, question: int, interface: object, callback: int) -> None:
    """Answer a disconnect as a node does: `destroy` of the callback first."""
    guarded.node.send(destroy(900 + callback, interface, callback))
    assert guarded.node.take() == wire.answer_to(900 + callback)
    guarded.node.send(finish(900 + callback), answer(question))
    assert guarded.node.take() == wire.finish_of(question)


def teardown(guarded: Guarded) -> None:
    """See both subscriptions ended in the right order, and the node's socket closed."""
    let_go(guarded, disconnected(guarded, TRACE_HANDLER), UTXO_CACHE_TRACE, 2)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    assert guarded.node.at_the_end()
    guarded.ends()


CALLBACKS = {TRACE_HANDLER: (UTXO_CACHE_TRACE, 2), CHAIN_HANDLER: (CHAIN_NOTIFICATIONS, 1)}


def any_disconnected(guarded: Guarded) -> tuple[int, int]:
    """Take the guard's call of some handler's disconnect; returns the handler and the question."""
    frame = guarded.node.take()
    with reading(frame) as message:
        handler, question = message.call.target.importedCap, message.call.questionId
    assert frame == contract.disconnect_of(question, handler, THREAD)
    assert handler in CALLBACKS
    return handler, question


def teardown_in_any_order(guarded: Guarded) -> None:
    """See both subscriptions ended one after the other, and the node's socket closed."""
    ended = set()
    for _ in CALLBACKS:
        handler, question = any_disconnected(guarded)
        let_go(guarded, question, *CALLBACKS[handler])
        ended.add(handler)
    assert ended == set(CALLBACKS)
    assert guarded.node.at_the_end()
    guarded.ends()


def still_answers(guarded: Guarded, question: int) -> None:
    """Nothing has been sent to the node before the answer to the event that is sent now."""
    guarded.node.send(transaction(question))
    assert guarded.node.take() == wire.answer_to(question)


def gives_up(guarded: Guarded, question: int, handler: int) -> None:
    """Have the plugin disconnect a handler: it has its answer at once, and its `Finish` goes nowhere."""
    guarded.plugin.send(contract.disconnect_of(question, handler, THREAD))
    assert guarded.plugin.take() == wire.answer_to(question)
    guarded.plugin.send(finish(question))


def handed(guarded: Guarded, event: bytes) -> None:
    """Take an event on the plugin's side."""
    received = guarded.plugin.take()
    assert in_order(received) == forwarded(event, question_of(received))


def repeated(guarded: Guarded, tip: bytes) -> int:
    """Take the guard's wait for a tip; returns its question."""
    frame = guarded.node.take()
    question = question_of(frame)
    assert question > wire.OWN_IDS
    expected = wait_tip(question, tip, timeout=contract.TipWait.LIMIT_MILLISECONDS)
    assert tree_of(frame) == tree_of(expected)
    return question
