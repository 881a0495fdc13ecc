"""A guard in memory with its gate, and what a test of the gate does with a hostile client."""

from __future__ import annotations

from support.conversation import Conversation
from support.frames import finish, reading

from telegraf_bitcoin_ipc.guard import gate, relay
from telegraf_bitcoin_ipc.guard.loop import PLUGIN_FRAME_BYTES
from telegraf_bitcoin_ipc.guard.stream import FrameSplitter


class Gated(Conversation):
    """A Gate and a Relay between a node and a client that are played by the test."""

    def __init__(self, *, forward_utxo: bool = False, loaded: bool = True) -> None:
        super().__init__(forward_utxo=forward_utxo)
        self.log: list[str] = []
        self.loaded = loaded
        self.plugin.cutter = FrameSplitter(most=PLUGIN_FRAME_BYTES)
        self.gate = gate.Gate(self.plugin.outbox, self.memory, self.log.append, lambda: self.loaded)
        self.relay = relay.Relay(self.node.outbox, self.gate, self.memory, forward_utxo)

    def from_plugin(self, frame: bytes) -> None:
        """Give the relay what the gate admits of a frame of the client's."""
        for admitted in self.gate.admitted(frame):
            self.relay.from_plugin(admitted, self.now)


def opened() -> Gated:
    """Return the conversation."""
    gated = Gated()
    gated.introduced()
    gated.waits()
    return gated


def refused(
    gated: Gated, question: int, frame: bytes, *, why: str = "not allowed by the guard: ", of: str = ""
) -> None:
    """The node sees nothing of it, nor of its Finish; the client gets an exception, and goes on."""
    gated.plugin.send(frame)
    assert not gated.node.outbox.frames, of
    with reading(gated.plugin.take()) as message:
        given = getattr(message, "return")
        assert given.answerId == question
        assert given.exception.reason.startswith(why), of
    gated.plugin.send(finish(question))
    assert gated.plugin.outbox.open, of
    assert not gated.node.outbox.frames, of


def ended(gated: Gated, frame: bytes) -> None:
    """The node sees nothing of it, and the client's session is over."""
    gated.plugin.send(frame)
    assert frame not in gated.node.outbox.frames
    assert not gated.plugin.outbox.open
    assert [line for line in gated.log if line.startswith("session ended: ")]


def passes(gated: Gated, *frames: bytes) -> None:
    """The node gets it as it is."""
    gated.plugin.send(*frames)
    for frame in frames:
        assert gated.node.take() == frame
    assert gated.node.silent()
