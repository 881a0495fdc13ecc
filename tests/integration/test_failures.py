"""What a node does not answer, or answers badly: it costs its own metrics and no others."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any

import pytest
from support.in_process import BLOCKS, VERSIONS, WITH_RPC, Node, busy_node, session_with, spoil, until

from telegraf_bitcoin_ipc.collect.dialect import Dialect, Polled
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tags import FEE_TARGETS
from telegraf_bitcoin_ipc.collect.values import Block
from telegraf_bitcoin_ipc.collector import Measurements
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable, PartlyFailed
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS
from telegraf_bitcoin_ipc.ipc.session import Session
from telegraf_bitcoin_ipc.simnode import connection as simnode_connection
from telegraf_bitcoin_ipc.simnode.rpc.errors import MISC_ERROR, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.service import execute

ALL = [dialect.name for dialect in DIALECTS]


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
async def test_a_node_that_does_not_introduce_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, methods: tuple[str, ...], by: str
) -> None:
    """A stock node that refuses to tell version or chain is served with all that it allows, and warned of once."""
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


async def test_a_node_that_starts_and_does_not_introduce_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stock node that may not say that it still starts is waited for: makeMining answers when it has started."""
    refuse(monkeypatch, ("getnetworkinfo", "getblockchaininfo"))
    node = Node(warmup=1000)

    async def load() -> None:
        await until(lambda: "Init.makeMining" in node.calls)
        await node.load()

    loading = asyncio.ensure_future(load())
    async with session_with(node, "stock") as session:
        await loading
        _, ibd, *_ = session.dialect.polled()
        assert await session.read(ibd) == {"ibd": 0}


@pytest.mark.parametrize("dialect", WITH_RPC)
@pytest.mark.parametrize("nonsense", [[], None, "x", 5])
async def test_an_introduction_of_another_form(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, dialect: str, nonsense: object
) -> None:
    """Nonsense instead of a version: a stock node is served without it, of another kind it is not there yet."""
    spoil(monkeypatch, "getnetworkinfo", lambda params, result: nonsense)
    sentence = "getnetworkinfo: the answer is malformed"
    served = dialect in ("stock", "stock-chain")
    with nullcontext() if served else pytest.raises(NodeUnavailable, match=sentence):
        async with session_with(Node(), dialect) as session:
            assert (session.version, session.chain) == ("", "")
            assert warned(caplog) == [sentence]


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
async def test_a_failure_costs_its_own_metrics(dialect: str) -> None:
    """Each call that fails, in turn, makes its own metrics absent and no other, and counts under its name."""
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
            node.model.faults.heal(method)  # the next poll shows that its metrics are there again
        assert await watched.poll() == everything
        assert watched.errors == failed


def without(name: str) -> Callable[[Any, Any], Any]:
    """Return what leaves a field out of a result."""
    return lambda params, result: {key: value for key, value in result.items() if key != name}


def each_with(**fields: object) -> Callable[[Any, Any], Any]:
    """Return what sets fields of each item of a result; None is null."""
    return lambda params, result: [{**item, **fields} for item in result]


DAMAGED: list[tuple[str, Callable[[Any, Any], Any], str]] = [
    ("getblockchaininfo", without("warnings"), "node_warnings"),
    ("getblockchaininfo", lambda params, result: {**result, "difficulty": "1"}, "difficulty"),
    ("getnetworkinfo", without("connections_in"), "peers_by_direction"),
    ("getpeerinfo", each_with(pingtime=None), "peer_ping_seconds"),
    ("getpeerinfo", each_with(bytesrecv_per_msg=None), "p2p_bytes_recv_total"),
]
"""Methods, what is wrong with their results, and the metric that this costs."""


@pytest.mark.parametrize("dialect", WITH_RPC)
async def test_a_field_that_cannot_be_read_costs_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, dialect: str
) -> None:
    """One field that is not what it should be makes one metric absent; it counts, and is warned of once."""
    node = busy_node()
    async with session_with(node, dialect) as session:
        watched = Watched(node, session)
        everything = await watched.poll()
        sources = {source.name: source for source in session.dialect.polled()}
        for method, change, metric in DAMAGED:
            caplog.clear()
            lost = {metric} if METRICS[metric].lifetime == "session" else set()
            errors = watched.errors
            with monkeypatch.context() as damage:
                spoil(damage, method, change)
                for failures in (1, 2):
                    assert everything - await watched.poll() == lost
                    assert watched.errors == {**errors, method: errors.get(method, 0) + failures}
                with pytest.raises(PartlyFailed, match=f"{method}: the answer is malformed") as raised:
                    await session.read(sources[method])
            assert sources[method].values.keys() - raised.value.values.keys() == {metric}
            assert [text for text in warned(caplog) if "fails" in text] == [f"{method} fails: {raised.value}"]
            assert await watched.poll() == everything


@pytest.mark.parametrize("dialect", WITH_RPC)
async def test_a_fee_target_that_fails_costs_itself(monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    """A target whose estimate fails leaves the others there; where all of them fail there is nothing."""

    def fail(params: Any, result: Any) -> Any:
        if params[0] in refused:
            raise RpcError(MISC_ERROR, f"no luck with {params[0]}")
        return result

    refused = {2}
    spoil(monkeypatch, "estimatesmartfee", fail)
    async with session_with(busy_node(), dialect) as session:
        *_, source = session.dialect.polled((2, 6, 144))
        with pytest.raises(PartlyFailed, match=r"^estimatesmartfee: no luck with 2 \(error -1\)$") as raised:
            await session.read(source)
        assert raised.value.values == {"fee_estimate_sat_per_vb": {"6": 5.0, "144": 1.0}}
        refused.update((6, 144))
        with pytest.raises(CallFailed, match="no luck with 2") as failed:
            await session.read(source)
        assert not isinstance(failed.value, PartlyFailed)
