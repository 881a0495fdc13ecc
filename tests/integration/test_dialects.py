"""Each kind of node, over a socket pair: recognised, read, and never asked what could harm it."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.guard import rpc
from support.in_process import BLOCKS, Node, serving, session_with
from support.listener import Connected

from telegraf_bitcoin_ipc.collect.events import ActiveChain
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tags import FEE_TARGETS
from telegraf_bitcoin_ipc.collect.tips import Tips
from telegraf_bitcoin_ipc.collect.values import Block
from telegraf_bitcoin_ipc.collector import Measurements
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.errors import CallFailed, NodeStopping, NodeUnavailable, PartlyFailed, UnsupportedNode
from telegraf_bitcoin_ipc.ipc import handshake, schema
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS, READ_ONLY, Dialect
from telegraf_bitcoin_ipc.ipc.handshake import Loading, open_session
from telegraf_bitcoin_ipc.ipc.origins import RPC, Polled
from telegraf_bitcoin_ipc.ipc.session import Session
from telegraf_bitcoin_ipc.simnode import connection as simnode_connection
from telegraf_bitcoin_ipc.simnode import servers
from telegraf_bitcoin_ipc.simnode.connection import Connection
from telegraf_bitcoin_ipc.simnode.rpc.errors import MISC_ERROR, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.service import ask, execute

ALL = [dialect.name for dialect in DIALECTS]
WITH_RPC = ["tracing", "chain", "stock"]
TIPS_ONLY = ["stock", "stock-31", "stock-30"]

VERSIONS = {"tracing": "/Satoshi:30.99.0/", "chain": "/Satoshi:30.99.0/", "stock": "/Satoshi:31.99.0/"}


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


@pytest.mark.parametrize("dialect", ALL)
def test_node_is_recognised(dialect: str) -> None:
    """Each kind of node is known by what it offers, and tells version and chain where it can."""

    async def main() -> None:
        node = Node()
        async with session_with(node, dialect) as session:
            assert session.dialect.name == dialect
            assert session.version == VERSIONS.get(dialect, "")
            assert session.chain == ("regtest" if dialect in WITH_RPC else "")
            assert dialect in str(session)
        assert node.aborts == []

    run(main())


@pytest.mark.parametrize("dialect", ALL)
def test_node_is_read(dialect: str) -> None:
    """Every call of the dialect's table is answered, and gives a value for each of its metrics."""

    async def main() -> None:
        node = busy_node()
        async with session_with(node, dialect) as session:
            known: dict[str, Any] = {}
            for source in session.dialect.polled():
                known |= await session.read(source)
            if session.dialect.statistics is not None:
                known |= await session.read(session.dialect.statistics.of_block(BLOCKS))
            polled = {name for name, origin in session.dialect.origins.items() if isinstance(origin, Polled)}
            assert {name for name, value in known.items() if value not in (None, {})} == polled
            assert (known["chain_height"], known["ibd"]) == (BLOCKS, 0)
            if dialect in WITH_RPC:
                assert (known["peers"], known["bytes_recv_total"]) == (5, 5000)
                assert known["fee_estimate_sat_per_vb"] == {"2": 12.0, "6": 5.0, "144": 1.0}
                assert known["last_block_transactions"] == 1
        assert node.aborts == []

    run(main())


