"""A guard's conversation in memory: a Relay between a node and a plugin played by the test, in invented time."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from support.frames import (
    CHAIN_NOTIFICATIONS,
    NODE,
    POLL_THREAD,
    THREAD,
    UTXO_CACHE_TRACE,
    answer,
    destroy,
    finish,
    on_thread,
    question_of,
    transaction,
    wait_tip,
)
from support.guard import Guarded, Side
from support.layouts import Structs, tree_of

from telegraf_bitcoin_ipc.guard import contract, relay, stream, wire

CHAIN_HANDLER, TRACE_HANDLER = 21, 22
CALLBACKS = {CHAIN_HANDLER: (CHAIN_NOTIFICATIONS, 1), TRACE_HANDLER: (UTXO_CACHE_TRACE, 2)}
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


class Player(Side):
    """The node, or the plugin, as the test plays it, without a socket."""

    def __init__(self, conversation: Conversation, hears: Callable[[bytes], None]) -> None:
        self._conversation = conversation
        self._hears = hears
        self.cutter = stream.FrameSplitter()
        self.outbox = Outbox()

    def send(self, *frames: bytes) -> None:
        """Say frames; whatever is no frame ends the conversation, as it does in the loop if a plugin says it."""
        whole, raw = self.cutter.feed(b"".join(frames))
        for frame in whole:
            self._hears(frame)
        if raw:
            self.outbox.close()
        self._conversation.tick()

    def take(self) -> bytes:
        """Return the next frame for this side; lets time pass until there is one."""
        while not self.outbox.frames:
            assert self._conversation.passes(), "nothing will ever come"
        return self.outbox.frames.popleft()

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
        self.node, self.plugin = Player(self, self.from_node), Player(self, self.from_plugin)
        self.memory = memoryview(bytearray(contract.SHARED_BYTES)).cast("Q")
        self.now = 1000.0
        self.due: float | None = None
        self.relay = relay.Relay(self.node.outbox, self.plugin.outbox, self.memory, forward_utxo)

    def from_node(self, frame: bytes) -> None:
        """Give the relay a frame of the node's."""
        if self.relay.from_burst(bytearray(frame), len(frame), self.now) == 0:
            self.relay.from_node(frame, self.now)

    def from_plugin(self, frame: bytes) -> None:
        """Give the relay a frame of the plugin's."""
        self.relay.from_plugin(frame, self.now)

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
    return on_thread(question, NODE, "getMempoolSize", 9, POLL_THREAD)


def handed(guarded: Guarded, event: bytes) -> None:
    """Take an event on the plugin's side: the same under another question, and without its capabilities."""
    received = guarded.plugin.take()
    expected = tree_of(event)
    body = expected.at(0)
    assert question_of(received) > wire.OWN_IDS
    body.data = struct.pack("<I", question_of(received)) + body.data[4:]
    table = body.at(1).pointers[1]
    if isinstance(table, Structs):
        for descriptor in table.items:
            descriptor.data = bytes(2) + descriptor.data[2:]
    assert tree_of(received) == expected


def disconnected(guarded: Guarded, handler: int) -> int:
    """Take the guard's call of a handler's disconnect; returns its question."""
    frame = guarded.node.take()
    question = question_of(frame)
    assert frame == contract.disconnect_of(question, handler, THREAD)
    assert question > wire.OWN_IDS
    return question


def destroyed(guarded: Guarded, handler: int) -> bytes:
    """Call `destroy` of a handler's callback, as question 900 and more; see it answered, and return it."""
    interface, callback = CALLBACKS[handler]
    event = destroy(900 + callback, interface, callback)
    guarded.node.send(event)
    assert guarded.node.take() == wire.answer_to(900 + callback)
    return event


def let_go(guarded: Guarded, question: int, handler: int) -> None:
    """Answer a disconnect as a node does: `destroy` of the callback first."""
    destroyed(guarded, handler)
    guarded.node.send(finish(900 + CALLBACKS[handler][1]), answer(question))
    assert guarded.node.take() == wire.finish_of(question)


def left(guarded: Guarded, *handlers: int) -> None:
    """See these subscriptions ended, one after the other, and then the node's socket closed."""
    for handler in handlers:
        let_go(guarded, disconnected(guarded, handler), handler)
    assert guarded.node.at_the_end()
    guarded.ends()


def still_answers(guarded: Guarded, question: int) -> None:
    """Nothing has been sent to the node before the answer to the event that is sent now."""
    guarded.node.send(transaction(question))
    assert guarded.node.take() == wire.answer_to(question)


def repeated(guarded: Guarded, tip: bytes) -> int:
    """Take the guard's wait for a tip; returns its question."""
    frame = guarded.node.take()
    question = question_of(frame)
    assert question > wire.OWN_IDS
    expected = wait_tip(question, tip, timeout=contract.TipWait.LIMIT_MILLISECONDS)
    assert tree_of(frame) == tree_of(expected)
    return question
