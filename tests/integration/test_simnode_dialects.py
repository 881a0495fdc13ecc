"""Every dialect of the simulated node, over a real socket with its own schema: what it offers, and what not."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import capnp
import pytest
from support.nodes import SimulatedNode

from telegraf_bitcoin_ipc.ipc import schema

StartNode = Callable[..., SimulatedNode]

ABORTED = 134
WITH_RPC = ("tracing", "chain", "stock")
STOCK = ("stock", "stock-31", "stock-30")
ALL = tuple(schema.INTERFACES)

UNIMPLEMENTED = "unimplemented"


class Client:
    """A raw client: the Init of a dialect, and server threads that it makes as they are needed."""

    def __init__(self, stream: Any, dialect: str) -> None:
        self._client = capnp.TwoPartyClient(stream)
        self.init = self._client.bootstrap().cast_as(schema.load(dialect).init.Init)
        self._dialect = dialect

    async def thread(self) -> dict[str, Any]:
        """Make a server thread; return the context of the calls on it."""
        threads = (await self.init.construct()).threadMap
        return {"thread": (await threads.makeThread("raw")).result}

    async def make(self, method: str) -> Any:
        """Make an interface on a thread of its own."""
        return (await getattr(self.init, method)(context=await self.thread())).result

    async def rpc(self, method: str, *params: object) -> Any:
        """Ask for a JSON-RPC method; return the result, or the error object."""
        if self._dialect == "stock":
            rpc = await self.make("makeRpc")
            request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            answer = await rpc.executeRpc(context=await self.thread(), request=request, uri="", user="")
            reply = json.loads(answer.result)
            return reply["error"] if "error" in reply else reply["result"]
        node = await self.make("makeNode")
        answer = await node.executeRpc(
            context=await self.thread(), command=method, params=json.dumps(params), uri=""
        )
        return json.loads(answer.rpcError or answer.result)

    async def sent(self, call: Awaitable[Any]) -> asyncio.Future[Any]:
        """Return a call that the node has read by now."""
        future = asyncio.ensure_future(call)
        await self.thread()
        return future

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._client.close()


Main = Callable[[Client], Coroutine[Any, Any, None]]


@asynccontextmanager
async def connected(socket: Path, dialect: str) -> AsyncIterator[Client]:
    """A client of the node at a path."""
    client = Client(await capnp.AsyncIoStream.create_unix_connection(str(socket)), dialect)
    try:
        yield client
    finally:
        client.close()


def talk(node: SimulatedNode, dialect: str = "tracing") -> Callable[[Main], None]:
    """Run the decorated coroutine with a client of the node."""

    def run(main: Main) -> None:
        async def connected_main() -> None:
            async with connected(node.socket, dialect) as client:
                await main(client)

        asyncio.run(capnp.run(connected_main()))

    return run


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
    ("dialect", "methods"),
    [
        ("tracing", {"makeMining", "makeChain", "makeNode", "makeTracing"}),
        ("chain", {"makeMining", "makeChain", "makeNode"}),
        ("stock", {"makeMining", "makeRpc"}),
        ("stock-31", {"makeMining"}),
        ("stock-30", {"makeMining"}),
    ],
)
def test_every_dialect_offers_its_interfaces(start_node: StartNode, dialect: str, methods: set[str]) -> None:
    """What a dialect's schema has is there, and nothing of what only the others have."""
    node = start_node("--dialect", dialect)

    @talk(node, dialect)
    async def offered(client: Client) -> None:
        for method in methods:
            assert await client.make(method) is not None

    for probe, method in (("tracing", "makeTracing"), ("tracing", "makeNode"), ("stock", "makeMining")):
        if method not in methods or (dialect, method) == ("stock-30", "makeMining"):

            @talk(node, probe)
            async def lacking(client: Client, method: str = method) -> None:
                assert UNIMPLEMENTED in await failure(client.make(method))