@pytest.mark.parametrize("dialect", WITH_RPC)
def test_header(dialect: str) -> None:
    """A block's header says where it stands, also of the genesis block and of one off the active chain."""

    async def main() -> None:
        node = Node()
        async with session_with(node, dialect) as session:
            tip, before = (node.model.block(height).hash[::-1].hex() for height in (BLOCKS, BLOCKS - 1))
            genesis = node.model.block(0).hash[::-1].hex()
            assert await session.header(tip) == (tip, before, BLOCKS, 1)
            assert (await session.header(genesis))[1:3] == ("", 0)
            node.model.disconnect_tip()
            assert (await session.header(tip)).previous == before
            with pytest.raises(CallFailed, match="getblockheader: Block not found"):
                await session.header("00" * 32)

    run(main())


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("dialect", TIPS_ONLY)
def test_tips_are_told(dialect: str) -> None:
    """A node without notifications has its tips told: the present one, each new one, and then its stop."""

    async def main() -> None:
        node, told = Node(), list[Block]()

        async def take(tip: Block) -> None:
            told.append(tip)

        async with session_with(node, dialect) as session:
            task = asyncio.ensure_future(session.follow_tip(take))
            await until(lambda: len(told) == 1)
            await node.connect_block()
            await until(lambda: len(told) == 2)
            await node.perform("disconnect", node.model.disconnect_tip())
            await until(lambda: len(told) == 3)
            await node.shut_down()
            with pytest.raises(NodeUnavailable, match="the node is stopping"):
                await task
        assert [tip.height for tip in told] == [BLOCKS, BLOCKS + 1, BLOCKS]
        assert told[0].hash == told[2].hash == node.model.tip_hash[::-1].hex()
        assert node.aborts == []

    run(main())


def test_a_core_30_that_starts_is_left_alone() -> None:
    """A Core 30 that has not loaded its chain would be ended by any question: it is asked none."""

    async def main() -> None:
        node = Node(warmup=1000)
        with pytest.raises(NodeUnavailable, match="may be starting or stopping"):
            async with session_with(node, "stock-30", Loading(is_loaded=lambda: False)):
                pass
        assert not [method for method in node.calls if method.startswith("Mining.")]
        assert node.aborts == []

    run(main())


@pytest.mark.parametrize(
    ("dialect", "reason"),
    [
        ("stock", "the node is still starting (Loading block index…)"),
        ("stock-31", "the node is still starting"),
    ],
)
def test_a_node_whose_mining_waits_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, dialect: str, reason: str
) -> None:
    """From Core 31 on makeMining waits until the chain is loaded, and so does the session, which says so."""
    monkeypatch.setattr(handshake, "LOADING_HINT", 0.05)
    waits: list[str] = []

    async def main() -> None:
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
        assert node.aborts == []

    run(main())
    assert waits == [f"{reason}; waiting until its chain is loaded"]


@pytest.mark.parametrize(
    ("dialect", "reason"),
    [("stock", r"still starting \(Loading block index…\)$"), ("stock-31", r"still starting$")],
)
def test_the_wait_for_the_chain_has_a_limit(monkeypatch: pytest.MonkeyPatch, dialect: str, reason: str) -> None:
    """A node that goes on loading is given up after a while, in its own words where it has any."""
    monkeypatch.setattr(handshake, "LOADING_HINT", 0.05)

    async def main() -> None:
        node = Node(warmup=1000)
        with pytest.raises(NodeUnavailable, match=reason):
            async with session_with(node, dialect, Loading(limit=0.5)):
                pass
        assert not [method for method in node.calls if method.startswith("Mining.")]
        assert node.aborts == []

    run(main())


def test_a_core_31_that_stops_while_it_starts() -> None:
    """A Core 31 that gives up loading gives no Mining interface: that is a node that goes."""

    async def main() -> None:
        node = Node(warmup=1000)

        async def stop() -> None:
            await until(lambda: "Init.makeMining" in node.calls)
            await node.shut_down()

        stopping = asyncio.ensure_future(stop())
        with pytest.raises(NodeStopping):
            async with session_with(node, "stock-31"):
                pass
        await stopping
        assert node.aborts == []

    run(main())


STOPPING_QUESTIONS = {
    "tracing": "Node.shutdownRequested",
    "chain": "Node.shutdownRequested",
    "stock": "Init.makeMining",
    "stock-31": "Init.makeMining",
}
"""The question that each kind of node can be asked at any time, and that tells whether it is stopping."""


@pytest.mark.parametrize("dialect", STOPPING_QUESTIONS)
def test_a_node_that_stops_is_asked_nothing_else(dialect: str) -> None:
    """A node that is stopping is asked one safe question on a new connection, and nothing else."""

    async def main() -> None:
        node = Node()
        node.stopping = True
        with pytest.raises(NodeStopping):
            async with session_with(node, dialect):
                pass
        assert node.calls.pop(STOPPING_QUESTIONS[dialect]) == 1
        assert {method for method in node.calls if not method.startswith("Init.make")} <= {
            STOPPING_QUESTIONS[dialect]
        }
        assert node.aborts == []

    run(main())


