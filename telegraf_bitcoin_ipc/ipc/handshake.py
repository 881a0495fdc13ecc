"""Opens and closes a session: detects the node's dialect, in an order in which no call can harm a node.

What real nodes require:

* A node listens on its socket before its chain is loaded, and while it shuts down, which can take minutes. In
  both states a Chain or Mining call can abort it. So the first call is one that is always safe and reports whether
  the node is stopping: Node.shutdownRequested if there is a Node interface, and from Core 31 on makeMining, which
  returns nothing while stopping and blocks while loading. JSON-RPC methods are safe while loading: they fail with
  -28. Core 30 has no safe call at all: it is not used unless its process shows that its chain is loaded.
* Init has other methods at the same ordinals in other dialects: 4 is makeChain or makeRpc, 5 makeNode or
  makeChain, 7 makeTracing or a method with parameters, which must never be called. So ordinal 5 is asked first:
  what it makes answers to Node's methods or not. Nothing that is not known of a dialect is ever called.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import capnp

from telegraf_bitcoin_ipc.aio import wait_at_most
from telegraf_bitcoin_ipc.collect.dialect import Dialect
from telegraf_bitcoin_ipc.errors import (
    CallFailed,
    NodeStopping,
    NodeUnavailable,
    NotAnswered,
    NotOffered,
    UnsupportedNode,
)
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.ipc.calls import GaveNothing, ServerThread, answer, offered
from telegraf_bitcoin_ipc.ipc.dialects import CHAIN, STOCK, STOCK_30, STOCK_31, STOCK_CHAIN, TRACING
from telegraf_bitcoin_ipc.ipc.jsonrpc import JsonRpc
from telegraf_bitcoin_ipc.ipc.session import Session

log = logging.getLogger(__name__)

THREADS: Final = ("poll", "subscribe", "tip")
"""Our threads in the node: a call that waits for a tip, or for a subscription, delays no poll."""

LOADING_LIMIT: Final = 600.0
"""Seconds that a session waits for a node to load its chain, which takes hours with -reindex. Long, because each
session that gives up leaves a call pending in the node."""

IDLE_LIMIT: Final = 10.0
"""Seconds that a pending call may take before the socket is closed, without a guard to wait for it."""

LOADING_HINT: Final = 1.0
"""Seconds after which a makeMining call that has not returned is assumed to wait for the chain."""

WITH_RPC: Final = (STOCK, STOCK_CHAIN)
"""The dialects with JSON-RPC of its own; each adds interfaces to the one before. Its Init has no other methods."""

STARTING: Final = "the node is still starting"


class Loading(NamedTuple):
    """How to wait for a node that is loading its chain.

    `is_loaded` returns whether it has, without a call to the node. `limit` is in seconds; `on_wait` gets a
    sentence when the wait begins.
    """

    is_loaded: Callable[[], bool] = lambda: True
    limit: float = LOADING_LIMIT
    on_wait: Callable[[str], None] = log.warning


@asynccontextmanager
async def open_session(
    connection: socket.socket, patience: float | None = None, loading: Loading | None = None
) -> AsyncIterator[Session]:
    """Open a session over a connected socket, which remains the caller's; unsubscribe everything at its end.

    Unsubscribing may take `patience` seconds, or has no limit (None). A limit is only for a socket that leads to a
    guard, which finishes on its own. Raises NodeUnavailable if the node closes the connection, does not answer or
    is still starting, NodeStopping if it shuts down, and UnsupportedNode if it has no supported interface.
    """
    # A duplicate, because the event loop must close its descriptor itself; the caller closes its own.
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=connection.dup())
    client = capnp.TwoPartyClient(stream)
    threads: dict[str, ServerThread] = {}
    try:
        session = await _handshake(client, threads, loading or Loading())
        try:
            yield session
        finally:
            await _finish(session.unsubscribe(), patience)
    finally:
        try:
            # The call that waits for a tip may stay pending.
            idle = asyncio.gather(*(thread.idle() for name, thread in threads.items() if name != "tip"))
            await _finish(idle, IDLE_LIMIT if patience is None else patience)
        finally:
            client.close()
            stream.close()


async def _finish(work: Awaitable[Any], limit: float | None) -> None:
    """Finish the work, or stop it after `limit` seconds; a cancellation takes effect only after that."""
    task = asyncio.ensure_future(wait_at_most(work, limit))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    if cancelled is not None:
        raise cancelled
    task.result()


async def _handshake(client: Any, threads: dict[str, ServerThread], loading: Loading) -> Session:
    """Find out the dialect and return the session; fills the caller's `threads`."""
    try:
        init, loaded = _speak(TRACING, client, threads)
        thread_map = (await answer("construct", init.construct())).threadMap
        for name in THREADS:
            made = await answer("makeThread", thread_map.makeThread(f"telegraf-bitcoin-ipc {name}"))
            threads[name] = ServerThread(made.result)
        return (
            await _with_node(init, loaded, threads)
            or await _with_rpc(client, threads, loading)
            or await _with_mining(client, threads, loading)
        )
    except CallFailed as error:
        raise NodeUnavailable(str(error)) from error


