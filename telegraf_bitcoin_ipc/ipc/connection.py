"""A session with the node at a path, through a guard: a standing one, or one of its own."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import capnp

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.ipc.dialects import TRACING
from telegraf_bitcoin_ipc.ipc.guard_process import Guarded, GuardFailed, guarded
from telegraf_bitcoin_ipc.ipc.handshake import Loading, open_session
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.session import Session
from telegraf_bitcoin_ipc.ipc.standing_guard import introduced

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5
"""Seconds to end the subscriptions, and again to wait for pending answers, before both are left to the guard. With
the guard's exit timeout, the program exits within 2 s of being told to stop."""


ResultT = TypeVar("ResultT")


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run the program's main coroutine in an event loop that Cap'n Proto shares."""
    result: ResultT = asyncio.run(capnp.run(main))
    return result


LOOK_LIMIT: Final = 20.0
"""Time limit in seconds for commands that look at a node once (`check`, `once`): a user is waiting for them."""


class Connection(NamedTuple):
    """A session, the guard before it (None without), and whether it is safe to subscribe."""

    session: Session
    guard: Guarded | None
    may_subscribe: bool


@asynccontextmanager
async def connect(
    node_socket: NodeSocket,
    *,
    unguarded: bool = False,
    forward_utxo: bool = False,
    level: int = logging.ERROR,
    on_wait: Callable[[str], None] = log.warning,
) -> AsyncIterator[Connection]:
    """Open a session with the node. With `forward_utxo` the guard forwards UTXO events as well as counting them.

    If the node is still loading its chain, this waits for it, and `on_wait` gets a sentence for the log. If the
    guard cannot be started, this is logged at `level`, and subscribing is not safe. Raises NodeUnavailable,
    NodeStopping and UnsupportedNode.
    """
    async with AsyncExitStack() as stack:
        connection = stack.enter_context(node_socket.connect())
        guard, patience = None, None
        if connection.type == socket.SOCK_SEQPACKET:
            guard = await stack.enter_async_context(introduced(connection, node_socket, forward_utxo=forward_utxo))
        elif not unguarded:
            try:
                guard = await stack.enter_async_context(
                    guarded(connection, forward_utxo=forward_utxo, meanwhile=lambda: schema.load(TRACING.name))
                )
            except GuardFailed as error:
                log.log(level, "%s; polling only: without the guard, subscribing is not safe", error)
        if guard is not None:
            connection, patience = guard.connection, PATIENCE
        loading = Loading(node_socket.is_loaded, on_wait=on_wait)
        try:
            session = await stack.enter_async_context(open_session(connection, patience, loading))
            yield Connection(session, guard, unguarded or guard is not None)
        except NodeStopping:
            node_socket.stopping()
            raise


@asynccontextmanager
async def look_at(
    node_socket: NodeSocket, *, unguarded: bool = False, limit: float = LOOK_LIMIT
) -> AsyncIterator[Connection]:
    """Open a session that subscribes to nothing and ends within `limit` seconds; raises as `connect` does."""
    waits_for = "it accepts the connection but does not answer"

    def on_wait(reason: str) -> None:
        nonlocal waits_for
        waits_for = reason.partition(";")[0]

    try:
        async with asyncio.timeout(limit), connect(node_socket, unguarded=unguarded, on_wait=on_wait) as node:
            yield node
    except TimeoutError:
        raise NodeUnavailable(f"no answer from the node within {limit:g} seconds: {waits_for}") from None