@pytest.mark.parametrize("dialect", ["tracing", "chain"])
def test_a_node_that_starts_is_not_there_yet(dialect: str) -> None:
    """While the chain is being loaded nothing is asked that needs it, and the node's own words say why."""

    async def main() -> None:
        node = Node(warmup=1000)
        with pytest.raises(NodeUnavailable, match=r"the node is still starting \(Loading block index…\)"):
            async with session_with(node, dialect):
                pass
        assert node.calls["getnetworkinfo"] == 1
        assert not [method for method in node.calls if method.startswith(("Mining.", "Chain."))]
        assert node.aborts == []

    run(main())


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Read a frame of Cap'n Proto: its table of segments, and the segments."""
    head = await reader.readexactly(4)
    segments = int.from_bytes(head, "little") + 1
    table = await reader.readexactly(segments // 2 * 8 + 4)
    words = sum(struct.unpack_from(f"<{segments}I", table))
    return head + table + await reader.readexactly(8 * words)


def _unimplemented(frame: bytes) -> bytes:
    """Return an answer that a Python server gives for a method that it lacks as a node would give it."""
    if b"Method not implemented" not in frame and b"object has no attribute 'make" not in frame:
        return frame
    with rpc.Message.from_bytes(frame) as message:
        changed = message.as_builder()
    exception = getattr(changed, "return").exception
    exception.type = "unimplemented"
    return bytes(changed.to_bytes())


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
) -> None:
    try:
        while True:
            writer.write(change(await _frame(reader)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def partial_session(node: Node, dialect: str) -> AsyncIterator[Session]:
    """Hold a session with a node that may lack methods: pycapnp's servers have another word for it than a node."""
    ours, outer = socket.socketpair()
    inner, its = socket.socketpair()
    client_side = await asyncio.open_connection(sock=outer)
    node_side = await asyncio.open_connection(sock=inner)
    relays = [
        asyncio.ensure_future(_relay(client_side[0], node_side[1], lambda frame: frame)),
        asyncio.ensure_future(_relay(node_side[0], client_side[1], _unimplemented)),
    ]
    try:
        async with serving(its, node, dialect):
            with ours:
                async with open_session(ours) as session:
                    yield session
    finally:
        await asyncio.gather(*relays)


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
def test_a_node_that_offers_only_part(
    monkeypatch: pytest.MonkeyPatch, dialect: str, lacking: str, sentence: str
) -> None:
    """A node that lacks an interface that is needed is not served, and one sentence says which."""
    lack(monkeypatch, lacking)

    async def main() -> None:
        node = Node()
        with pytest.raises(UnsupportedNode) as raised:
            async with partial_session(node, dialect):
                pass
        assert str(raised.value) == sentence
        assert node.aborts == []

    run(main())


def test_without_tracing_a_node_is_of_the_dialect_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Tracing interface may be missing: everything else is served."""
    lack(monkeypatch, "makeTracing")

    async def main() -> None:
        async with partial_session(Node(), "tracing") as session:
            assert session.dialect.name == "chain"

    run(main())


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


def test_what_is_no_node_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stock node may come to have a method at the ordinal of makeNode: it is known as stock all the same."""
    make_another(monkeypatch, tmp_path / "schema")

    async def main() -> None:
        node = Node()
        async with session_with(node, "stock") as session:
            assert node.calls["Init.makeMining"] == 2
            assert session.dialect.name == "stock"
            assert (session.version, session.chain) == (VERSIONS["stock"], "regtest")
            for source in session.dialect.polled():
                await session.read(source)
        assert node.aborts == []

    run(main())


def refuse(monkeypatch: pytest.MonkeyPatch, methods: Collection[str]) -> None:
    """Have every stock node reply to methods as to any that its -rpcwhitelist leaves out."""

    async def allowed(text: str, answer: Any) -> str:
        return "null" if json.loads(text)["method"] in methods else await execute(text, answer)

    monkeypatch.setattr(simnode_connection, "execute", allowed)


INTRODUCTIONS = [("getnetworkinfo",), ("getblockchaininfo",), ("getnetworkinfo", "getblockchaininfo")]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("by", ["whitelist", "error"])
@pytest.mark.parametrize("methods", INTRODUCTIONS)
def test_a_node_that_does_not_introduce_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, methods: tuple[str, ...], by: str
) -> None:
    """A stock node that refuses to tell version or chain is served with all that it allows, and warned of once."""

    async def main() -> None:
        node, told = busy_node(), list[Block]()

        async def take(tip: Block) -> None:
            told.append(tip)

        if by == "whitelist":
            refuse(monkeypatch, methods)
        for method in methods if by == "error" else ():
            node.model.faults.fail(method, MISC_ERROR, "no luck")
        async with session_with(node, "stock") as session:
            assert session.dialect.name == "stock"
            assert session.version == ("" if "getnetworkinfo" in methods else VERSIONS["stock"])
            assert session.chain == ""
            (warning,) = warned(caplog)
            reason = "the node does not allow it" if by == "whitelist" else "no luck"
            assert warning.startswith(f"{methods[0]}: {reason}")
            failed = set()
            assert session.dialect.statistics is not None
            for source in [*session.dialect.polled(), session.dialect.statistics.of_block(BLOCKS)]:
                try:
                    assert (await session.read(source)).keys() == source.values.keys()
                except CallFailed:
                    failed.add(source.name)
            assert failed == set(methods)
            task = asyncio.ensure_future(session.follow_tip(take))
            await until(lambda: told)
            await node.shut_down()
            with pytest.raises(NodeUnavailable, match="the node is stopping"):
                await task
        assert [tip.height for tip in told] == [BLOCKS]
        assert node.aborts == []

    run(main())


def test_a_node_that_starts_and_does_not_introduce_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stock node that may not say that it still starts is waited for: makeMining answers when it has started."""
    refuse(monkeypatch, ("getnetworkinfo", "getblockchaininfo"))

    async def main() -> None:
        node = Node(warmup=1000)

        async def load() -> None:
            await until(lambda: "Init.makeMining" in node.calls)
            await node.load()

        loading = asyncio.ensure_future(load())
        async with session_with(node, "stock") as session:
            await loading
            _, ibd, *_ = session.dialect.polled()
            assert await session.read(ibd) == {"ibd": 0}
        assert node.aborts == []

    run(main())


def spoil(monkeypatch: pytest.MonkeyPatch, method: str, change: Callable[[Any, Any], Any]) -> None:
    """Have every node give another result of a method: what `change` makes of the parameters and the true one."""

    async def spoilt(node: Any, subversion: str, asked: str, params: Any) -> object:
        result = await ask(node, subversion, asked, params)
        return change(params, result) if asked == method else result

    monkeypatch.setattr(simnode_connection, "ask", spoilt)


@pytest.mark.parametrize("dialect", WITH_RPC)
@pytest.mark.parametrize("nonsense", [[], None, "x", 5])
def test_an_introduction_of_another_form(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, dialect: str, nonsense: object
) -> None:
    """Nonsense instead of a version: a stock node is served without it, of another kind it is not there yet."""
    spoil(monkeypatch, "getnetworkinfo", lambda params, result: nonsense)
    sentence = "getnetworkinfo: the answer is malformed"

    async def main() -> None:
        async with session_with(Node(), dialect) as session:
            assert (session.version, session.chain) == ("", "")
            assert warned(caplog) == [sentence]
            assert dialect == "stock"

    if dialect == "stock":
        run(main())
    else:
        with pytest.raises(NodeUnavailable, match=sentence):
            run(main())


class Watched:
    """A node that is polled as the plugin does it, all groups on, with a new block before each poll."""

    def __init__(self, node: Node, session: Session) -> None:
        self.node = node
        self._session = session
        self._store = Store(CHOOSABLE_GROUPS)
        self._measurements = Measurements(self._store, FEE_TARGETS, lambda: None, ())

    async def poll(self) -> set[str]:
        """Return the metrics that there are after another poll."""
        await self.node.connect_block()
        await self._measurements.poll(self._session, pushed=False)
        return {name for name, _, _ in self._store.samples()}

    @property
    def errors(self) -> dict[str, float]:
        """The failed polls by method, those that are 0 left out."""
        samples = [sample for sample in self._store.samples() if sample.name == "poll_errors_total"]
        return {tags[0][1]: number for _, tags, number in samples if number}


def own_metrics(dialect: Dialect, method: str) -> set[str]:
    """Return what a node tells by a method alone, and what is therefore absent when it fails."""
    return {
        metric
        for metric, origin in dialect.origins.items()
        if isinstance(origin, Polled) and origin.call.name == method and METRICS[metric].lifetime == "session"
    }


@pytest.mark.parametrize("dialect", ALL)
def test_a_failure_costs_its_own_metrics(dialect: str) -> None:
    """Each call that fails, in turn, makes its own metrics absent and no other, and counts under its name."""

    async def main() -> None:
        node = busy_node()
        async with session_with(node, dialect) as session:
            watched = Watched(node, session)
            everything = await watched.poll()
            sources = [*session.dialect.polled(), session.dialect.statistics]
            methods = [source.name for source in sources if source is not None]
            assert set().union(*(own_metrics(session.dialect, method) for method in methods)) <= everything
            failed: dict[str, float] = {}
            for method in methods:
                node.model.faults.fail(method, MISC_ERROR, "no luck")
                failed[method] = 1
                assert everything - await watched.poll() == own_metrics(session.dialect, method), method
                assert watched.errors == failed
                node.model.faults.heal(method)
                assert await watched.poll() == everything, method
                assert watched.errors == failed
        assert node.aborts == []

    run(main())


def without(name: str) -> Callable[[Any, Any], Any]:
    """Return what leaves a field out of a result."""
    return lambda params, result: {key: value for key, value in result.items() if key != name}


def each_with(**fields: object) -> Callable[[Any, Any], Any]:
    """Return what sets fields of each item of a result; None is null."""
    return lambda params, result: [{**item, **fields} for item in result]


@pytest.mark.parametrize("dialect", WITH_RPC)
@pytest.mark.parametrize(
    ("method", "change", "metric"),
    [
        ("getblockchaininfo", without("warnings"), "node_warnings"),
        ("getblockchaininfo", lambda params, result: {**result, "difficulty": "1"}, "difficulty"),
        ("getnetworkinfo", without("connections_in"), "peers_by_direction"),
        ("getpeerinfo", each_with(pingtime=None), "peer_ping_seconds"),
        ("getpeerinfo", each_with(bytesrecv_per_msg=None), "p2p_bytes_recv_total"),
    ],
)
def test_a_field_that_cannot_be_read_costs_itself(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    dialect: str,
    method: str,
    change: Callable[[Any, Any], Any],
    metric: str,
) -> None:
    """One field that is not what it should be makes one metric absent; it counts, and is warned of once."""

    async def main() -> None:
        node = busy_node()
        async with session_with(node, dialect) as session:
            watched = Watched(node, session)
            everything = await watched.poll()
            spoil(monkeypatch, method, change)
            lost = {metric} if METRICS[metric].lifetime == "session" else set()
            for failures in (1, 2):
                assert everything - await watched.poll() == lost
                assert watched.errors == {method: failures}
            (source,) = (source for source in session.dialect.polled() if source.name == method)
            with pytest.raises(PartlyFailed, match=f"{method}: the answer is malformed") as raised:
                await session.read(source)
            assert source.values.keys() - raised.value.values.keys() == {metric}
            assert [text for text in warned(caplog) if "fails" in text] == [f"{method} fails: {raised.value}"]
        assert node.aborts == []

    run(main())


@pytest.mark.parametrize("dialect", WITH_RPC)
def test_a_fee_target_that_fails_costs_itself(monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    """A target whose estimate fails leaves the others there; where all of them fail there is nothing."""

    def fail(params: Any, result: Any) -> Any:
        if params[0] in refused:
            raise RpcError(MISC_ERROR, f"no luck with {params[0]}")
        return result

    refused = {2}
    spoil(monkeypatch, "estimatesmartfee", fail)

    async def main() -> None:
        async with session_with(busy_node(), dialect) as session:
            *_, source = session.dialect.polled((2, 6, 144))
            with pytest.raises(PartlyFailed, match=r"^estimatesmartfee: no luck with 2 \(error -1\)$") as raised:
                await session.read(source)
            assert raised.value.values == {"fee_estimate_sat_per_vb": {"6": 5.0, "144": 1.0}}
            refused.update((6, 144))
            with pytest.raises(CallFailed, match="no luck with 2") as failed:
                await session.read(source)
            assert not isinstance(failed.value, PartlyFailed)

    run(main())


@pytest.mark.parametrize("dialect", WITH_RPC)
def test_only_harmless_methods_are_called(dialect: str) -> None:
    """Whatever is polled, looked up or worked out, the node is asked for the listed methods and no others."""

    async def main() -> None:
        node = busy_node()
        async with session_with(node, dialect) as session:
            watched = Watched(node, session)
            await watched.poll()
            await watched.poll()
            await session.header(node.model.tip_hash[::-1].hex())
            rpc_methods = {method for method in node.calls if "." not in method}
        assert rpc_methods == over_rpc(session.dialect) | {"getnetworkinfo", "getblockchaininfo", "getblockheader"}
        assert rpc_methods <= set(READ_ONLY)

    run(main())


def over_rpc(dialect: Dialect) -> set[str]:
    """Return the JSON-RPC methods of a dialect's table."""
    calls = [origin.call for origin in dialect.origins.values() if isinstance(origin, Polled)]
    return {call.method for call in calls if call.interface == RPC}


def test_each_method_is_called_by_some_dialect() -> None:
    """The list of methods that an operator is asked to allow has none that is never called."""
    assert set(READ_ONLY) == set().union(*map(over_rpc, DIALECTS)) | {"getblockheader"}


def test_a_header_that_fails_is_made_good() -> None:
    """Over a real session, too, blocks whose headers could not be had count with the next tip."""

    async def main() -> None:
        node, store = Node(), Store(["mempool", "blocks"])
        connected = Connected()
        async with session_with(node, "stock") as session:
            tips = Tips(store, ActiveChain(store, connected), lambda: False)

            async def follow(tip: Block) -> None:
                await tips.moved(tip, session)

            def value(name: str) -> float:
                return sum(sample.value for sample in store.samples() if sample.name == name)

            task = asyncio.ensure_future(session.follow_tip(follow))
            await until(lambda: value("block_height") == BLOCKS)
            node.model.faults.fail("getblockheader", MISC_ERROR, "no luck")
            await node.connect_block()
            await until(lambda: value("poll_errors_total") == 1)
            assert value("block_height") == BLOCKS + 1
            node.model.faults.heal("getblockheader")
            await node.connect_block()
            await until(lambda: value("blocks_connected_total") == 2)
            blocks = [node.model.block(height).hash[::-1].hex() for height in (BLOCKS + 1, BLOCKS + 2)]
            assert connected.hashes == blocks
            await node.shut_down()
            with pytest.raises(NodeUnavailable):
                await task
        assert node.aborts == []

    run(main())


@pytest.mark.parametrize("dialect", WITH_RPC)
def test_an_answer_of_another_form_fails(monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    """An answer that is JSON, and not what the method gives, costs its own values: nothing is made up of it."""

    async def main() -> None:
        node = Node()
        async with session_with(node, dialect) as session:
            sources = [source for source in session.dialect.polled() if source.call.interface == RPC]
            for source in sources:
                for nonsense in (None, "text", 5, [5], {"warnings": 5, "id": []}):
                    monkeypatch.setattr(session, "rpc", _always(nonsense))
                    with suppress(CallFailed):
                        values = await session.read(source)
                        assert all(
                            value is None or isinstance(value, int | float | dict) for value in values.values()
                        )
            monkeypatch.setattr(session, "rpc", _always({"height": "high"}))
            with pytest.raises(CallFailed, match="getblockheader: the answer is malformed"):
                await session.header("00" * 32)

    run(main())


def _always(result: object) -> Callable[..., Awaitable[object]]:
    async def rpc(method: str, *values: object) -> object:
        return result

    return rpc
