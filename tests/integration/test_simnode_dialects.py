"""What each kind of simulated node does to a client that harms it, over a real socket with its own schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import capnp
import pytest
from support.nodes import SimulatedNode, StartNode
from support.processes import START_SECONDS

from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.simnode.dialects import DIALECTS

ABORTED = 134
ALL = tuple(schema.INTERFACES)
QUEUED = tuple(name for name in ALL if DIALECTS[name].is_recent)


class Client:
    """A raw client: the Init of a dialect, and server threads that it makes as they are needed."""

    def __init__(self, stream: Any, dialect: str) -> None:
        self._client = capnp.TwoPartyClient(stream)
        self.schema = schema.load(dialect)
        self.init = self._client.bootstrap().cast_as(self.schema.init.Init)

    async def thread(self) -> dict[str, Any]:
        """Make a server thread; return the context of the calls on it."""
        threads = (await self.init.construct()).threadMap
        return {"thread": (await threads.makeThread("raw")).result}

    async def make(self, method: str) -> Any:
        """Make an interface on a thread of its own."""
        return (await getattr(self.init, method)(context=await self.thread())).result

    async def rpc(self, method: str, *params: object) -> Any:
        """Ask a stock node for a JSON-RPC method."""
        rpc = await self.make("makeRpc")
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = await rpc.executeRpc(context=await self.thread(), request=request, uri="", user="")
        return json.loads(answer.result)["result"]

    async def sent(self, call: Awaitable[Any]) -> asyncio.Future[Any]:
        """Return a call that the node has read by now."""
        future = asyncio.ensure_future(call)
        await self.thread()
        return future

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._client.close()


Main = Callable[[Client], Coroutine[Any, Any, None]]


def talk(node: SimulatedNode, dialect: str = "") -> Callable[[Main], None]:
    """Run the decorated coroutine with a client of the node, of its dialect or of another."""

    async def connected_main(main: Main) -> None:
        stream = await capnp.AsyncIoStream.create_unix_connection(str(node.socket))
        client = Client(stream, dialect or node.dialect.name)
        try:
            await main(client)
        finally:
            client.close()

    return lambda main: asyncio.run(capnp.run(connected_main(main)))


async def waiting(client: Client, mining: Any) -> tuple[dict[str, Any], asyncio.Future[Any]]:
    """Return the context of a server thread that waits for a new tip, and the call that waits."""
    context = await client.thread()
    known = bytes((await mining.getTip(context=context)).result.hash)
    return context, await client.sent(mining.waitTipChanged(context=context, currentTip=known))


async def failure(call: Awaitable[Any]) -> str:
    """Return what a call fails with: the kind of the error and its message."""
    with pytest.raises(capnp.KjException) as raised:
        await call
    return str(raised.value)


@pytest.mark.parametrize(
    ("dialect", "interface", "method"),
    [("stock", "makeChain", "getHeight"), ("stock-chain", "makeNode", "shutdownRequested")],
)
def test_one_ordinal_is_two_methods(start_node: StartNode, dialect: str, interface: str, method: str) -> None:
    """Asked for a Chain, a stock node hands out an Rpc, whose first call as a Chain then fails (measured)."""
    node = start_node("--dialect", dialect)

    @talk(node, "tracing")
    async def main(client: Client) -> None:
        made = await client.make(interface)
        assert "unimplemented" in await failure(getattr(made, method)(context=await client.thread()))

    assert node.stop() == 0


def test_safe_questions_in_warm_up(start_node: StartNode) -> None:
    """A node of the kind `stock-chain` answers two methods of Chain while it loads its chain."""
    node = start_node("--dialect", "stock-chain", "--warmup", "3600")

    @talk(node)
    async def main(client: Client) -> None:
        chain = await client.make("makeChain")
        assert not (await chain.shutdownRequested(context=await client.thread())).result
        handler, callback = await subscribed(client, chain)
        await handler.disconnect(context=await client.thread())
        await callback.destroyed.wait()

    assert node.stop() == 0


@pytest.mark.parametrize(
    ("moment", "dialect", "interface", "method"),
    [
        ("warm-up", "stock-30", "makeMining", "getTip"),
        ("warm-up", "tracing", "makeChain", "getHeight"),
        ("warm-up", "stock-chain", "makeChain", "getHeight"),
        ("warm-up", "stock-chain", "makeChain", "isInitialBlockDownload"),
        *[
            ("tear-down", dialect, "makeChain", method)
            for dialect in ("tracing", "stock-chain")
            for method in ("getHeight", "isInitialBlockDownload", "handleNotifications")
        ],
    ],
)
def test_asked_for_a_chain_that_is_not_there_it_aborts(
    start_node: StartNode, moment: str, dialect: str, interface: str, method: str
) -> None:
    """Before the chain is loaded, and on a connection made while a stopping node destroys it."""
    node = start_node("--dialect", dialect, "--warmup" if moment == "warm-up" else "--stop-seconds", "3600")
    if moment == "tear-down":
        node.begin_stop()
        node.says("stopping")
        node.hasten_stop()
        node.says("torn down")

    @talk(node)
    async def main(client: Client) -> None:
        made = await client.make(interface)
        if method == "handleNotifications":
            await failure(subscribed(client, made))
        else:
            await failure(getattr(made, method)(context=await client.thread()))

    assert node.wait() == ABORTED
    assert "Assertion `m_node.chainman' failed." in node.stderr


class Callback:
    """Events as `handleNotifications` reports them; each is answered once `answering` is set."""

    def __init__(self, *, answers: bool = True) -> None:
        self.called, self.destroyed, self.answering = asyncio.Event(), asyncio.Event(), asyncio.Event()
        if answers:
            self.answering.set()

    def server(self, interface: Any) -> Any:
        """Return a server of the interface."""

        async def event(server: Any, **_: Any) -> None:
            self.called.set()
            await self.answering.wait()

        async def destroy(server: Any, **_: Any) -> None:
            self.destroyed.set()
            await self.answering.wait()

        methods = {**dict.fromkeys(interface.schema.methods, event), "destroy": destroy}
        return type("Server", (interface.Server,), methods)()


async def subscribed(client: Client, chain: Any, *, answers: bool = True) -> tuple[Any, Callback]:
    """Subscribe to a node's chain notifications; return the handler and the callback."""
    callback = Callback(answers=answers)
    server = callback.server(client.schema.chain.ChainNotifications)
    made = await chain.handleNotifications(context=await client.thread(), notifications=server)
    return made.result, callback


