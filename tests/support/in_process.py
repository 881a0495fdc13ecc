"""A session with a simulated node in this process, over a socket pair."""

from __future__ import annotations

import asyncio
import io
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import capnp
import pytest

from telegraf_bitcoin_ipc.guard.stream import FrameSplitter
from telegraf_bitcoin_ipc.ipc.handshake import Loading, open_session
from telegraf_bitcoin_ipc.ipc.session import Session
from telegraf_bitcoin_ipc.simnode import connection as simnode_connection
from telegraf_bitcoin_ipc.simnode.connection import Connection
from telegraf_bitcoin_ipc.simnode.journal import Journal
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.node import SimulatedNode
from telegraf_bitcoin_ipc.simnode.rpc.service import ask
from telegraf_bitcoin_ipc.simnode.servers import serve

NOW = 1_700_000_000
BLOCKS = 3

VERSIONS = {
    "tracing": "/Satoshi:30.99.0/",
    "chain": "/Satoshi:30.99.0/",
    "stock-chain": "/Satoshi:31.99.0/",
    "stock": "/Satoshi:31.99.0/",
}
"""What nodes with JSON-RPC say of themselves."""

WITH_RPC = tuple(VERSIONS)


class Node(SimulatedNode):
    """A node of three blocks; what would abort it only makes a line in `aborts`."""

    def __init__(self, warmup: float = 0.0) -> None:
        model = Model(rng=random.Random(1), now=NOW, blocks=BLOCKS)
        self._said = io.StringIO()
        super().__init__(model, Journal(self._said), strict=False, warmup=warmup, patience=60.0)

    async def connect_block(self) -> None:
        """Connect a block, and wait until every subscriber has taken it."""
        await self.perform("block", self.model.connect_block(NOW + 600))
        await self.settle("block")

    async def load(self) -> None:
        """Have the chain loaded, whatever is left of the warm-up."""
        self.model.loaded = True
        await self.perform("load", [])

    @property
    def calls(self) -> dict[str, int]:
        """How often each method was called, of Cap'n Proto (`Chain.getHeight`) and of JSON-RPC (`uptime`)."""
        self.journal.write("asked")
        last: dict[str, Any] = json.loads(self._said.getvalue().splitlines()[-1])
        return {**last["calls"], **last["rpc_calls"]}


def busy_node() -> Node:
    """Return a node that has a value for every metric."""
    node = Node()
    model = node.model
    model.peers.change(inbound=2, outbound=3)
    model.peers.traffic(5000, 4000)
    model.peers.ban(2)
    model.fee_estimates = {2: 12.0, 6: 5.0, 144: 1.0}
    model.indexes = {"txindex": None, "coinstatsindex": 1}
    model.prune(0)
    return node


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


class Sink:
    """Takes every event, and does what it was told to with it."""

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self.taken: list[str] = []
        self._act = act

    def __getattr__(self, name: str) -> Callable[..., None]:
        def take(*_: Any, **__: Any) -> None:
            self.taken.append(name)
            self._act()

        return take


@asynccontextmanager
async def serving(connection: socket.socket, node: SimulatedNode, dialect: str) -> AsyncIterator[None]:
    """Have a node serve a connected socket; fail if anything done to it would have aborted it."""
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=connection)
    task = asyncio.ensure_future(serve(Connection(node, dialect), stream))
    try:
        yield
    finally:
        await asyncio.wait([task], timeout=60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert node.aborts == []


@asynccontextmanager
async def session_with(
    node: SimulatedNode, dialect: str = "tracing", loading: Loading | None = None
) -> AsyncIterator[Session]:
    """Hold a session with a node; `loading` says how to wait for its chain."""
    ours, its = socket.socketpair()
    async with serving(its, node, dialect):
        with ours:
            async with open_session(ours, loading=loading) as session:
                yield session


class Writers(NamedTuple):
    """What is written to the client, and to the node."""

    client: asyncio.StreamWriter
    node: asyncio.StreamWriter


Listen = Callable[[bool, AsyncIterator[bytes], Writers], Coroutine[Any, Any, None]]
"""Takes all frames of the node (True) or of the client."""


@asynccontextmanager
async def session_by(node: SimulatedNode, dialect: str, listen: Listen) -> AsyncIterator[Session]:
    """Hold a session with a node, with somebody in between who listens to both."""
    ours, outer = socket.socketpair()
    inner, its = socket.socketpair()
    from_client, to_client = await asyncio.open_connection(sock=outer)
    from_node, to_node = await asyncio.open_connection(sock=inner)
    listening = [
        asyncio.ensure_future(listen(False, _frames_of(from_client), Writers(to_client, to_node))),
        asyncio.ensure_future(listen(True, _frames_of(from_node), Writers(to_client, to_node))),
    ]
    try:
        async with serving(its, node, dialect):
            with ours:
                async with open_session(ours) as session:
                    yield session
    finally:
        await asyncio.gather(*listening)


async def _frames_of(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    splitter = FrameSplitter()
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            for frame in splitter.feed(data)[0]:
                yield bytes(frame)


@asynccontextmanager
async def relayed_session(
    node: SimulatedNode, dialect: str, heard: Callable[[bool, bytes], bytes]
) -> AsyncIterator[Session]:
    """Hold a session of which every frame passes `heard`.

    That is told whether it was the node that spoke, and the frame, and returns what the other side gets.
    """

    async def relay(is_node: bool, frames: AsyncIterator[bytes], writers: Writers) -> None:
        writer = writers.client if is_node else writers.node
        async for frame in frames:
            writer.write(heard(is_node, frame))
        writer.close()

    async with session_by(node, dialect, relay) as session:
        yield session


def spoil(monkeypatch: pytest.MonkeyPatch, method: str, change: Callable[[Any, Any], Any]) -> None:
    """Have every node give another result of a method: what `change` makes of the parameters and the true one."""

    async def spoilt(node: Any, subversion: str, asked: str, params: Any) -> object:
        result = await ask(node, subversion, asked, params)
        return change(params, result) if asked == method else result

    monkeypatch.setattr(simnode_connection, "ask", spoilt)
