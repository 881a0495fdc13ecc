"""One conversation with a node: handshake, dialect, calls, subscriptions, and a leave that does it no harm.

What a real node forces on this module, and what happens otherwise:

* Before its chain is loaded, a call of a Chain or Mining method aborts the node (an assertion on a pointer that
  is not set yet), while its IPC socket is already open. Node.executeRpc is safe at any time and says -28 until
  then. So nothing else is called before it has answered.
* A server thread does one call at a time, and a call that was sent cannot be taken back. A call that is not
  answered in time is therefore left alone; its thread is not used again before it has been answered.
* A socket with a subscription on it must not be closed: the node aborts. Nor must one with a call on it that is
  not answered, which kills a busy node once in some 30 times; waitTipChanged is the one exception.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, NoReturn, TypeVar

import capnp

from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable, NotOffered, UnsupportedNode
from telegraf_bitcoin_ipc.ipc import jsonrpc, schema
from telegraf_bitcoin_ipc.ipc.callbacks import (
    ChainSink,
    Subscriber,
    UtxoSink,
    chain_notifications,
    utxo_cache_trace,
)
from telegraf_bitcoin_ipc.ipc.dialects import CHAIN, TRACING, Dialect, Source

log = logging.getLogger(__name__)

CALL_LIMIT: Final = 10.0
"""Seconds that the node has for one answer; a block's validation can hold its lock for seconds."""

NO_TIP: Final = bytes(32)
"""A block hash that no tip has: the first wait returns the present tip at once."""

BUSY_PAUSE: Final = 0.01
"""Seconds to wait after the node said `thread busy`."""

UNANSWERED_WARNING: Final = 5.0
"""Seconds after which a node that does not let go of a subscription is mentioned in the log."""


ResultT = TypeVar("ResultT")


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run the program's main coroutine in an event loop that Cap'n Proto shares."""
    result: ResultT = asyncio.run(capnp.run(main))
    return result


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn whatever pycapnp raises into one of this program's errors; the only place that knows them."""
    try:
        yield
    except capnp.KjException as error:
        reason = _first_line(error)
        match error.type:
            case "DISCONNECTED":
                raise NodeUnavailable("the node closed the connection") from error
            case "UNIMPLEMENTED":
                raise NotOffered(f"{what}: the node does not offer it") from error
            case _:
                raise CallFailed(f"{what}: {reason}") from error


def _first_line(error: Exception) -> str:
    """Return the first line that says something; the message of a Python server ends in its traceback."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


class ServerThread:
    """One of the node's threads, made for us; it does one call at a time."""

    def __init__(self, thread: Any) -> None:
        """Use the node's Thread capability."""
        self.capability = thread
        self._lock = asyncio.Lock()
        self._unanswered: asyncio.Future[Any] | None = None

    async def call(
        self, capability: Any, method: str, *, limit: float | None = CALL_LIMIT, **arguments: Any
    ) -> Any:
        """Return the results of one call. Raises CallFailed when they do not come within `limit` seconds."""
        async with self._lock:
            if self._unanswered is not None and not self._unanswered.done():
                raise CallFailed(f"{method}: the node has not answered the call before it yet")
            call = self.begin(capability, method, **arguments)
            self._unanswered = call
            if not (await asyncio.wait({call}, timeout=limit))[0]:
                raise CallFailed(f"{method}: no answer within {limit:g} seconds")
            with translated(method):
                return call.result()

    def begin(self, capability: Any, method: str, **arguments: Any) -> asyncio.Future[Any]:
        """Send a call and return the future of its results, which nobody cancels."""
        with translated(method):
            promise = getattr(capability, method)(context={"thread": self.capability}, **arguments)
        call: asyncio.Future[Any] = asyncio.ensure_future(promise)
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        return call

    async def idle(self) -> None:
        """Wait until the node has answered the call that was sent last, however long that takes."""
        if self._unanswered is not None:
            await asyncio.wait({self._unanswered})


class Subscription:
    """One subscription: what the node calls, and what ends it.

    `request` is the call that was answered, or is still to be answered, with the handler.
    """

    def __init__(self, subscriber: Subscriber, request: asyncio.Future[Any]) -> None:
        """Stand for the request that was sent."""
        self.subscriber = subscriber
        self.request = request

    @property
    def failed(self) -> bool:
        """Whether the node has refused it."""
        return self.request.done() and self.request.exception() is not None

    async def end(self, thread: ServerThread) -> None:
        """Call Handler.disconnect and wait until the node has let go, however long that takes."""
        await asyncio.wait({self.request})
        if self.failed:
            return
        handler = self.request.result().result
        while True:
            try:
                await thread.call(handler, "disconnect")
                break
            except CallFailed as error:
                log.debug("a subscription has not ended yet: %s", error)
                await asyncio.sleep(BUSY_PAUSE)
        await self.subscriber.destroyed.wait()


