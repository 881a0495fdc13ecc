"""The session and the callbacks over a socket pair, in one loop with the simulated node's servers."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from support.frames import SERVER_THREAD, interface_id, method_id, reading
from support.in_process import Node, Sink, relayed_session, session_with, until

from telegraf_bitcoin_ipc.errors import CallFailed, NodeStopping, NodeUnavailable, NotAnswered
from telegraf_bitcoin_ipc.guard import contract
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.ipc import session as session_module
from telegraf_bitcoin_ipc.ipc.callbacks import chain_notifications, utxo_cache_trace
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.simnode import connection, servers
from telegraf_bitcoin_ipc.simnode.node import DESTROY


async def test_calls_on_one_thread_take_turns() -> None:
    """Many polls at once reach the node one by one: none is `thread busy`."""
    async with session_with(Node()) as session:
        sources = list(session.dialect.polled())
        answers = await asyncio.gather(*(session.read(source) for source in sources * 3))
        assert len(answers) == 3 * len(sources)


async def test_a_call_without_an_answer_fails_and_is_left_alone() -> None:
    """After its time limit a call fails, its thread is not used before it was answered, and then it is again."""
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


async def test_a_subscription_that_is_slow_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscribing call that was not answered in time is waited for at the next try: events come once each."""
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


async def test_a_subscriber_that_raises_still_answers_and_leaves() -> None:
    """Whatever the counting does, the node gets an answer to each callback, and has no subscriber at the end."""

    def fail() -> None:
        raise RuntimeError("counting failed")

    node, sink = Node(), Sink(fail)
    async with session_with(node) as session:
        await session.subscribe_chain(sink)
        await session.subscribe_utxo_cache(sink)
        assert node.subscribers == 2
        await node.connect_block()
    assert node.subscribers == 0
    assert sink.taken == ["utxo", "block_connected", "tip_updated"]


async def test_a_cancelled_session_still_leaves_first() -> None:
    """A cancellation in the middle of leaving takes effect only after the node has let go."""
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


async def test_the_stop_alone_ends_the_wait_for_a_tip() -> None:
    """A new tip, or a busy thread of the node, has the wait repeated; a node that stops ends the session."""
    node = Node()

    def waits() -> int:
        return node.calls.get("Mining.waitTipChanged", 0)

    async with session_with(node) as session:
        task = asyncio.ensure_future(session.follow_tip())
        await until(lambda: waits() == 2)
        node.model.faults.fail("Mining.waitTipChanged", 0, "thread busy")
        await node.connect_block()
        await until(lambda: waits() >= 4)
        node.model.faults.heal("Mining.waitTipChanged")
        healed = waits()
        await node.connect_block()  # for a wait that was under way
        await until(lambda: waits() > healed)
        assert not task.done()
        await node.shut_down()
        with pytest.raises(NodeUnavailable, match="the node is stopping"):
            await task


@pytest.mark.parametrize("size", [31, 33])
async def test_a_tip_of_another_form_is_a_failure(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A hash of another length is no tip: the node is not taken for one that tells of its stop."""
    monkeypatch.setattr(servers, "_tip", lambda node: {"hash": bytes(size), "height": 1})
    async with session_with(Node()) as session:
        with pytest.raises(CallFailed, match="the answer is malformed"):
            await session.probe_tip()
        assert not session.tip_works
        with pytest.raises(NodeUnavailable, match="the answer is malformed"):
            await session.follow_tip()


async def test_a_node_that_tells_of_its_stop() -> None:
    """A node that gives its tip tells of its stop, too; one that fails, or is stopping, does not, and is left."""
    node = Node()
    async with session_with(node) as session:
        assert not session.tip_works
        await session.probe_tip()
        assert session.tip_works
        node.model.faults.fail("Mining.waitTipChanged", 0, "no luck")
        with pytest.raises(CallFailed, match="waitTipChanged: "):
            await session.probe_tip()
        assert not session.tip_works
        with pytest.raises(NodeUnavailable, match="waitTipChanged: "):
            await session.follow_tip()
        assert node.calls["Mining.waitTipChanged"] == 3, "each of them once"
        node.model.faults.heal("Mining.waitTipChanged")
        await node.shut_down()
        with pytest.raises(NodeUnavailable, match="the node is stopping"):
            await session.probe_tip()
        assert not session.tip_works


async def test_no_callback_is_missing() -> None:
    """Every method of both callback interfaces is there: a missing one would abort the node."""
    loaded = schema.load("tracing")
    for make, interface in (
        (chain_notifications, loaded.chain.ChainNotifications),
        (utxo_cache_trace, loaded.tracing.UtxoCacheTrace),
    ):
        server: Any = make(loaded, Sink())
        assert [name for name in interface.schema.methods if not callable(getattr(server, name, None))] == []


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
async def test_other_methods_are_refused(method: str) -> None:
    """A JSON-RPC method that is not on the list of harmless ones never gets as far as the node."""
    node = Node()
    async with session_with(node) as session:
        before = node.calls
        with pytest.raises(ValueError, match="is not one of the read-only methods"):
            await session.rpc(method)
        assert node.calls == before


# Its end

NAMES = {
    contract.EXECUTE_BY_RPC: "executeRpc",
    (contract.MINING, contract.WAIT_TIP_CHANGED): "waitTipChanged",
    (contract.HANDLER, contract.DISCONNECT): "disconnect",
    (interface_id(SERVER_THREAD), method_id(SERVER_THREAD, "getName")): "getName",
}


async def test_no_call_is_begun_once_the_node_stops() -> None:
    """Polls end at the empty waitTipChanged, though the answer to the last one comes with it; leaving goes on."""
    node = Node()
    asked: dict[int, str] = {}
    held: list[bytes] = []
    begun: list[str] = []

    def heard(is_node: bool, frame: bytes) -> bytes:
        with reading(frame) as message:
            if message.which() == "call" and not is_node:
                name = NAMES.get((message.call.interfaceId, message.call.methodId), "another")
                asked[message.call.questionId] = name
                begun.append(name)
            elif message.which() == "return" and is_node:
                name = asked.get(getattr(message, "return").answerId, "")
                if name == "executeRpc" and node.subscribers and not held:
                    held.append(frame)
                    return b""
                if name == "waitTipChanged" and node.stopping:
                    begun.clear()
                    return frame + held[0]
        return frame

    async with relayed_session(node, "stock-chain", heard) as session:
        source = next(each for each in session.dialect.polled() if each.name == "uptime")

        async def poll() -> None:
            while True:
                await session.read(source)

        await session.probe_tip()
        await session.subscribe_chain(Sink())
        polls = asyncio.ensure_future(poll())
        task = asyncio.ensure_future(session.follow_tip())
        await until(lambda: held)
        stop = asyncio.ensure_future(node.shut_down())
        for ended in (task, polls):
            with pytest.raises(NodeStopping):
                await asyncio.wait_for(ended, 60)
        assert not session.tip_works, "nothing is subscribed any more"
    await stop
    assert begun == ["disconnect", "getName"], "and the latter runs on no server thread"
    assert node.subscribers == 0


async def test_a_disconnect_may_return_before_destroy() -> None:
    """`destroy` waits for a callback under way, the disconnect does not: the session ends after both."""
    node = Node()
    async with session_with(node, "stock-chain") as session:
        await session.subscribe_chain(Sink())
        node.model.faults.hang(DESTROY)
        task = asyncio.ensure_future(session.unsubscribe())
        await until(lambda: node.calls.get("Handler.disconnect"))
        await node.connect_block()
        assert not task.done()
        node.model.faults.heal(DESTROY)
        await node.perform("heal", [])
        await task