def test_one_ordinal_is_two_methods(start_node: StartNode) -> None:
    """Asked for a Chain, a stock node hands out an Rpc, whose first call as a Chain then fails (measured)."""
    node = start_node("--dialect", "stock")

    @talk(node)
    async def main(client: Client) -> None:
        chain = await client.make("makeChain")
        assert UNIMPLEMENTED in await failure(chain.getHeight(context=await client.thread()))


@pytest.mark.parametrize("dialect", ALL)
def test_mining_tells_the_tip(start_node: StartNode, dialect: str) -> None:
    """Mining is the same everywhere: the tip, its changes, the present one when time is up, none at the end."""
    node = start_node("--dialect", dialect)

    @talk(node, dialect)
    async def main(client: Client) -> None:
        mining, thread = await client.make("makeMining"), await client.thread()
        assert not (await mining.isInitialBlockDownload(context=thread)).result
        tip = (await mining.getTip(context=thread)).result
        known = bytes(tip.hash)
        assert (tip.height, known[::-1].hex()) == (110, node.totals["tip"])
        same = (await mining.waitTipChanged(context=thread, currentTip=known, timeout=1)).result
        assert (same.height, bytes(same.hash)) == (110, known)
        waiting = await client.sent(mining.waitTipChanged(context=thread, currentTip=known))
        line = node.do("block")
        changed = (await waiting).result
        assert (changed.height, bytes(changed.hash)[::-1].hex()) == (111, line["tip"])
        last = await client.sent(mining.waitTipChanged(context=thread, currentTip=bytes(changed.hash)))
        node.send(signal.SIGTERM)
        assert bytes((await last).result.hash) == b""

    assert node.wait() == 0


@pytest.mark.parametrize(
    ("dialect", "subversion"),
    [("tracing", "/Satoshi:30.99.0/"), ("chain", "/Satoshi:30.99.0/"), ("stock", "/Satoshi:31.99.0/")],
)
def test_json_rpc(start_node: StartNode, dialect: str, subversion: str) -> None:
    """JSON-RPC goes over the same socket, tells the dialect's version, and counts each question."""
    node = start_node("--dialect", dialect, "--pruned")

    @talk(node, dialect)
    async def main(client: Client) -> None:
        assert (await client.rpc("getnetworkinfo"))["subversion"] == subversion
        assert (await client.rpc("getblockchaininfo"))["pruneheight"] == 55
        assert await client.rpc("getblockstats", 110, ["txs"]) == {"txs": 1}
        assert await client.rpc("getblockstats", 54, ["txs"]) == {
            "code": -1,
            "message": "Block not available (pruned data)",
        }
        assert await client.rpc("stop") == {"code": -32601, "message": "Method not found"}

    asked = node.do("refuse")["rpc_calls"]
    assert asked == {"getnetworkinfo": 1, "getblockchaininfo": 1, "getblockstats": 2, "stop": 1}


def test_calls_are_counted(start_node: StartNode) -> None:
    """Every call on a server thread is counted under its interface and method."""
    node = start_node("--dialect", "stock")

    @talk(node, "stock")
    async def main(client: Client) -> None:
        mining = await client.make("makeMining")
        for _ in range(3):
            await mining.getTip(context=await client.thread())
        await client.rpc("uptime")

    assert node.do("refuse")["calls"] == {
        "Init.makeMining": 1,
        "Mining.getTip": 3,
        "Init.makeRpc": 1,
        "Rpc.executeRpc": 1,
    }


@pytest.mark.parametrize("dialect", WITH_RPC)
def test_json_rpc_in_warm_up(start_node: StartNode, dialect: str) -> None:
    """Before the chain is loaded every JSON-RPC method answers with error -28."""
    node = start_node("--dialect", dialect, "--warmup", "60")

    @talk(node, dialect)
    async def main(client: Client) -> None:
        for method in ("uptime", "nonsense"):
            assert await client.rpc(method) == {"code": -28, "message": "Loading block index…"}


