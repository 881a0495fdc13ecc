"""The begin and the end of a session: finds out what a node is, in an order in which no question can harm it.

What a real node forces on this module, and what happens otherwise:

* A node listens on its socket before its chain is loaded. Until then a call of a Chain method, or (Core 30 and
  the tracing node) of a Mining method, aborts it. The JSON-RPC methods are safe at any time and say -28 until
  then, so they are asked first; from Core 31 on makeMining itself waits. Core 30 has no safe question at all: it
  is left alone until its process shows that it is far enough.
* Ordinal 4 of Init is makeChain on one kind of node and makeRpc on the other. So the first question is for a
  method that only one kind has.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import capnp

from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable, NotOffered, UnsupportedNode
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.ipc.calls import CALL_LIMIT, ServerThread, answer, offered
from telegraf_bitcoin_ipc.ipc.dialects import CHAIN, STOCK, STOCK_30, STOCK_31, TRACING, Dialect
from telegraf_bitcoin_ipc.ipc.session import Session

log = logging.getLogger(__name__)

THREADS: Final = ("poll", "subscribe", "tip")
"""Our threads in the node: a call that waits for a tip, or for its subscription, holds up no poll."""


def prepare() -> None:
    """Load the schema that every session begins with; only the first time takes any."""
    schema.load(TRACING.name)


@asynccontextmanager
async def open_session(
    connection: socket.socket, patience: float | None = None, is_loaded: Callable[[], bool] = lambda: True
) -> AsyncIterator[Session]:
    """Hold a session over a connected socket, which stays the caller's; at its end nothing is subscribed any more.

    The node has `patience` seconds to end them; without a limit (None) that takes as long as it takes. A limit is
    for a socket that leads to a guard, which goes on alone. `is_loaded` says, without asking the node, whether it
    has loaded its chain. Raises NodeUnavailable when the node goes, does not answer or is still starting, and
    UnsupportedNode when it has no interface that is served.
    """
    # A descriptor of its own: the event loop must be the one that closes it, the caller closes the caller's.
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=connection.dup())
    client = capnp.TwoPartyClient(stream)
    threads: dict[str, ServerThread] = {}
    try:
        session = await _handshake(client, threads, is_loaded)
        try:
            yield session
        finally:
            await _to_the_end(session.unsubscribe(), patience)
    finally:
        try:
            await _to_the_end(_idle(threads), patience)
        finally:
            client.close()
            stream.close()


async def _idle(threads: Mapping[str, ServerThread]) -> None:
    """Wait until no call is under way but the one that waits for a tip."""
    for name, thread in threads.items():
        if name != "tip":
            await thread.idle()


async def _to_the_end(work: Coroutine[Any, Any, None], limit: float | None) -> None:
    """Do the work whole, or for `limit` seconds; a cancellation takes effect after it."""

    async def limited() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await work

    task = asyncio.ensure_future(limited())
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    if cancelled is not None:
        raise cancelled
    task.result()


async def _handshake(client: Any, threads: dict[str, ServerThread], is_loaded: Callable[[], bool]) -> Session:
    """Find out what the node is; its `threads` are the caller's."""
    try:
        init, loaded = _as(TRACING, client, threads)
        thread_map = (await answer("construct", init.construct())).threadMap
        for name in THREADS:
            made = await answer("makeThread", thread_map.makeThread(f"telegraf-bitcoin-ipc {name}"))
            threads[name] = ServerThread(made.result)
        node = await offered(threads["poll"], init, "makeNode")
        if node is not None:
            session = Session(CHAIN, {"node": node}, threads, loaded)
            try:
                await session.introduce()  # from here on the chain is loaded
            except NotOffered:
                log.debug("what makeNode made is no Node: its ordinal is another method's here")
            else:
                return await _with_chain(init, session)
        return await _with_rpc(client, threads) or await _with_mining(client, threads, is_loaded)
    except CallFailed as error:
        raise NodeUnavailable(str(error)) from error


def _as(dialect: Dialect, client: Any, threads: Mapping[str, ServerThread]) -> tuple[Any, Any]:
    """Speak a dialect's schema: return its Init and the schema. A capability knows the schema that it came by."""
    loaded = schema.load(dialect.name)
    for thread in threads.values():
        thread.capability = thread.capability.cast_as(loaded.proxy.Thread)
    return client.bootstrap().cast_as(loaded.init.Init), loaded


async def _with_chain(init: Any, session: Session) -> Session:
    """Make the session with a node of the dialects tracing and chain whole, and return it."""
    for name, method in (("tracing", "makeTracing"), ("chain", "makeChain"), ("mining", "makeMining")):
        if (capability := await offered(session.threads["poll"], init, method)) is not None:
            session.capabilities[name] = capability
        elif name != "tracing":
            raise UnsupportedNode(f"the node has the Node interface, and no {name.capitalize()} interface")
    if "tracing" in session.capabilities:
        session.dialect = TRACING
    return session


async def _with_rpc(client: Any, threads: Mapping[str, ServerThread]) -> Session | None:
    """Return the session with a node of the dialect stock, None if it is not one."""
    init, loaded = _as(STOCK, client, threads)
    rpc = await offered(threads["poll"], init, "makeRpc")
    if rpc is None:
        return None
    session = Session(STOCK, {"rpc": rpc}, threads, loaded)
    try:
        await session.introduce()
    except CallFailed as error:  # not allowed, for instance: makeMining waits until the chain is loaded, too
        log.warning("%s", error)
    mining = await _once_loaded(threads["poll"], init)
    if mining is None:
        raise UnsupportedNode("the node has the Rpc interface, and no Mining interface")
    session.capabilities["mining"] = mining
    return session


async def _with_mining(client: Any, threads: Mapping[str, ServerThread], is_loaded: Callable[[], bool]) -> Session:
    """Return the session with a node that has no other interface than Mining."""
    init, loaded = _as(STOCK_31, client, threads)
    mining = await _once_loaded(threads["poll"], init)
    if mining is not None:
        return Session(STOCK_31, {"mining": mining}, threads, loaded)
    init, loaded = _as(STOCK_30, client, threads)
    mining = await offered(threads["poll"], init, "makeMining")
    if mining is None:
        raise UnsupportedNode("the node offers no interface that could be watched")
    if not is_loaded():
        raise NodeUnavailable(
            "the node is a Bitcoin Core 30 that may still be starting, and would abort if it was asked anything"
        )
    return Session(STOCK_30, {"mining": mining}, threads, loaded)


async def _once_loaded(thread: ServerThread, init: Any) -> Any | None:
    """Return the Mining that Core 31 and later make when their chain is loaded, however long that takes."""
    making = asyncio.ensure_future(offered(thread, init, "makeMining", limit=None))
    try:
        if not (await asyncio.wait({making}, timeout=CALL_LIMIT))[0]:
            log.warning("the node is still starting; waiting until its chain is loaded")
        return await making
    finally:
        making.cancel()  # without effect where it is done