class Session:
    """A node that answered: `dialect` says what it is, `info` its version and chain."""

    def __init__(
        self,
        dialect: Dialect,
        capabilities: Mapping[str, Any],
        threads: Mapping[str, ServerThread],
        loaded: Any,
    ) -> None:
        """Use what the handshake gave; see `open_session`."""
        self.dialect = dialect
        self.version = ""
        self.chain = ""
        self._capabilities = capabilities
        self._threads = threads
        self._schema = loaded
        self._subscriptions: dict[str, Subscription] = {}

    def __str__(self) -> str:
        """Say what is watched, in a few words."""
        return f"node {self.version or 'of unknown version'}, chain {self.chain or 'unknown'}, {self.dialect.name}"

    async def read(self, source: Source) -> dict[str, int | float | None]:
        """Make a source's call and return its values by metric; raises CallFailed or NodeUnavailable."""
        results = await self._threads["poll"].call(
            self._capabilities[source.interface], source.method, **source.arguments
        )
        return {metric: read(results) for metric, read in source.values.items()}

    async def subscribe_chain(self, sink: ChainSink) -> None:
        """Have the node call `sink` at every chain and mempool event; raises CallFailed."""
        subscriber = chain_notifications(self._schema, sink)
        await self._subscribe("chain", subscriber, "chain", "handleNotifications", notifications=subscriber)

    async def subscribe_utxo_cache(self, sink: UtxoSink) -> None:
        """Have the node call `sink` at everything that its UTXO cache does; raises CallFailed."""
        subscriber = utxo_cache_trace(self._schema, sink)
        await self._subscribe("utxo_cache", subscriber, "tracing", "traceUtxoCache", callback=subscriber)

    async def _subscribe(
        self, name: str, subscriber: Subscriber, interface: str, method: str, **arguments: Any
    ) -> None:
        subscription = self._subscriptions.get(name)
        if (
            subscription is None or subscription.failed
        ):  # else it stands, or may yet be answered: never a second one
            request = self._threads["subscribe"].begin(self._capabilities[interface], method, **arguments)
            subscription = self._subscriptions[name] = Subscription(subscriber, request)
        request = subscription.request
        if not (await asyncio.wait({request}, timeout=CALL_LIMIT))[0]:
            raise CallFailed(f"{method}: no answer within {CALL_LIMIT:g} seconds")
        with translated(method):
            request.result()

    async def until_it_leaves(self) -> NoReturn:
        """Wait until the node begins to stop, or is gone; then raise NodeUnavailable.

        A pending Mining.waitTipChanged returns without a tip as soon as the node has been told to stop. An idle
        node on regtest then aborts 0.09 s later if it still has a subscriber (measured). This is the one call
        that has no time limit: a guard repeats it by itself, and it ends with the connection.
        """
        tip = NO_TIP
        while True:
            try:
                answer = await self._threads["tip"].call(
                    self._capabilities["mining"], "waitTipChanged", currentTip=tip, limit=None
                )
            except CallFailed as error:  # without it the node's stop would go unnoticed
                raise NodeUnavailable(str(error)) from error
            tip = bytes(answer.result.hash)
            if not tip:
                raise NodeUnavailable("the node is stopping")

    async def unsubscribe(self) -> None:
        """End every subscription, one after another, and return when the node will not call any more.

        Takes as long as the node takes; returns early when the connection is lost, for then the node knows.
        """
        try:
            for name, subscription in reversed(self._subscriptions.items()):
                ending = asyncio.ensure_future(subscription.end(self._threads["subscribe"]))
                try:
                    while not (await asyncio.wait({ending}, timeout=UNANSWERED_WARNING))[0]:
                        log.warning("the node has not let go of the %s subscription yet; waiting for it", name)
                finally:
                    ending.cancel()  # without effect where it is done
                ending.result()
            if self._subscriptions:
                # Its next answer proves that the node has read our answers to its last calls.
                await _answer("getName", self._threads["subscribe"].capability.getName())
        except (NodeUnavailable, CallFailed) as error:
            log.debug("while unsubscribing: %s", error)


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