def _speak(dialect: Dialect, client: Any, threads: Mapping[str, ServerThread]) -> tuple[Any, Any]:
    """Return the node's Init in a dialect's schema, and the schema; casts the threads to it as well."""
    loaded = schema.load(dialect.name)
    for thread in threads.values():
        thread.capability = thread.capability.cast_as(loaded.proxy.Thread)
    return client.bootstrap().cast_as(loaded.init.Init), loaded


async def _with_node(init: Any, loaded: Any, threads: Mapping[str, ServerThread]) -> Session | None:
    """Return the session with a node of the dialects tracing and chain; None if it is neither."""
    thread = threads["poll"]
    node = await offered(thread, init, "makeNode")
    if node is None:
        return None
    rpc = JsonRpc(thread=thread, node=node)
    try:
        if (await thread.call(node, "shutdownRequested")).result:
            raise NodeStopping
        version = await rpc.version()
        chain = await rpc.chain()  # once this succeeds the chain is loaded
    except NotOffered:
        log.debug("makeNode did not make a Node: this node has another method at its ordinal")
        return None
    capabilities = {"node": node}
    for name, method in (("tracing", "makeTracing"), ("chain", "makeChain"), ("mining", "makeMining")):
        if (capability := await offered(thread, init, method)) is not None:
            capabilities[name] = capability
        elif name != "tracing":
            raise UnsupportedNode(f"the node has the Node interface, but no {name.capitalize()} interface")
    dialect = TRACING if "tracing" in capabilities else CHAIN
    return Session(dialect, capabilities, threads, loaded, rpc, version, chain)


async def _with_rpc(client: Any, threads: Mapping[str, ServerThread], loading: Loading) -> Session | None:
    """Return the session with a node of the dialect stock, or of one that adds to it; None if it is another."""
    init, loaded = _speak(WITH_RPC[-1], client, threads)
    capability = await offered(threads["poll"], init, "makeRpc")
    if capability is None:
        return None
    rpc = JsonRpc(thread=threads["poll"], rpc=capability)
    mining = await _once_loaded(threads["tip"], init, loading, rpc)
    if mining is None:
        raise UnsupportedNode("the node has the Rpc interface, but no Mining interface")
    capabilities = {"mining": mining, "rpc": capability}
    dialect = await _richest(capabilities, threads["poll"], init)
    version = chain = ""
    try:
        version = await rpc.version()
        chain = await rpc.chain()
    except CallFailed as error:  # not allowed, for instance
        log.warning("%s", error)
    return Session(dialect, capabilities, threads, loaded, rpc, version, chain)


async def _richest(capabilities: dict[str, Any], thread: ServerThread, init: Any) -> Dialect:
    """Return the richest of the dialects with JSON-RPC, and fill `capabilities`. Raises NodeStopping."""
    dialect, *richer = WITH_RPC
    for each in richer:
        added: dict[str, Any] = {}
        for name in schema.INTERFACES[each.name]:
            if name in capabilities or name == schema.HANDLER:
                continue
            made = await offered(thread, init, f"make{name.capitalize()}")
            if made is None or (name == "chain" and not await _is_chain(made, thread)):
                return dialect
            added[name] = made
        capabilities |= added
        dialect = each
    return dialect


async def _is_chain(made: Any, thread: ServerThread) -> bool:
    """Return whether what was made is a Chain, by its one call that is always safe. Raises NodeStopping."""
    try:
        if (await thread.call(made, "shutdownRequested")).result:
            raise NodeStopping
    except NotOffered:
        return False
    return True


async def _with_mining(client: Any, threads: Mapping[str, ServerThread], loading: Loading) -> Session:
    """Return the session with a node that has only the Mining interface."""
    init, loaded = _speak(STOCK_31, client, threads)
    mining = await _once_loaded(threads["tip"], init, loading, None)
    if mining is not None:
        return Session(STOCK_31, {"mining": mining}, threads, loaded)
    init, loaded = _speak(STOCK_30, client, threads)
    mining = await offered(threads["poll"], init, "makeMining")
    if mining is None:
        raise UnsupportedNode("the node offers none of the supported interfaces")
    if not loading.is_loaded():
        raise NodeUnavailable(
            "the node is a Bitcoin Core 30 that may be starting or stopping: any call could abort it"
        )
    return Session(STOCK_30, {"mining": mining}, threads, loaded)


async def _once_loaded(thread: ServerThread, init: Any, loading: Loading, rpc: JsonRpc | None) -> Any | None:
    """Return the Mining that Core 31 and later make once loaded; None if Init's method @3 is not makeMining.

    `rpc` tells what the node is doing meanwhile. Raises NodeStopping, and NodeUnavailable after `loading.limit`.
    """
    making = asyncio.ensure_future(offered(thread, init, "makeMining", limit=loading.limit))
    what = STARTING
    try:
        if not (await asyncio.wait({making}, timeout=LOADING_HINT))[0]:
            what = (await _why_loading(rpc) if rpc else "") or STARTING
            loading.on_wait(f"{what}; waiting until its chain is loaded")
        return await making
    except GaveNothing:
        raise NodeStopping from None
    except NotAnswered as error:
        raise NodeUnavailable(what) from error
    finally:
        making.cancel()  # no effect if it is done


async def _why_loading(rpc: JsonRpc) -> str:
    """Return the node's own message about what it is loading; empty if there is none."""
    try:
        await rpc("getblockchaininfo")
    except NodeUnavailable as error:
        return str(error)
    except CallFailed as error:
        log.debug("%s", error)
    return ""
