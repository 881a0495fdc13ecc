"""A standing guard's first answer, with the guard's side played by the test."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest

from telegraf_bitcoin_ipc.errors import NodeUnavailable
from telegraf_bitcoin_ipc.guard import hello
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.standing_guard import introduced


async def introduce(connection: socket.socket) -> None:
    """Ask for a session, and end it."""
    async with introduced(connection, NodeSocket("/nowhere"), forward_utxo=False):
        pass


def test_a_refusal_that_came_before_the_request_is_read() -> None:
    """A guard that has no room answers and closes at once: the sentence counts, not the broken pipe."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with closing(theirs):
        theirs.send(hello.Answer(sentence="8 clients are connected").packet())
    with pytest.raises(NodeUnavailable, match="refused a session: 8 clients are connected"):
        asyncio.run(introduce(ours))


def test_a_guard_that_says_nothing_is_named() -> None:
    """A guard that closes without an answer ends in a sentence, not in a traceback."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.close()
    with pytest.raises(NodeUnavailable, match="refused a session"):
        asyncio.run(introduce(ours))
