"""A session with the node at a path, through a guard: a standing one, or one of its own."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import capnp

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable
from telegraf_bitcoin_ipc.ipc.guard_process import Guarded, GuardFailed, guarded
from telegraf_bitcoin_ipc.ipc.handshake import Loading, open_session, prepare
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.session import Session
from telegraf_bitcoin_ipc.ipc.standing_guard import introduced

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5
"""Seconds to end the subscriptions, and then to wait for pending answers, before the guard is left to do it: with
the guard's exit timeout the program ends within 2 s of being stopped."""


ResultT = TypeVar("ResultT")


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run the program's main coroutine in an event loop that Cap'n Proto shares."""
    result: ResultT = asyncio.run(capnp.run(main))
    return result


LOOK_LIMIT: Final = 20.0
"""Seconds that a single look at a node may take: somebody is waiting for the program to end."""


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

    `on_wait` gets a sentence if the node is still loading its chain, which is waited for. If the guard cannot be
    started nothing may be subscribed, and the log says so at `level`. Raises NodeUnavailable, NodeStopping and
    UnsupportedNode.
    """
    async with AsyncExitStack() as stack:
        connection = stack.enter_context(node_socket.connect())
        guard, patience = None, None
        if connection.type == socket.SOCK_SEQPACKET:
            guard = await stack.enter_async_context(introduced(connection, node_socket, forward_utxo=forward_utxo))
        elif not unguarded:
            try:
                guard = await stack.enter_async_context(
                    guarded(connection, forward_utxo=forward_utxo, meanwhile=prepare)
                )
            except GuardFailed as error:
                log.log(level, "%s; nothing is subscribed without it, the node is only polled", error)
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
) -> AsyncIterator[Session]:
    """Open a session that subscribes to nothing and ends within `limit` seconds, whatever the node does.

    Raises NodeUnavailable, NodeStopping and UnsupportedNode.
    """
    waits_for = "it accepts the connection and does not answer"

    def on_wait(reason: str) -> None:
        nonlocal waits_for
        waits_for = reason.partition(";")[0]

    try:
        async with asyncio.timeout(limit), connect(node_socket, unguarded=unguarded, on_wait=on_wait) as node:
            yield node.session
    except TimeoutError:
        raise NodeUnavailable(f"no answer from the node within {limit:g} seconds: {waits_for}") from None
