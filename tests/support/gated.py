"""A guard in memory with its gate, and what a test of the gate does with a hostile client."""

from __future__ import annotations

from typing import Any

from support.conversation import NO_TIP, Conversation
from support.frames import THREAD, Pins, call, finish, reading, wait_tip

from telegraf_bitcoin_ipc.guard import gate, relay
from telegraf_bitcoin_ipc.guard.loop import PLUGIN_FRAME_BYTES
from telegraf_bitcoin_ipc.guard.stream import FrameSplitter

ON_THREAD: Pins = {(0, 0): 0}


class Gated(Conversation):
    """A Gate and a Relay between a node and a client that are played by the test."""

    def __init__(self, *, forward_utxo: bool = False, loaded: bool = True) -> None:
        super().__init__(forward_utxo=forward_utxo)
        self.log: list[str] = []
        self.loaded = loaded
        self.plugin.cutter = FrameSplitter(most=PLUGIN_FRAME_BYTES)
        self.gate = gate.Gate(self.plugin.outbox, self.memory, self.log.append, lambda: self.loaded)
        self.relay = relay.Relay(self.node.outbox, self.gate, self.memory, forward_utxo)

    def hears(self, side: str, frame: bytes) -> None:
        """Give a frame to the relay; the client's by way of the gate."""
        if side == "node":
            super().hears("node", frame)
            return
        for admitted in self.gate.admitted(frame):
            self.relay.from_plugin(admitted, self.now)


def opened() -> Gated:
    """Return the conversation."""
    gated = Gated()
    gated.introduced()
    gated.plugin.send(wait_tip(900, NO_TIP))
    gated.node.take()
    return gated


def refused(gated: Gated, question: int, *frames: bytes, why: str = "not allowed by the guard: ") -> None:
    """The node sees nothing of it, nor of its Finish; the client gets an exception, and goes on."""
    gated.plugin.send(*frames)
    assert not gated.node.outbox.frames
    with reading(gated.plugin.take()) as message:
        given = getattr(message, "return")
        assert given.answerId == question
        assert given.exception.reason.startswith(why)
    gated.plugin.send(finish(question))
    assert gated.plugin.outbox.open
    assert not gated.node.outbox.frames


def ended(gated: Gated, *frames: bytes) -> None:
    """The node sees nothing of it, and the client's session is over."""
    gated.plugin.send(*frames)
    assert not [each for each in gated.node.outbox.frames if each in frames]
    assert not gated.plugin.outbox.open
    assert [line for line in gated.log if line.startswith("session ended: ")]


def passes(gated: Gated, *frames: bytes) -> None:
    """The node gets it as it is."""
    gated.plugin.send(*frames)
    for frame in frames:
        assert gated.node.take() == frame
    assert gated.node.silent()


def on_thread(question: int, interface: Any, method: str, target: int, thread: int = THREAD, **more: Any) -> bytes:
    """Return a call whose only capability is its server thread."""
    table = (("receiverHosted", thread),)
    return call(question, interface, method, target=target, table=table, pins=ON_THREAD, context={}, **more)