@pytest.mark.parametrize("dialect", ["stock", "stock-31"])
def test_mining_waits_for_the_chain(start_node: StartNode, dialect: str) -> None:
    """From Core 31 on makeMining is answered when the chain is loaded, so that nothing that follows aborts."""
    node = start_node("--dialect", dialect, "--warmup", "3600")

    @talk(node, dialect)
    async def main(client: Client) -> None:
        making = await client.sent(client.init.makeMining(context=await client.thread()))
        assert not making.done()
        node.do("load")
        mining = (await making).result
        assert (await mining.getTip(context=await client.thread())).result.height == 110

    assert node.stop() == 0


@pytest.mark.parametrize("dialect", ["stock", "stock-31"])
def test_told_to_stop_in_warm_up_there_is_no_mining(start_node: StartNode, dialect: str) -> None:
    """Before the chain is loaded makeMining is not answered; a node that stops by then answers with nothing."""
    node = start_node("--dialect", dialect, "--warmup", "60")

    @talk(node, dialect)
    async def main(client: Client) -> None:
        making = await client.sent(client.init.makeMining(context=await client.thread()))
        assert not making.done()
        node.send(signal.SIGTERM)
        assert not (await making)._has("result")

    assert node.wait() == 0


@pytest.mark.parametrize(
    ("dialect", "interface", "method"),
    [("stock-30", "makeMining", "getTip"), ("tracing", "makeChain", "getHeight")],
)
def test_asked_for_its_chain_in_warm_up_it_aborts(
    start_node: StartNode, dialect: str, interface: str, method: str
) -> None:
    """Before the chain is loaded a Chain method aborts a node, and on Core 30 a Mining method does."""
    node = start_node("--dialect", dialect, "--warmup", "60")

    @talk(node, dialect)
    async def main(client: Client) -> None:
        made = await client.make(interface)
        await failure(getattr(made, method)(context=await client.thread()))

    assert node.wait() == ABORTED
    assert "Assertion `m_node.chainman' failed." in node.stderr


@pytest.mark.parametrize("dialect", ALL)
def test_a_second_call_on_a_thread(start_node: StartNode, dialect: str) -> None:
    """A second call on a thread waits (libmultiprocess 8 on), fails (7) or aborts the node (6)."""
    node = start_node("--dialect", dialect)

    @talk(node, dialect)
    async def main(client: Client) -> None:
        mining = await client.make("makeMining")
        context, first = await waiting(client, mining)
        second = asyncio.ensure_future(mining.getTip(context=context))
        if dialect == "stock-30":
            await failure(second)
            await failure(first)
            return
        if dialect in STOCK:
            await client.thread()  # answered after the call was read
            assert not second.done()
        else:
            assert "thread busy" in await failure(second)
        node.do("block")
        assert (await first).result.height == 111
        if dialect in STOCK:
            assert (await second).result.height == 111

    if dialect == "stock-30":
        assert node.wait() == ABORTED
        assert "Assertion `!m_fn' failed." in node.stderr


@pytest.mark.parametrize("dialect", ALL)
def test_a_client_goes_with_a_call_under_way(start_node: StartNode, dialect: str) -> None:
    """From libmultiprocess 8 on a call outlives its client; before, the node may abort, and this one does."""
    node = start_node("--dialect", dialect)
    node.do("hang", method="Mining.getTip")

    @talk(node, dialect)
    async def main(client: Client) -> None:
        mining = await client.make("makeMining")
        pending = await client.sent(mining.getTip(context=await client.thread()))
        client.close()
        await failure(pending)

    if dialect in ("stock", "stock-31"):
        node.do("heal", method="Mining.getTip")
        node.do("block")
        assert node.stop() == 0
    else:
        assert node.wait() == ABORTED
        assert "Assertion `m_loop' failed." in node.stderr