@asynccontextmanager
async def open_session(connection: socket.socket, patience: float | None = None) -> AsyncIterator[Session]:
    """Hold a session over a connected socket, which stays the caller's; at its end nothing is subscribed any more.

    The node has `patience` seconds to end them; without a limit (None) that takes as long as it takes. A limit is
    for a socket that leads to a guard, which goes on alone. Raises NodeUnavailable when the node goes, does not
    answer or is still starting, and UnsupportedNode when it has no interface that is served.
    """
    # A descriptor of its own: the event loop must be the one that closes it, the caller closes the caller's.
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=connection.dup())
    client = capnp.TwoPartyClient(stream)
    threads: dict[str, ServerThread] = {}
    try:
        session = await _handshake(client, threads)
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


async def _handshake(client: Any, threads: dict[str, ServerThread]) -> Session:
    """Find out what the node is, in an order in which no question can harm it; its `threads` are the caller's."""
    loaded = schema.load(TRACING.name)
    init = client.bootstrap().cast_as(loaded.init.Init)
    try:
        thread_map = (await _answer("construct", init.construct())).threadMap
        for name in ("poll", "subscribe", "tip"):
            threads[name] = await _make_thread(thread_map, name)
        thread = threads["poll"]
        node = await _offered(thread, init, "makeNode")
        if node is None:
            raise UnsupportedNode(await _not_served(client, thread))
        network = await _rpc(thread, node, "getnetworkinfo")
        blockchain = await _rpc(thread, node, "getblockchaininfo")
        # From here on the chain is loaded: see the module's first paragraph.
        tracing = await _offered(thread, init, "makeTracing")
        capabilities = {
            "node": node,
            "chain": await _offered(thread, init, "makeChain"),
            "mining": await _offered(thread, init, "makeMining"),
            "tracing": tracing,
        }
    except CallFailed as error:
        raise NodeUnavailable(str(error)) from error
    for name in ("chain", "mining"):
        if capabilities[name] is None:
            raise UnsupportedNode(f"the node has the Node interface, and no {name.capitalize()} interface")
    session = Session(TRACING if tracing is not None else CHAIN, capabilities, threads, loaded)
    session.version, session.chain = str(network.get("subversion", "")), str(blockchain.get("chain", ""))
    return session


async def _answer(what: str, promise: Any) -> Any:
    """Wait for a call that needs no server thread."""
    with translated(what):
        try:
            async with asyncio.timeout(CALL_LIMIT):
                return await promise
        except TimeoutError:
            raise CallFailed(f"{what}: no answer within {CALL_LIMIT:g} seconds") from None


async def _make_thread(thread_map: Any, name: str) -> ServerThread:
    thread = await _answer("makeThread", thread_map.makeThread(f"telegraf-bitcoin-ipc {name}"))
    return ServerThread(thread.result)


async def _offered(thread: ServerThread, init: Any, method: str) -> Any | None:
    """Return what an Init method makes, or None when the node does not have the method."""
    try:
        return (await thread.call(init, method)).result
    except NotOffered:
        return None


async def _rpc(thread: ServerThread, node: Any, method: str, *parameters: Any) -> Any:
    """Return a JSON-RPC method's result; raises NodeUnavailable while the node loads its chain."""
    answer = await thread.call(node, "executeRpc", command=method, params=jsonrpc.encode(parameters), uri="")
    return jsonrpc.decode(method, answer.result, answer.rpcError, answer.error)


async def _not_served(client: Any, thread: ServerThread) -> str:
    """Say what a node without the Node interface is."""
    for dialect, method, description in _STOCK:
        loaded = schema.load(dialect)
        init = client.bootstrap().cast_as(loaded.init.Init)
        its_thread = ServerThread(thread.capability.cast_as(loaded.proxy.Thread))
        try:
            if await _offered(its_thread, init, method) is not None:
                return f"{description} offers no Chain and Node interfaces; this version does not serve it yet"
        except CallFailed as error:
            log.debug("%s of a %s node: %s", method, dialect, error)
    return "the node offers no interface that could be watched"


_STOCK: Final = (
    ("stock", "makeRpc", "a stock node with JSON-RPC (Bitcoin Core 32 or later, dialect stock)"),
    ("stock-31", "makeMining", "a stock node (Bitcoin Core 31, dialect stock-31)"),
    ("stock-30", "makeMining", "a stock node (Bitcoin Core 30, dialect stock-30)"),
)
