"""The simulated node's Cap'n Proto servers: one connection's view of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from itertools import count
from typing import Any, Final

import capnp

from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.simnode.dialects import DIALECTS
from telegraf_bitcoin_ipc.simnode.node import CALL_TOO_MANY, SimulatedNode, Subscription
from telegraf_bitcoin_ipc.simnode.rpc.envelope import execute
from telegraf_bitcoin_ipc.simnode.rpc.errors import RpcError
from telegraf_bitcoin_ipc.simnode.rpc.service import ask

CALL_SECONDS: Final = 0.0002
"""What a call takes on a real node's server thread, round trip (measured 200-350 us)."""

SURVIVES_A_LOST_CONNECTION: Final = "waitTipChanged"
"""The call that may be under way when its connection is lost on any dialect; on some the others abort a node."""

OLD_MINING: Final = "std::exception: Old mining interface (@2) not supported. Please update your client!"
"""What Init.makeMiningOld2 answers."""

INBOUND: Final = 1
OUTBOUND: Final = 2
"""Flags of Node.getNodeCount."""


class ThreadBusy(RuntimeError):
    """A second call came to a server thread that is at work (libmultiprocess 7)."""


def on_thread(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Run a server's method on the server thread that its context names, unless it is to fail."""

    @wraps(method)
    async def served(self: Any, context: Any, **arguments: Any) -> Any:
        name = f"{type(self).__name__}.{method.__name__}"
        node = self.connection.node
        node.journal.called(name)
        async with self.connection.at_work(context, self, method.__name__):
            if failure := await node.fault(name):
                raise RuntimeError(f"std::exception: {failure.message}")
            return await method(self, **arguments)

    return served


class Connection:
    """One client: its server threads and its subscriptions."""

    def __init__(self, node: SimulatedNode, dialect: str) -> None:
        """Serve `node` in a dialect."""
        self.node = node
        self.schema = schema.load(dialect)
        self.dialect = DIALECTS[dialect]
        self.client_threads: Any = None
        self.subscriptions: list[Subscription] = []
        self.lost_at_work = False  # on a call that this harms
        self._threads: dict[str, asyncio.Lock] = {}
        self._at_work: dict[str, tuple[Any, str]] = {}  # the call that a thread does, or did last
        self._hung: set[str] = set()
        self._numbers = count(1)

    def make_thread(self, name: str) -> Any:
        """Return a Thread server, known by a name that no other has."""
        unique = f"simnode-{next(self._numbers)} (from {name})"
        self._threads[unique] = asyncio.Lock()

        class Thread(self.schema.proxy.Thread.Server):  # type: ignore[misc, name-defined]
            async def getName(self, **_: Any) -> str:
                return unique

        return Thread()

    @asynccontextmanager
    async def at_work(self, context: Any, server: Any, method: str) -> AsyncIterator[None]:
        """Occupy the server thread that a call names; it does one call at a time."""
        name = (await context.thread.getName()).result
        thread, call = self._threads[name], (server, method)
        if thread.locked():
            if method == "disconnect" and self._at_work[name] == call:
                self._hung.add(name)  # a real node's thread then waits for itself
                await asyncio.Event().wait()
            self._second_call()
        try:
            async with thread:
                self._at_work[name] = call
                await asyncio.sleep(CALL_SECONDS)
                yield
                if name in self._hung:
                    await asyncio.Event().wait()
        except asyncio.CancelledError:  # whoever called has gone
            self.lost_at_work |= not self.dialect.survives_lost_calls and method != SURVIVES_A_LOST_CONNECTION
            raise

    def _second_call(self) -> None:
        """Do what the dialect's library does with a call on a thread that is at work, unless it is to wait."""
        if self.dialect.second_call == "thread busy":
            raise ThreadBusy("std::exception: thread busy")
        if self.dialect.second_call == "abort":
            self.node.abort(CALL_TOO_MANY)

    def ask(self, method: str, params: Any) -> Coroutine[Any, Any, object]:
        """Ask the node for a JSON-RPC method."""
        return ask(self.node, self.dialect.subversion, method, params)

    def callback_context(self) -> dict[str, Any]:
        """Return what a node sends with a callback: two Thread capabilities."""
        context = {"callbackThread": self.make_thread("callback")}
        if self.client_threads is not None:
            context["thread"] = self.client_threads.makeThread("simnode scheduler").result
        return context

    def subscription(self, callback: Any) -> Subscription:
        """Return a new subscription of this connection."""
        subscription = Subscription(callback, self.callback_context)
        self.subscriptions.append(subscription)
        return subscription


async def serve(connection: Connection, stream: Any) -> None:
    """Serve one connection until it ends."""
    server = capnp.TwoPartyServer(stream, bootstrap=_init(connection))
    at_work = False  # where this is cancelled, or closed: then it is the node that ends
    with connection.node.connection() as closed:
        ends = [asyncio.ensure_future(server.on_disconnect()), asyncio.ensure_future(closed.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            at_work = connection.lost_at_work and not closed.is_set()
        finally:
            for end in ends:
                end.cancel()
            stream.close()
            connection.node.connection_lost(connection.subscriptions, at_work=at_work)


def _init(connection: Connection) -> Any:
    """Return the dialect's Init. A method that a dialect lacks is not in its schema: it is unimplemented."""
    loaded = connection.schema

    class ThreadMap(loaded.proxy.ThreadMap.Server):  # type: ignore[misc, name-defined]
        async def makeThread(self, name: str, **_: Any) -> Any:
            return connection.make_thread(name)

    class Init(loaded.init.Init.Server):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.connection = connection

        async def construct(self, threadMap: Any, **_: Any) -> Any:
            return ThreadMap()

        async def makeMiningOld2(self, **_: Any) -> None:
            raise RuntimeError(OLD_MINING)

        @on_thread
        async def makeMining(self, **_: Any) -> Any:
            if connection.dialect.mining_waits and not await connection.node.chain_loaded():
                return None  # no capability
            return _mining(connection)

        @on_thread
        async def makeRpc(self, **_: Any) -> Any:
            return _rpc(connection)

        @on_thread
        async def makeChain(self, **_: Any) -> Any:
            return _chain(connection)

        @on_thread
        async def makeNode(self, **_: Any) -> Any:
            return _node(connection)

        @on_thread
        async def makeTracing(self, **_: Any) -> Any:
            return _tracing(connection)

    return Init()


def _handler(connection: Connection, subscription: Subscription) -> Any:
    class Handler(connection.schema.handler.Handler.Server):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.connection = connection
            self.destroying: asyncio.Task[None] | None = None

        @on_thread
        async def disconnect(self, **_: Any) -> None:
            if self.destroying is None:
                self.destroying = await connection.node.unsubscribe(subscription)

        @on_thread
        async def destroy(self, **_: Any) -> None:
            pass

    return Handler()


def _mining(connection: Connection) -> Any:
    node = connection.node

    class Mining(connection.schema.mining.Mining.Server):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.connection = connection

        @on_thread
        async def isTestChain(self, **_: Any) -> bool:
            node.need_chain()
            return True

        @on_thread
        async def isInitialBlockDownload(self, **_: Any) -> bool:
            node.need_chain()
            return node.model.ibd

        @on_thread
        async def getTip(self, **_: Any) -> Any:
            node.need_chain()
            async with node.validation:
                return _tip(node), True

        @on_thread
        async def waitTipChanged(self, currentTip: bytes, timeout: float, **_: Any) -> Any:
            node.need_chain()
            await node.wait_tip_changed(bytes(currentTip), timeout / 1000)
            if node.stopping:
                return None
            async with node.validation:
                return _tip(node)

    return Mining()


def _tip(node: SimulatedNode) -> dict[str, Any]:
    return {"hash": node.model.tip_hash, "height": node.model.height}


def _chain(connection: Connection) -> Any:
    node = connection.node

    class Chain(connection.schema.chain.Chain.Server):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.connection = connection

        @on_thread
        async def getHeight(self, **_: Any) -> Any:
            node.need_chain()
            async with node.validation:
                return node.model.height, True

        @on_thread
        async def isInitialBlockDownload(self, **_: Any) -> bool:
            node.need_chain()
            return node.model.ibd

        @on_thread
        async def handleNotifications(self, notifications: Any, **_: Any) -> Any:
            node.need_chain()
            subscription = connection.subscription(notifications)
            node.subscribe_chain(subscription)
            return _handler(connection, subscription)

    return Chain()


def _rpc(connection: Connection) -> Any:
    class Rpc(connection.schema.rpc.Rpc.Server):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.connection = connection

        @on_thread
        async def executeRpc(self, request: str, **_: Any) -> str:
            return await execute(request, connection.ask)

    return Rpc()


def _tracing(connection: Connection) -> Any:
    class Tracing(connection.schema.tracing.Tracing.Server):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.connection = connection

        @on_thread
        async def traceUtxoCache(self, callback: Any, **_: Any) -> Any:
            subscription = connection.subscription(callback)
            connection.node.subscribe_utxo(subscription)
            return _handler(connection, subscription)

    return Tracing()


def _node(connection: Connection) -> Any:
    node, model = connection.node, connection.node.model

    class Node(connection.schema.node.Node.Server):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.connection = connection

        @on_thread
        async def shutdownRequested(self, **_: Any) -> bool:
            return node.stopping

        @on_thread
        async def getHeaderTip(self, **_: Any) -> Any:
            node.need_chain()
            async with node.validation:
                return model.header_height, model.tip_time, True

        @on_thread
        async def getVerificationProgress(self, **_: Any) -> float:
            node.need_chain()
            async with node.validation:
                return model.verification_progress

        @on_thread
        async def getMempoolSize(self, **_: Any) -> int:
            return model.mempool_size

        @on_thread
        async def getMempoolDynamicUsage(self, **_: Any) -> int:
            return model.mempool_usage_bytes

        @on_thread
        async def getMempoolMaxUsage(self, **_: Any) -> int:
            return model.mempool_max_bytes

        @on_thread
        async def getNodeCount(self, flags: int, **_: Any) -> int:
            peers = model.peers
            return (peers.inbound if flags & INBOUND else 0) + (peers.outbound if flags & OUTBOUND else 0)

        @on_thread
        async def getTotalBytesRecv(self, **_: Any) -> int:
            return model.bytes_recv

        @on_thread
        async def getTotalBytesSent(self, **_: Any) -> int:
            return model.bytes_sent

        @on_thread
        async def executeRpc(self, command: str, params: str, **_: Any) -> Any:
            """Return (error, rpcError, result), of which one is not empty."""
            try:
                return "", "", json.dumps(await connection.ask(command, json.loads(params)))
            except RpcError as error:
                return "", json.dumps(error.as_object()), ""

    return Node()