@pytest.mark.parametrize("patient", [False, True])
def test_disconnect_returns_before_a_callback_under_way(start_node: StartNode, patient: bool) -> None:
    """A node of the kind `stock-chain` calls `destroy` after it: who closes the connection before aborts it."""
    node = start_node("--dialect", "stock-chain")

    @talk(node)
    async def main(client: Client) -> None:
        handler, callback = await subscribed(client, await client.make("makeChain"), answers=False)
        node.begin("accept")
        await callback.called.wait()
        await handler.disconnect(context=await client.thread())
        await client.thread()
        assert not callback.destroyed.is_set()
        if patient:
            callback.answering.set()
            await callback.destroyed.wait()

    assert (node.stop() == 0) if patient else (node.wait() == ABORTED)


def test_closing_while_destroy_is_unanswered_does_no_harm(start_node: StartNode) -> None:
    """A node of the kind `stock-chain` survives that, as it does whatever else ends an idle subscriber."""
    node = start_node("--dialect", "stock-chain")

    @talk(node)
    async def main(client: Client) -> None:
        handler, callback = await subscribed(client, await client.make("makeChain"), answers=False)
        await handler.disconnect(context=await client.thread())
        await callback.destroyed.wait()

    node.do("block")
    assert node.stop() == 0
    assert not node.lines("unsubscribed")


