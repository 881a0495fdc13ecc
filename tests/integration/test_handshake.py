"""The handshake with each kind of node: what is asked of one that starts, stops or offers only part."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.frames import rpc
from support.in_process import BLOCKS, VERSIONS, Node, relayed_session, session_with, until

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable, UnsupportedNode
from telegraf_bitcoin_ipc.ipc import handshake, schema
from telegraf_bitcoin_ipc.ipc.handshake import Loading
from telegraf_bitcoin_ipc.simnode import servers
from telegraf_bitcoin_ipc.simnode.connection import Connection

LOADING = r"the node is still starting \(Loading block index…\)$"


@pytest.mark.parametrize(
    ("dialect", "loading", "sentence"),
    [
        ("tracing", None, LOADING),
        ("chain", None, LOADING),
        ("stock", Loading(limit=0.5), LOADING),
        ("stock-31", Loading(limit=0.5), "the node is still starting$"),
        ("stock-30", Loading(is_loaded=lambda: False), "may be starting or stopping"),
    ],
)
async def test_a_node_that_goes_on_starting_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, dialect: str, loading: Loading | None, sentence: str
) -> None:
    """A node that loads its chain is asked nothing that needs it, and given up, in its own words if it has any."""
    monkeypatch.setattr(handshake, "LOADING_HINT", 0.05)
    node = Node(warmup=1000)
    with pytest.raises(NodeUnavailable, match=sentence):
        async with session_with(node, dialect, loading):
            pass
    assert not [method for method in node.calls if method.startswith(("Mining.", "Chain."))]
    if loading is None:
        assert node.calls["getnetworkinfo"] == 1


@pytest.mark.parametrize(
    ("dialect", "reason"),
    [("stock", "the node is still starting (Loading block index…)"), ("stock-31", "the node is still starting")],
)
async def test_a_node_whose_mining_waits_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, dialect: str, reason: str
) -> None:
    """From Core 31 on makeMining waits until the chain is loaded, and so does the session, which says so."""
    monkeypatch.setattr(handshake, "LOADING_HINT", 0.05)
    waits: list[str] = []
    node = Node(warmup=1000)

    async def load() -> None:
        await until(lambda: waits)
        assert not [method for method in node.calls if method.startswith("Mining.")]
        await node.load()

    loading = asyncio.ensure_future(load())
    async with session_with(node, dialect, Loading(on_wait=waits.append)) as session:
        await loading
        assert session.dialect.name == dialect
        known = [await session.read(source) for source in session.dialect.polled()]
        assert {"chain_height": BLOCKS}.items() <= {k: v for each in known for k, v in each.items()}.items()
    assert waits == [f"{reason}; waiting until its chain is loaded"]


async def test_a_core_31_that_stops_while_it_starts() -> None:
    """A Core 31 that gives up loading gives no Mining interface: that is a node that goes."""
    node = Node(warmup=1000)

    async def stop() -> None:
        await until(lambda: "Init.makeMining" in node.calls)
        await node.shut_down()

    stopping = asyncio.ensure_future(stop())
    with pytest.raises(NodeStopping):
        async with session_with(node, "stock-31"):
            pass
    await stopping


STOPPING_QUESTIONS = {
    "tracing": "Node.shutdownRequested",
    "chain": "Node.shutdownRequested",
    "stock": "Init.makeMining",
    "stock-31": "Init.makeMining",
}
"""The question that each kind of node can be asked at any time, and that tells whether it is stopping."""


@pytest.mark.parametrize("dialect", STOPPING_QUESTIONS)
async def test_a_node_that_stops_is_asked_nothing_else(dialect: str) -> None:
    """A node that is stopping is asked one safe question on a new connection, and nothing else."""
    node = Node()
    node.stopping = True
    with pytest.raises(NodeStopping):
        async with session_with(node, dialect):
            pass
    assert node.calls.pop(STOPPING_QUESTIONS[dialect]) == 1
    assert {method for method in node.calls if not method.startswith("Init.make")} <= {STOPPING_QUESTIONS[dialect]}


def unimplemented(is_node: bool, frame: bytes) -> bytes:
    """Return an answer that a Python server gives for a method that it lacks as a node would give it."""
    if b"Method not implemented" not in frame and b"object has no attribute 'make" not in frame:
        return frame
    with rpc.Message.from_bytes(frame) as message:
        changed = message.as_builder()
    exception = getattr(changed, "return").exception
    exception.type = "unimplemented"
    return bytes(changed.to_bytes())


def lack(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Have every simulated node lack a method of Init."""
    complete = servers._init

    def without(connection: Connection) -> Any:
        init = complete(connection)
        delattr(type(init), method)
        return init

    monkeypatch.setattr(servers, "_init", without)


@pytest.mark.parametrize(
    ("dialect", "lacking", "sentence"),
    [
        ("tracing", "makeChain", "the node has the Node interface, but no Chain interface"),
        ("tracing", "makeMining", "the node has the Node interface, but no Mining interface"),
        ("stock", "makeMining", "the node has the Rpc interface, but no Mining interface"),
        ("stock-30", "makeMining", "the node offers none of the supported interfaces"),
    ],
)
async def test_a_node_that_offers_only_part(
    monkeypatch: pytest.MonkeyPatch, dialect: str, lacking: str, sentence: str
) -> None:
    """A node that lacks an interface that is needed is not served, and one sentence says which."""
    lack(monkeypatch, lacking)
    node = Node()
    with pytest.raises(UnsupportedNode) as raised:
        async with relayed_session(node, dialect, unimplemented):
            pass
    assert str(raised.value) == sentence


async def test_without_tracing_a_node_is_of_the_dialect_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Tracing interface may be missing: everything else is served."""
    lack(monkeypatch, "makeTracing")
    async with relayed_session(Node(), "tracing", unimplemented) as session:
        assert session.dialect.name == "chain"


def make_another(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Have every simulated node of the dialect stock make something else at the ordinal of makeNode."""
    shutil.copytree(schema.directory(), directory)
    init = directory / "init" / "stock.capnp"
    methods, _, _ = init.read_text().rpartition("}")
    init.write_text(methods + "  makeAnother @5 (context :Context) -> (result :Mining);\n}\n")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "directory", lambda: directory)
        loaded = schema.load.__wrapped__("stock")
    complete = servers._init

    def with_another(connection: Connection) -> Any:
        connection.schema = loaded
        init = complete(connection)
        type(init).makeAnother = type(init).makeMining
        return init

    monkeypatch.setattr(servers, "_init", with_another)


async def test_what_is_no_node_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stock node may come to have a method at the ordinal of makeNode: it is known as stock all the same."""
    make_another(monkeypatch, tmp_path / "schema")
    node = Node()
    async with session_with(node, "stock") as session:
        assert node.calls["Init.makeMining"] == 3, "also as makeNode, and as makeChain"
        assert session.dialect.name == "stock"
        assert (session.version, session.chain) == (VERSIONS["stock"], "regtest")
        for source in session.dialect.polled():
            await session.read(source)
