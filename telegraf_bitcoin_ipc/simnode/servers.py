"""The simulated node's Cap'n Proto servers, created for each connection."""

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import capnp

from telegraf_bitcoin_ipc.simnode.connection import Connection, Method
from telegraf_bitcoin_ipc.simnode.mempool import MAX_USAGE
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.node import SimulatedNode, Subscription
from telegraf_bitcoin_ipc.simnode.rpc.errors import RpcError

NODE_NUMBERS: Final[Mapping[str, Callable[[Model], int]]] = {
    "getMempoolSize": lambda model: len(model.mempool),
    "getMempoolDynamicUsage": lambda model: model.mempool.usage,
    "getMempoolMaxUsage": lambda model: MAX_USAGE,
    "getTotalBytesRecv": lambda model: model.peers.bytes_received,
    "getTotalBytesSent": lambda model: model.peers.bytes_sent,
}
"""Methods of Node that are safe at any time, and the numbers that they return."""


async def serve(connection: Connection, stream: Any) -> None:
    """Serve one connection until it ends."""
    server = capnp.TwoPartyServer(stream, bootstrap=_init(connection))
    at_work = False  # if cancelled or closed: the node itself is ending
    with connection.node.slow_stop.connection() as closed:
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
    loaded, on_thread = connection.schema, connection.on_thread

    class ThreadMap(loaded.proxy.ThreadMap.Server):  # type: ignore[misc, name-defined]
        async def makeThread(self, name: str, **_: Any) -> Any:
            return connection.make_thread(name)

    class Init(loaded.init.Init.Server):  # type: ignore[misc, name-defined]
        async def construct(self, **_: Any) -> Any:
            return ThreadMap()

        @on_thread
        async def makeMining(self, **_: Any) -> Any:
            if connection.dialect.is_recent and not await connection.node.chain_loaded():
                return None  # no capability
            return _mining(connection)

    for name, make in {"Rpc": _rpc, "Chain": _chain, "Node": _node, "Tracing": _tracing}.items():
        setattr(Init, f"make{name}", on_thread(_method(f"make{name}", partial(make, connection))))
    return Init()


def _method(name: str, result: Callable[[], Any]) -> Method:
    """Return a method that returns a result and takes no parameters."""

    async def method(self: Any, **_: Any) -> Any:
        return result()

    method.__name__ = name
    return method


def _handler(connection: Connection, subscription: Subscription) -> Any:
    class Handler(connection.schema.handler.Handler.Server):  # type: ignore[misc, name-defined]
        destroying: asyncio.Task[None] | None = None

        @connection.on_thread
        async def disconnect(self, **_: Any) -> None:
            if self.destroying is None:
                self.destroying = await connection.node.unsubscribe(subscription)

    return Handler()


def _mining(connection: Connection) -> Any:
    node, on_thread = connection.node, connection.on_thread

    class Mining(connection.schema.mining.Mining.Server):  # type: ignore[misc, name-defined]
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
            known = bytes(currentTip)
            await node.until(lambda: node.stopping or node.model.tip_hash != known, timeout / 1000)
            if node.stopping:
                return None
            async with node.validation:
                return _tip(node)

    return Mining()


def _tip(node: SimulatedNode) -> dict[str, Any]:
    return {"hash": node.model.tip_hash, "height": node.model.height}


def _chain(connection: Connection) -> Any:
    node, on_thread = connection.node, connection.on_thread

    class Chain(connection.schema.chain.Chain.Server):  # type: ignore[misc, name-defined]
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
        async def shutdownRequested(self, **_: Any) -> bool:
            return node.stopping

        @on_thread
        async def handleNotifications(self, notifications: Any, **_: Any) -> Any:
            if node.slow_stop.torn_down or not connection.dialect.is_recent:
                node.need_chain()
            return _handler(connection, connection.subscribe("chain", notifications))

    return Chain()


def _rpc(connection: Connection) -> Any:
    class Rpc(connection.schema.rpc.Rpc.Server):  # type: ignore[misc, name-defined]
        @connection.on_thread
        async def executeRpc(self, request: str, **_: Any) -> str:
            return await connection.execute(request)

    return Rpc()


def _tracing(connection: Connection) -> Any:
    class Tracing(connection.schema.tracing.Tracing.Server):  # type: ignore[misc, name-defined]
        @connection.on_thread
        async def traceUtxoCache(self, callback: Any, **_: Any) -> Any:
            return _handler(connection, connection.subscribe("utxo_cache", callback))

    return Tracing()


def _node(connection: Connection) -> Any:
    node, on_thread = connection.node, connection.on_thread

    class Node(connection.schema.node.Node.Server):  # type: ignore[misc, name-defined]
        @on_thread
        async def shutdownRequested(self, **_: Any) -> bool:
            return node.stopping

        @on_thread
        async def getHeaderTip(self, **_: Any) -> Any:
            node.need_chain()
            async with node.validation:
                return node.model.header_height, node.model.chain.tip.time, True

        @on_thread
        async def getNodeCount(self, flags: int, **_: Any) -> int:
            peers = node.model.peers
            return peers.inbound * (flags & 1 > 0) + peers.outbound * (flags & 2 > 0)

        @on_thread
        async def getVerificationProgress(self, **_: Any) -> float:
            node.need_chain()
            async with node.validation:
                return node.model.verification_progress

        @on_thread
        async def executeRpc(self, command: str, params: str, **_: Any) -> Any:
            """Return (error, rpcError, result), of which one is not empty."""
            try:
                return "", "", json.dumps(await connection.ask(command, json.loads(params)))
            except RpcError as error:
                return "", json.dumps(error.as_object()), ""

    for name, read in NODE_NUMBERS.items():
        setattr(Node, name, on_thread(_method(name, partial(read, node.model))))
    return Node()
