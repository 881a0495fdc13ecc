"""The simulated node's Cap'n Proto servers: one connection's view of it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from itertools import count
from typing import Any, Final

import capnp

from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.simnode import jsonrpc
from telegraf_bitcoin_ipc.simnode.node import SimulatedNode, Subscription

CALL_SECONDS: Final = 0.0002
"""What a call takes on a real node's server thread, round trip (measured 200-350 us)."""

RPC_IN_WARMUP: Final = -28

SURVIVES_A_LOST_CONNECTION: Final = "waitTipChanged"
"""The call that may be under way when its connection is lost; the others abort a node (measured)."""

INBOUND: Final = 1
OUTBOUND: Final = 2
"""Flags of Node.getNodeCount."""


class ThreadBusy(RuntimeError):
    """A second call came to a server thread that is at work (libmultiprocess before 8)."""


def on_thread(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Run a server's method on the server thread that its context names."""

    @wraps(method)
    async def served(self: Any, context: Any, **arguments: Any) -> Any:
        async with self.connection.at_work(context, method.__name__):
            return await method(self, **arguments)

    return served


class Connection:
    """One client: its server threads and its subscriptions."""

    def __init__(self, node: SimulatedNode, dialect: str) -> None:
        """Serve `node` in a dialect."""
        self.node = node
        self.schema = schema.load(dialect)
        self.client_threads: Any = None
        self.subscriptions: list[Subscription] = []
        self.lost_at_work = False  # on a call that this harms
        self._busy: dict[str, bool] = {}
        self._numbers = count(1)

    def make_thread(self, name: str) -> Any:
        """Return a Thread server, known by a name that no other has."""
        unique = f"simnode-{next(self._numbers)} (from {name})"
        self._busy[unique] = False

        class Thread(self.schema.proxy.Thread.Server):  # type: ignore[misc, name-defined]
            async def getName(self, **_: Any) -> str:
                return unique

        return Thread()

    @asynccontextmanager
    async def at_work(self, context: Any, method: str) -> AsyncIterator[None]:
        """Occupy the server thread that a call names; it does one call at a time."""
        name = (await context.thread.getName()).result
        if self._busy[name]:
            raise ThreadBusy("std::exception: thread busy")
        self._busy[name] = True
        try:
            await asyncio.sleep(CALL_SECONDS)
            yield
        except asyncio.CancelledError:  # whoever called has gone
            self.lost_at_work |= method != SURVIVES_A_LOST_CONNECTION
            raise
        finally:
            self._busy[name] = False

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
    at_work = False  # where this is cancelled: then it is the node that ends
    try:
        await server.on_disconnect()
        at_work = connection.lost_at_work
    finally:
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

        @on_thread
        async def makeMining(self, **_: Any) -> Any:
            return _mining(connection)

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
            subscription = connection.subscription(notifications)
            node.subscribe_chain(subscription)
            return _handler(connection, subscription)

    return Chain()


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
            return (model.inbound if flags & INBOUND else 0) + (model.outbound if flags & OUTBOUND else 0)

        @on_thread
        async def getTotalBytesRecv(self, **_: Any) -> int:
            return model.bytes_recv

        @on_thread
        async def getTotalBytesSent(self, **_: Any) -> int:
            return model.bytes_sent

        @on_thread
        async def executeRpc(self, command: str, params: str, **_: Any) -> Any:
            """Return (error, rpcError, result), of which one is not empty."""
            if not node.loaded:
                return "", json.dumps({"code": RPC_IN_WARMUP, "message": "Loading block index…"}), ""
            try:
                result = jsonrpc.answer(
                    model,
                    command,
                    json.loads(params),
                    now=int(time.time()),
                    started=node.started_at,
                )
            except jsonrpc.RpcError as error:
                return "", json.dumps({"code": error.code, "message": error.message}), ""
            return "", "", json.dumps(result)

    return Node()
