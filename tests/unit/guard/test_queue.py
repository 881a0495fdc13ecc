"""What waits for a plugin that does not read."""

from __future__ import annotations

import socket

from telegraf_bitcoin_ipc.guard.loop import KEPT_BYTES, QUEUE_BYTES, PluginSide
from telegraf_bitcoin_ipc.guard.stream import BufferPool

EVENT = bytes(4096)


def test_many_events_are_dropped_at_once() -> None:
    """A full queue is searched for events once in a while, not at each event: answers may stand before them."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        side = PluginSide(ours, BufferPool())
        for _ in range(QUEUE_BYTES // len(EVENT) // 2):
            side.send(EVENT, event=True)
            side.send(b"an answer")
        while not (dropped := side.send(EVENT, event=True)):
            pass
        assert dropped >= (QUEUE_BYTES - KEPT_BYTES) // len(EVENT)
        assert side.size <= KEPT_BYTES
        assert side.send(EVENT, event=True) == 0
