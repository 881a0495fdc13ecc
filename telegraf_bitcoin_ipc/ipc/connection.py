"""A session with the node at a path, through a guard."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import capnp

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable
from telegraf_bitcoin_ipc.ipc.guard_process import GuardFailed, guarded
from telegraf_bitcoin_ipc.ipc.handshake import Loading, open_session, prepare
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.session import Session

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
    """A session, the guard's totals (None without a guard), and whether it is safe to subscribe."""

    session: Session
    totals: Callable[[], Mapping[str, int]] | None
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
        totals, patience = None, None
        if not unguarded:
            try:
                guard = await stack.enter_async_context(
                    guarded(connection, forward_utxo=forward_utxo, meanwhile=prepare)
                )
                connection, totals, patience = guard.connection, guard.totals, PATIENCE
            except GuardFailed as error:
                log.log(level, "%s; polling only: without the guard, subscribing is not safe", error)
        loading = Loading(node_socket.is_loaded, on_wait=on_wait)
        try:
            session = await stack.enter_async_context(open_session(connection, patience, loading))
            yield Connection(session, totals, unguarded or totals is not None)
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
    waits_for = "it accepts the connection but does not answer"

    def on_wait(reason: str) -> None:
        nonlocal waits_for
        waits_for = reason.partition(";")[0]

    try:
        async with asyncio.timeout(limit), connect(node_socket, unguarded=unguarded, on_wait=on_wait) as node:
            yield node.session
    except TimeoutError:
        raise NodeUnavailable(f"no answer from the node within {limit:g} seconds: {waits_for}") from None
