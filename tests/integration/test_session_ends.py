"""The end of a session with a `stock-chain` node: what is still called, and what is waited for."""

from __future__ import annotations

import asyncio

import pytest
from support.frames import SERVER_THREAD, interface_id, method_id, reading
from support.in_process import Node, Sink, relayed_session, session_with, until

from telegraf_bitcoin_ipc.errors import NodeStopping
from telegraf_bitcoin_ipc.guard import contract
from telegraf_bitcoin_ipc.simnode.node import DESTROY

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
