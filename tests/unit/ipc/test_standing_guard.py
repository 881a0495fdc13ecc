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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        # A guard that has no room answers and closes at once: the sentence counts, not the broken pipe.
        (hello.Answer(sentence="8 clients are connected").packet(), "refused a session: 8 clients are connected"),
        # One that closes without an answer ends in a sentence, not in a traceback.
        (b"", "refused a session"),
    ],
)
def test_a_refusal_that_came_before_the_request(answer: bytes, said: str) -> None:
    """A guard that closes before it is asked for a session has refused it."""

    async def introduce() -> None:
        async with introduced(ours, NodeSocket("/nowhere"), forward_utxo=False):
            pass

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with closing(theirs):
        if answer:
            theirs.send(answer)
    with pytest.raises(NodeUnavailable, match=said):
        asyncio.run(introduce())