@pytest.mark.parametrize("dialect", ALL)
def test_a_client_goes_that_waits_for_a_tip(start_node: StartNode, dialect: str) -> None:
    """A pending waitTipChanged may be left alone on every dialect."""
    node = start_node("--dialect", dialect)

    @talk(node, dialect)
    async def main(client: Client) -> None:
        _, pending = await waiting(client, await client.make("makeMining"))
        client.close()
        await failure(pending)

    node.do("block")
    assert node.stop() == 0


@pytest.mark.parametrize("dialect", WITH_RPC)
def test_a_json_rpc_method_fails_until_it_is_healed(start_node: StartNode, dialect: str) -> None:
    """A method that was told to fail answers with that error, the others are as before."""
    node = start_node("--dialect", dialect)
    node.do("peers", inbound=1, outbound=2)

    @talk(node, dialect)
    async def main(client: Client) -> None:
        node.do("fail", method="getpeerinfo", code=-32601, message="Method not found")
        assert await client.rpc("getpeerinfo") == {"code": -32601, "message": "Method not found"}
        assert await client.rpc("getchaintips") == [{"status": "active"}]
        node.do("heal", method="getpeerinfo")
        assert len(await client.rpc("getpeerinfo")) == 3


def test_a_method_of_an_interface_fails_until_it_is_healed(start_node: StartNode) -> None:
    """A Cap'n Proto method that was told to fail raises, and its thread is free again."""
    node = start_node()

    @talk(node)
    async def main(client: Client) -> None:
        chain, thread = await client.make("makeChain"), await client.thread()
        node.do("fail", method="Chain.getHeight", message="no height today")
        assert "std::exception: no height today" in await failure(chain.getHeight(context=thread))
        assert not (await chain.isInitialBlockDownload(context=thread)).result
        node.do("heal", method="Chain.getHeight")
        assert (await chain.getHeight(context=thread)).result == 110


@pytest.mark.parametrize("method", ["getblockchaininfo", "Rpc.executeRpc"])
def test_a_method_hangs_until_it_is_healed(start_node: StartNode, method: str) -> None:
    """A method that was told to hang is answered after it was healed; meanwhile the node goes on."""
    node = start_node("--dialect", "stock")
    node.do("hang", method=method)

    @talk(node, "stock")
    async def main(client: Client) -> None:
        pending = await client.sent(client.rpc("getblockchaininfo"))
        node.do("block")
        mining = await client.make("makeMining")
        assert (await mining.getTip(context=await client.thread())).result.height == 111
        assert not pending.done()
        node.do("heal", method=method)
        assert (await pending)["blocks"] == 111


def test_a_hanging_method_does_not_keep_it_from_stopping(start_node: StartNode) -> None:
    """A node that is told to stop ends, whatever it has not answered."""
    node = start_node("--dialect", "stock")
    node.do("hang", method="uptime")

    @talk(node, "stock")
    async def main(client: Client) -> None:
        pending = await client.sent(client.rpc("uptime"))
        assert node.stop() == 0
        await failure(pending)


def test_peers_come_and_go_in_a_steady_life(start_node: StartNode) -> None:
    """Without a script there are peers, estimates and an index, and the peers change."""
    node = start_node("--dialect", "stock", "--block-interval", "60", script=False)

    @talk(node, "stock")
    async def main(client: Client) -> None:
        before = {peer["id"] for peer in await client.rpc("getpeerinfo")}
        assert len(before) == 18
        assert "feerate" in await client.rpc("estimatesmartfee", 6)
        assert (await client.rpc("getindexinfo"))["txindex"]["synced"]
        totals = await client.rpc("getnettotals")
        node.says("peers")
        peers = await client.rpc("getpeerinfo")
        assert {peer["id"] for peer in peers} != before
        later = await client.rpc("getnettotals")
        assert later["totalbytesrecv"] >= totals["totalbytesrecv"]
        assert later["totalbytesrecv"] >= sum(sum(peer["bytesrecv_per_msg"].values()) for peer in peers)
