"""The session and the callbacks over a socket pair, in one loop with the simulated node's servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest
from support.in_process import Node, Sink, session_with, until

from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable, NotAnswered
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.ipc import session as session_module
from telegraf_bitcoin_ipc.ipc.callbacks import chain_notifications, utxo_cache_trace
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.simnode import connection, servers


def test_calls_on_one_thread_take_turns() -> None:
    """Many polls at once reach the node one by one: none is `thread busy`."""

    async def main() -> None:
        async with session_with(Node()) as session:
            sources = list(session.dialect.polled())
            answers = await asyncio.gather(*(session.read(source) for source in sources * 3))
            assert len(answers) == 3 * len(sources)

    run(main())


def test_a_call_without_an_answer_fails_and_is_left_alone() -> None:
    """After its time limit a call fails, its thread is not used before it was answered, and then it is again."""

    async def main() -> None:
        node = Node()
        async with session_with(node) as session:
            height, ibd, *_ = session.dialect.polled()
            thread = session.threads["poll"]
            async with node.validation:
                with pytest.raises(NotAnswered, match=r"no answer within 0\.1 seconds"):
                    await thread.call(session.capabilities["chain"], "getHeight", limit=0.1)
                with pytest.raises(NotAnswered, match="has not answered the previous call"):
                    await session.read(ibd)
            assert thread._pending is not None
            await asyncio.wait({thread._pending}, timeout=60)
            assert await session.read(height) == {"chain_height": 3}

    run(main())


def test_a_subscription_that_is_slow_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscribing call that was not answered in time is waited for at the next try: events come once each."""

    async def main() -> None:
        node, sink = Node(), Sink()
        async with session_with(node) as session:
            monkeypatch.setattr(connection, "CALL_SECONDS", 0.2)
            monkeypatch.setattr(session_module, "CALL_LIMIT", 0.05)
            with pytest.raises(CallFailed, match="no answer within"):
                await session.subscribe_chain(sink)
            monkeypatch.setattr(session_module, "CALL_LIMIT", 10)
            await session.subscribe_chain(sink)
            await session.subscribe_chain(sink)
            assert node.subscribers == 1
        assert node.aborts == []

    run(main())


def test_a_subscriber_that_raises_still_answers() -> None:
    """Whatever the counting does, the node gets an answer to each callback, and every event is tried."""

    def fail() -> None:
        raise RuntimeError("counting failed")

    async def main() -> None:
        node, sink = Node(), Sink(fail)
        async with session_with(node) as session:
            await session.subscribe_chain(sink)
            await session.subscribe_utxo_cache(sink)
            await node.connect_block()
        assert sink.taken == ["utxo", "block_connected", "tip_updated"]
        assert node.aborts == []

    run(main())


def test_leaving_ends_every_subscription_before_the_socket_closes() -> None:
    """At the end of a session the node has no subscriber left, and has seen no harm."""

    async def main() -> None:
        node = Node()
        async with session_with(node) as session:
            await session.subscribe_chain(Sink())
            await session.subscribe_utxo_cache(Sink())
            assert node.subscribers == 2
        assert node.subscribers == 0
        assert node.aborts == []

    run(main())


def test_a_cancelled_session_still_leaves_first() -> None:
    """A cancellation in the middle of leaving takes effect only after the node has let go."""

    async def main() -> None:
        node = Node()
        subscribed = asyncio.Event()

        async def watch() -> None:
            async with session_with(node) as session:
                await session.subscribe_chain(Sink())
                subscribed.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(watch())
        await subscribed.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert node.subscribers == 0
        assert node.aborts == []

    run(main())


def test_a_node_that_stops_ends_the_session() -> None:
    """The pending wait for a new tip tells that the node is stopping."""

    async def main() -> None:
        node = Node()
        async with session_with(node) as session:
            leaving: Coroutine[Any, Any, Any] = session.follow_tip()
            task = asyncio.ensure_future(leaving)
            await node.connect_block()
            assert not task.done()
            await node.shut_down()
            with pytest.raises(NodeUnavailable, match="the node is stopping"):
                await task

    run(main())


