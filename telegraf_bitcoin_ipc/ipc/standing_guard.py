"""Opens a session with the node by way of a standing guard."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from functools import partial
from typing import Final

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable
from telegraf_bitcoin_ipc.guard import hello
from telegraf_bitcoin_ipc.ipc.guard_process import Guarded, Totals
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket

ANSWER_LIMIT: Final = 10.0
"""Seconds that a standing guard has to answer; it takes some milliseconds."""

DESCRIPTORS: Final = 2
"""What comes with an answer: the socket on which the node is spoken to, and the memory of the totals."""


@asynccontextmanager
async def introduced(
    connection: socket.socket, node_socket: NodeSocket, *, forward_utxo: bool
) -> AsyncIterator[Guarded]:
    """Hold a session with the guard's node. Raises NodeStopping, and NodeUnavailable with the guard's sentence."""
    with ExitStack() as stack:
        try:
            with closing(connection):
                request = hello.request(forward_utxo=forward_utxo, stopped=node_socket.stopped)
                async with asyncio.timeout(ANSWER_LIMIT):
                    packet, descriptors = await _answered(connection, request)
            for descriptor in descriptors:
                stack.callback(os.close, descriptor)
            answer = hello.Answer.of(packet)
            if answer.stopping:
                raise NodeStopping
            if answer.sentence:
                raise NodeUnavailable(f"the guard refused a session: {answer.sentence}")
            if len(descriptors) != DESCRIPTORS:
                raise hello.NotSpoken("its answer is malformed")
            node_socket.introduced(answer)
            session = stack.enter_context(socket.socket(fileno=os.dup(descriptors[0])))
            session.setblocking(False)
            totals = stack.enter_context(closing(Totals(descriptors[1])))
        except TimeoutError:
            raise NodeUnavailable(f"the guard has not answered within {ANSWER_LIMIT:g} seconds") from None
        except (OSError, ValueError, hello.NotSpoken) as error:
            raise NodeUnavailable(f"the guard refused a session: {error}") from error
        yield Guarded(session, totals.read, standing=True)


async def _answered(connection: socket.socket, request: bytes) -> tuple[bytes, list[int]]:
    """Send the request, and return the answer and the descriptors that come with it."""
    loop = asyncio.get_running_loop()
    with suppress(BrokenPipeError):  # a guard that has no room answers without reading the request
        await loop.sock_sendall(connection, request)
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    receive = partial(socket.recv_fds, connection, hello.MOST_BYTES, DESCRIPTORS)
    try:
        packet, descriptors, *_ = receive()
    except ConnectionResetError:  # the answer of a guard that does not read the request is behind it
        packet, descriptors, *_ = receive()
    if not packet:
        raise hello.NotSpoken("it closed the connection")
    return packet, descriptors
