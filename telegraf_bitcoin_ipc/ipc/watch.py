"""A session with the node at a path, through a guard."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import capnp

from telegraf_bitcoin_ipc.errors import NodeUnavailable
from telegraf_bitcoin_ipc.ipc.guarding import GuardFailed, guarded
from telegraf_bitcoin_ipc.ipc.handshake import open_session, prepare
from telegraf_bitcoin_ipc.ipc.peer import is_loaded, process_of
from telegraf_bitcoin_ipc.ipc.session import Session

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5
"""Seconds that the node has to end the subscriptions, and then to answer what it was asked, before that is left to
the guard: with the guard's farewell the program ends within 2 s of being told to."""


ResultT = TypeVar("ResultT")


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run the program's main coroutine in an event loop that Cap'n Proto shares."""
    result: ResultT = asyncio.run(capnp.run(main))
    return result


class Watch(NamedTuple):
    """A session, the guard's totals (None without a guard), and whether it is safe to subscribe."""

    session: Session
    totals: Callable[[], Mapping[str, int]] | None
    may_subscribe: bool


@asynccontextmanager
async def watch(
    path: str, *, unguarded: bool = False, hand_on_utxo: bool = False, level: int = logging.ERROR
) -> AsyncIterator[Watch]:
    """Hold a session with the node. With `hand_on_utxo` the guard hands UTXO events on beside counting them.

    Where the guard cannot be started nothing may be subscribed, and the log says so at `level`. Raises
    NodeUnavailable and UnsupportedNode.
    """
    async with AsyncExitStack() as stack:
        connection = stack.enter_context(connect(path))
        process = process_of(connection)
        totals, patience = None, None
        if not unguarded:
            try:
                guard = await stack.enter_async_context(
                    guarded(connection, hand_on_utxo=hand_on_utxo, meanwhile=prepare)
                )
                connection, totals, patience = guard.connection, guard.totals, PATIENCE
            except GuardFailed as error:
                log.log(level, "%s; nothing is subscribed without it, the node is only polled", error)
        session = await stack.enter_async_context(
            open_session(connection, patience, partial(is_loaded, process, path))
        )
        yield Watch(session, totals, unguarded or totals is not None)


def connect(path: str) -> socket.socket:
    """Return a socket connected to the node's; raises NodeUnavailable with what its operator could look at."""
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)  # a full backlog must not hold anything up
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise NodeUnavailable(f"{path}: {_WHY_NO_CONNECTION.get(type(error), error.strerror or error)}") from error
    return connection


_WHY_NO_CONNECTION: Final[Mapping[type[OSError], str]] = {
    FileNotFoundError: "there is no such socket (is the node running, with -ipcbind=unix?)",
    ConnectionRefusedError: "nobody answers on it (the node is not running, or it is no socket)",
    PermissionError: "this user may not open it (it belongs to the user that the node runs as)",
    BlockingIOError: "the node does not take connections",
}
