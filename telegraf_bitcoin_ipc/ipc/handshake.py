"""The begin and the end of a session: finds out what a node is, in an order in which no question can harm it.

What a real node forces on this module, and what happens otherwise:

* A node listens on its socket before its chain is loaded, and while it shuts down, which can take minutes. In
  both a call of a Chain or Mining method can abort it. So the first question is one that is always safe and
  answers whether the node is stopping: Node.shutdownRequested where there is a Node interface, and from Core 31 on
  makeMining, which gives nothing then and, while the chain is being loaded, waits. The JSON-RPC methods are safe
  while the chain is being loaded and say -28. Core 30 has no safe question at all: it is left alone unless its
  process shows that its chain is loaded.
* Ordinal 4 of Init is makeChain on one kind of node and makeRpc on the other. So the first question is for a
  method that only one kind has.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

import capnp

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
from telegraf_bitcoin_ipc.ipc.dialects import CHAIN, STOCK, STOCK_30, STOCK_31, TRACING, Dialect
from telegraf_bitcoin_ipc.ipc.session import Session

log = logging.getLogger(__name__)

THREADS: Final = ("poll", "subscribe", "tip")
"""Our threads in the node: a call that waits for a tip, or for its subscription, holds up no poll."""

LOADING_LIMIT: Final = 600.0
"""Seconds that one session waits for a node to load its chain, which takes hours with -reindex. Each session that
gives up leaves a call pending in the node until then, so this is long."""

IDLE_LIMIT: Final = 10.0
"""Seconds that a call under way has to return, without a guard to wait for it, before the socket is closed."""

LOADING_HINT: Final = 1.0
"""Seconds after which a makeMining that has not returned waits for the chain."""


STARTING: Final = "the node is still starting"


class Loading(NamedTuple):
    """How to wait for a node that is loading its chain.

    `is_loaded` says, without asking the node, whether it has. `limit` is in seconds; `on_wait` gets a sentence
    when the wait begins.
    """

    is_loaded: Callable[[], bool] = lambda: True
    limit: float = LOADING_LIMIT
    on_wait: Callable[[str], None] = log.warning


def prepare() -> None:
    """Load the schema that every session begins with; only the first time takes any."""
    schema.load(TRACING.name)


@asynccontextmanager
async def open_session(
    connection: socket.socket, patience: float | None = None, loading: Loading | None = None
) -> AsyncIterator[Session]:
    """Hold a session over a connected socket, which stays the caller's; at its end nothing is subscribed any more.

    The node has `patience` seconds to end them; without a limit (None) that takes as long as it takes. A limit is
    for a socket that leads to a guard, which goes on alone. Raises NodeUnavailable when the node goes, does not
    answer or is still starting, NodeStopping when it shuts down, and UnsupportedNode when it has no interface that
    is served.
    """
    # A descriptor of its own: the event loop must be the one that closes it, the caller closes the caller's.
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=connection.dup())
    client = capnp.TwoPartyClient(stream)
    threads: dict[str, ServerThread] = {}
    try:
        session = await _handshake(client, threads, loading or Loading())
        try:
            yield session
        finally:
            await _to_the_end(session.unsubscribe(), patience)
    finally:
        try:
            await _to_the_end(_idle(threads), IDLE_LIMIT if patience is None else patience)
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


async def _handshake(client: Any, threads: dict[str, ServerThread], loading: Loading) -> Session:
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
                if (await threads["poll"].call(node, "shutdownRequested")).result:
                    raise NodeStopping
                await session.introduce()  # from here on the chain is loaded
            except NotOffered:
                log.debug("what makeNode made is no Node: its ordinal is another method's here")
            else:
                return await _with_chain(init, session)
        return await _with_rpc(client, threads, loading) or await _with_mining(client, threads, loading)
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


async def _with_rpc(client: Any, threads: Mapping[str, ServerThread], loading: Loading) -> Session | None:
    """Return the session with a node of the dialect stock, None if it is not one."""
    init, loaded = _as(STOCK, client, threads)
    rpc = await offered(threads["poll"], init, "makeRpc")
    if rpc is None:
        return None
    session = Session(STOCK, {"rpc": rpc}, threads, loaded)
    mining = await _once_loaded(threads["tip"], init, loading, session.why_loading)
    if mining is None:
        raise UnsupportedNode("the node has the Rpc interface, and no Mining interface")
    session.capabilities["mining"] = mining
    try:
        await session.introduce()
    except CallFailed as error:  # not allowed, for instance
        log.warning("%s", error)
    return session


async def _with_mining(client: Any, threads: Mapping[str, ServerThread], loading: Loading) -> Session:
    """Return the session with a node that has no other interface than Mining."""
    init, loaded = _as(STOCK_31, client, threads)
    mining = await _once_loaded(threads["tip"], init, loading, _not_told)
    if mining is not None:
        return Session(STOCK_31, {"mining": mining}, threads, loaded)
    init, loaded = _as(STOCK_30, client, threads)
    mining = await offered(threads["poll"], init, "makeMining")
    if mining is None:
        raise UnsupportedNode("the node offers no interface that could be watched")
    if not loading.is_loaded():
        raise NodeUnavailable(
            "the node is a Bitcoin Core 30 that may be starting or stopping, when any question would abort it"
        )
    return Session(STOCK_30, {"mining": mining}, threads, loaded)


async def _once_loaded(
    thread: ServerThread, init: Any, loading: Loading, reason: Callable[[], Awaitable[str]]
) -> Any | None:
    """Return the Mining that Core 31 and later make once their chain is loaded; None where @3 is not makeMining.

    `reason` asks the node what it does meanwhile. Raises NodeStopping, and NodeUnavailable after the limit.
    """
    making = asyncio.ensure_future(offered(thread, init, "makeMining", limit=loading.limit))
    what = STARTING
    try:
        if not (await asyncio.wait({making}, timeout=LOADING_HINT))[0]:
            what = await reason() or STARTING
            loading.on_wait(f"{what}; waiting until its chain is loaded")
        return await making
    except GaveNothing:
        raise NodeStopping from None
    except NotAnswered as error:
        raise NodeUnavailable(what) from error
    finally:
        making.cancel()  # without effect where it is done


async def _not_told() -> str:
    return ""