def test_two_disconnects_at_once(start_node: StartNode) -> None:
    """On a node of the kind `stock-chain` both return, of one handler or of two, on one server thread."""
    node = start_node("--dialect", "stock-chain")

    @talk(node)
    async def main(client: Client) -> None:
        chain = await client.make("makeChain")
        both = [await subscribed(client, chain) for _ in range(2)]
        context = await client.thread()
        handlers = [handler for handler, _ in both]
        await asyncio.gather(*(each.disconnect(context=context) for each in (*handlers, *handlers)))
        for _, callback in both:
            await callback.destroyed.wait()
        await client.thread()  # answered after the answers to `destroy` were read

    node.says("unsubscribed", 2)
    assert node.stop() == 0


@pytest.mark.parametrize("dialect", ALL)
def test_a_second_call_on_a_thread(start_node: StartNode, dialect: str) -> None:
    """A second call on a thread waits (libmultiprocess 8 on), fails (7) or aborts the node (6)."""
    node = start_node("--dialect", dialect)

    @talk(node)
    async def main(client: Client) -> None:
        mining = await client.make("makeMining")
        context, first = await waiting(client, mining)
        second = asyncio.ensure_future(mining.getTip(context=context))
        if dialect == "stock-30":
            await failure(second)
            await failure(first)
            return
        if dialect in QUEUED:
            await client.thread()  # answered after the call was read
            assert not second.done()
        else:
            assert "thread busy" in await failure(second)
        node.do("block")
        assert (await first).result.height == 111
        if dialect in QUEUED:
            assert (await second).result.height == 111

    if dialect == "stock-30":
        assert node.wait() == ABORTED
        assert "Assertion `!m_fn' failed." in node.stderr


@pytest.mark.parametrize("dialect", ALL)
def test_a_client_goes_with_a_call_under_way(start_node: StartNode, dialect: str) -> None:
    """A pending waitTipChanged may be left alone; other calls outlive their client from libmultiprocess 8 on.

    Before, the node may abort, and this one does.
    """
    node = start_node("--dialect", dialect)

    @talk(node)
    async def wait(client: Client) -> None:
        _, pending = await waiting(client, await client.make("makeMining"))
        client.close()
        await failure(pending)

    node.do("block")
    node.do("hang", method="Mining.getTip")

    @talk(node)
    async def main(client: Client) -> None:
        mining = await client.make("makeMining")
        pending = await client.sent(mining.getTip(context=await client.thread()))
        client.close()
        await failure(pending)

    if dialect in QUEUED:
        node.do("heal", method="Mining.getTip")
        node.do("block")
        assert node.stop() == 0
    else:
        assert node.wait() == ABORTED
        assert "Assertion `m_loop' failed." in node.stderr


def test_a_hanging_method_does_not_keep_it_from_stopping(start_node: StartNode) -> None:
    """A node that is told to stop ends, whatever it has not answered."""
    node = start_node("--dialect", "stock")
    node.do("hang", method="uptime")

    @talk(node)
    async def main(client: Client) -> None:
        pending = await client.sent(client.rpc("uptime"))
        assert node.stop() == 0
        await failure(pending)


def test_peers_come_and_go_in_a_steady_life(start_node: StartNode) -> None:
    """Without a script there are peers, estimates and an index, and the peers change."""
    node = start_node("--dialect", "stock", "--block-interval", "60", script=False)

    @talk(node)
    async def main(client: Client) -> None:
        before = {peer["id"] for peer in await client.rpc("getpeerinfo")}
        assert len(before) == 18
        assert "feerate" in await client.rpc("estimatesmartfee", 6)
        assert (await client.rpc("getindexinfo"))["txindex"]["synced"]
        totals = await client.rpc("getnettotals")
        async with asyncio.timeout(START_SECONDS):
            peers = await client.rpc("getpeerinfo")
            while {peer["id"] for peer in peers} == before:
                await asyncio.sleep(0.05)
                peers = await client.rpc("getpeerinfo")
        later = await client.rpc("getnettotals")
        assert later["totalbytesrecv"] >= totals["totalbytesrecv"]
        assert later["totalbytesrecv"] >= sum(sum(peer["bytesrecv_per_msg"].values()) for peer in peers)