def test_a_busy_thread_does_not_end_the_session() -> None:
    """While the node's thread is busy the wait for the tip is repeated, and then it tells of the stop as ever."""

    async def main() -> None:
        node = Node()
        async with session_with(node) as session:
            node.model.faults.fail("Mining.waitTipChanged", 0, "thread busy")
            leaving: Coroutine[Any, Any, Any] = session.follow_tip()
            task = asyncio.ensure_future(leaving)
            await until(lambda: node.calls.get("Mining.waitTipChanged", 0) >= 3)
            node.model.faults.heal("Mining.waitTipChanged")
            await node.shut_down()
            with pytest.raises(NodeUnavailable, match="the node is stopping"):
                await task

    run(main())


def test_a_wait_for_the_tip_that_fails_ends_the_session() -> None:
    """A node that no longer tells of its stop is left."""

    async def main() -> None:
        node = Node()
        async with session_with(node) as session:
            node.model.faults.fail("Mining.waitTipChanged", 0, "no luck")
            with pytest.raises(NodeUnavailable, match="waitTipChanged: "):
                await session.follow_tip()
            assert node.calls["Mining.waitTipChanged"] == 1

    run(main())


@pytest.mark.parametrize("size", [31, 33])
def test_a_tip_of_another_form_is_a_failure(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A hash of another length is no tip: the node is not taken for one that tells of its stop."""
    monkeypatch.setattr(servers, "_tip", lambda node: {"hash": bytes(size), "height": 1})

    async def main() -> None:
        async with session_with(Node()) as session:
            with pytest.raises(CallFailed, match="the answer is malformed"):
                await session.probe_tip()
            assert not session.tip_works
            with pytest.raises(NodeUnavailable, match="the answer is malformed"):
                await session.follow_tip()

    run(main())


def test_a_node_that_tells_of_its_stop() -> None:
    """A node that gives its tip tells of its stop, too; one that fails, or is stopping, does not."""

    async def main() -> None:
        node = Node()
        async with session_with(node) as session:
            assert not session.tip_works
            await session.probe_tip()
            assert session.tip_works
            node.model.faults.fail("Mining.waitTipChanged", 0, "no luck")
            with pytest.raises(CallFailed, match="waitTipChanged: "):
                await session.probe_tip()
            assert not session.tip_works
            node.model.faults.heal("Mining.waitTipChanged")
            await node.shut_down()
            with pytest.raises(NodeUnavailable, match="the node is stopping"):
                await session.probe_tip()
            assert not session.tip_works

    run(main())


@pytest.mark.parametrize(("make", "interface"), [("chain", "ChainNotifications"), ("tracing", "UtxoCacheTrace")])
def test_no_callback_is_missing(make: str, interface: str) -> None:
    """Every method of both callback interfaces is there: a missing one would abort the node."""

    async def main() -> None:
        loaded = schema.load("tracing")
        server: Any = (chain_notifications if make == "chain" else utxo_cache_trace)(loaded, Sink())
        methods = getattr(getattr(loaded, make), interface).schema.methods
        assert [name for name in methods if not callable(getattr(server, name, None))] == []

    run(main())


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing.sock", "there is no such socket"),
        ("file", "nothing listens on it"),
        ("stale.sock", "nothing listens"),
    ],
)
def test_no_connection_gets_a_reason(tmp_path: Any, path: str, why: str) -> None:
    """A socket that cannot be connected to gives a sentence about what to look at."""
    (tmp_path / "file").write_text("")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale.sock"))
    with pytest.raises(NodeUnavailable, match=why):
        NodeSocket(str(tmp_path / path)).connect()


@pytest.mark.parametrize("method", ["stop", "getblock", "sendrawtransaction", "uptime ", "getPeerInfo", ""])
def test_other_methods_are_refused(method: str) -> None:
    """A JSON-RPC method that is not on the list of harmless ones never gets as far as the node."""

    async def main() -> None:
        node = Node()
        async with session_with(node) as session:
            before = node.calls
            with pytest.raises(ValueError, match="is not one of the read-only methods"):
                await session.rpc(method)
            assert node.calls == before

    run(main())
