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


@asynccontextmanager
async def connected(socket: Path, dialect: str) -> AsyncIterator[Client]:
    """A client of the node at a path."""
    client = Client(await capnp.AsyncIoStream.create_unix_connection(str(socket)), dialect)
    try:
        yield client
    finally:
        client.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(capnp.run(main))


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

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            for method in methods:
                assert await client.make(method) is not None
        for probe, method in (("tracing", "makeTracing"), ("tracing", "makeNode"), ("stock", "makeMining")):
            ordinal_is_there = method in methods and (dialect, method) != ("stock-30", "makeMining")
            async with connected(node.socket, probe) as client:
                if not ordinal_is_there:
                    assert UNIMPLEMENTED in await failure(client.make(method))

    run(main())


def test_one_ordinal_is_two_methods(start_node: StartNode) -> None:
    """Asked for a Chain, a stock node hands out an Rpc, whose first call as a Chain then fails (measured)."""
    node = start_node("--dialect", "stock")

    async def main() -> None:
        async with connected(node.socket, "tracing") as client:
            chain = await client.make("makeChain")
            assert UNIMPLEMENTED in await failure(chain.getHeight(context=await client.thread()))

    run(main())


@pytest.mark.parametrize("dialect", ALL)
def test_mining_tells_the_tip(start_node: StartNode, dialect: str) -> None:
    """Mining is the same everywhere: the tip, its changes, the present one when time is up, none at the end."""
    node = start_node("--dialect", dialect)

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
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

    run(main())
    assert node.wait() == 0


@pytest.mark.parametrize(
    ("dialect", "subversion"),
    [("tracing", "/Satoshi:30.99.0/"), ("chain", "/Satoshi:30.99.0/"), ("stock", "/Satoshi:31.99.0/")],
)
def test_json_rpc(start_node: StartNode, dialect: str, subversion: str) -> None:
    """JSON-RPC goes over the same socket, tells the dialect's version, and counts each question."""
    node = start_node("--dialect", dialect, "--pruned")

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            assert (await client.rpc("getnetworkinfo"))["subversion"] == subversion
            assert (await client.rpc("getblockchaininfo"))["pruneheight"] == 55
            assert await client.rpc("getblockstats", 110, ["txs"]) == {"txs": 1}
            assert await client.rpc("getblockstats", 54, ["txs"]) == {
                "code": -1,
                "message": "Block not available (pruned data)",
            }
            assert await client.rpc("stop") == {"code": -32601, "message": "Method not found"}

    run(main())
    asked = node.do("refuse")["rpc_calls"]
    assert asked == {"getnetworkinfo": 1, "getblockchaininfo": 1, "getblockstats": 2, "stop": 1}


def test_calls_are_counted(start_node: StartNode) -> None:
    """Every call on a server thread is counted under its interface and method."""
    node = start_node("--dialect", "stock")

    async def main() -> None:
        async with connected(node.socket, "stock") as client:
            mining = await client.make("makeMining")
            for _ in range(3):
                await mining.getTip(context=await client.thread())
            await client.rpc("uptime")

    run(main())
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

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            for method in ("uptime", "nonsense"):
                assert await client.rpc(method) == {"code": -28, "message": "Loading block index…"}

    run(main())


@pytest.mark.parametrize("dialect", ["stock", "stock-31"])
def test_mining_waits_for_the_chain(start_node: StartNode, dialect: str) -> None:
    """From Core 31 on makeMining is answered when the chain is loaded, so that nothing that follows aborts."""
    node = start_node("--dialect", dialect, "--warmup", "3600")

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            making = await client.sent(client.init.makeMining(context=await client.thread()))
            assert not making.done()
            node.do("load")
            mining = (await making).result
            assert (await mining.getTip(context=await client.thread())).result.height == 110

    run(main())
    assert node.stop() == 0


@pytest.mark.parametrize("dialect", ["stock", "stock-31"])
def test_told_to_stop_in_warm_up_there_is_no_mining(start_node: StartNode, dialect: str) -> None:
    """Before the chain is loaded makeMining is not answered; a node that stops by then answers with nothing."""
    node = start_node("--dialect", dialect, "--warmup", "60")

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            making = await client.sent(client.init.makeMining(context=await client.thread()))
            assert not making.done()
            node.send(signal.SIGTERM)
            assert not (await making)._has("result")

    run(main())
    assert node.wait() == 0


def test_mining_of_core_30_does_not_wait(start_node: StartNode) -> None:
    """On Core 30 a method of Mining aborts the node before its chain is loaded (read in its source)."""
    node = start_node("--dialect", "stock-30", "--warmup", "60")

    async def main() -> None:
        async with connected(node.socket, "stock-30") as client:
            mining = await client.make("makeMining")
            await failure(mining.getTip(context=await client.thread()))

    run(main())
    assert node.wait() == ABORTED
    assert "Assertion `m_node.chainman' failed." in node.stderr


@pytest.mark.parametrize("dialect", ["stock", "stock-31"])
def test_calls_queue_on_a_thread(start_node: StartNode, dialect: str) -> None:
    """From libmultiprocess 8 on a second call on a thread waits for the first one."""
    node = start_node("--dialect", dialect)

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            mining, thread = await client.make("makeMining"), await client.thread()
            known = bytes((await mining.getTip(context=thread)).result.hash)
            first = await client.sent(mining.waitTipChanged(context=thread, currentTip=known))
            second = await client.sent(mining.getTip(context=thread))
            assert not second.done()
            node.do("block")
            assert (await first).result.height == (await second).result.height == 111

    run(main())


@pytest.mark.parametrize("dialect", ["tracing", "chain"])
def test_a_thread_is_busy(start_node: StartNode, dialect: str) -> None:
    """On libmultiprocess 7 a second call on a thread fails, and the first one goes on."""
    node = start_node("--dialect", dialect)

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            mining, thread = await client.make("makeMining"), await client.thread()
            known = bytes((await mining.getTip(context=thread)).result.hash)
            first = await client.sent(mining.waitTipChanged(context=thread, currentTip=known))
            assert "thread busy" in await failure(mining.getTip(context=thread))
            node.do("block")
            assert (await first).result.height == 111

    run(main())


def test_a_second_call_aborts_core_30(start_node: StartNode) -> None:
    """On libmultiprocess 6 a call too many on a thread is an assertion (read in its source)."""
    node = start_node("--dialect", "stock-30")

    async def main() -> None:
        async with connected(node.socket, "stock-30") as client:
            mining, thread = await client.make("makeMining"), await client.thread()
            known = bytes((await mining.getTip(context=thread)).result.hash)
            first = await client.sent(mining.waitTipChanged(context=thread, currentTip=known))
            await failure(mining.getTip(context=thread))
            await failure(first)

    run(main())
    assert node.wait() == ABORTED
    assert "Assertion `!m_fn' failed." in node.stderr


@pytest.mark.parametrize(("dialect", "lives"), [("stock", True), ("stock-31", True), ("stock-30", False)])
def test_a_client_goes_with_a_call_under_way(start_node: StartNode, dialect: str, lives: bool) -> None:
    """From libmultiprocess 8 on a call outlives its client; before, the node may abort, and this one does."""
    node = start_node("--dialect", dialect)
    node.do("hang", method="Mining.getTip")

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            mining = await client.make("makeMining")
            pending = await client.sent(mining.getTip(context=await client.thread()))
            client.close()
            await failure(pending)

    run(main())
    if lives:
        node.do("heal", method="Mining.getTip")
        node.do("block")
        assert node.stop() == 0
    else:
        assert node.wait() == ABORTED
        assert "Assertion `m_loop' failed." in node.stderr


@pytest.mark.parametrize("dialect", STOCK)
def test_a_client_goes_that_waits_for_a_tip(start_node: StartNode, dialect: str) -> None:
    """A pending waitTipChanged may be left alone on every dialect."""
    node = start_node("--dialect", dialect)

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            mining, thread = await client.make("makeMining"), await client.thread()
            known = bytes((await mining.getTip(context=thread)).result.hash)
            pending = await client.sent(mining.waitTipChanged(context=thread, currentTip=known))
            client.close()
            await failure(pending)

    run(main())
    node.do("block")
    assert node.stop() == 0


@pytest.mark.parametrize("dialect", WITH_RPC)
def test_a_json_rpc_method_fails_until_it_is_healed(start_node: StartNode, dialect: str) -> None:
    """A method that was told to fail answers with that error, the others are as before."""
    node = start_node("--dialect", dialect)
    node.do("peers", inbound=1, outbound=2)

    async def main() -> None:
        async with connected(node.socket, dialect) as client:
            node.do("fail", method="getpeerinfo", code=-32601, message="Method not found")
            assert await client.rpc("getpeerinfo") == {"code": -32601, "message": "Method not found"}
            assert await client.rpc("getchaintips") == [{"status": "active"}]
            node.do("heal", method="getpeerinfo")
            assert len(await client.rpc("getpeerinfo")) == 3

    run(main())


def test_a_method_of_an_interface_fails_until_it_is_healed(start_node: StartNode) -> None:
    """A Cap'n Proto method that was told to fail raises, and its thread is free again."""
    node = start_node()

    async def main() -> None:
        async with connected(node.socket, "tracing") as client:
            chain, thread = await client.make("makeChain"), await client.thread()
            node.do("fail", method="Chain.getHeight", message="no height today")
            assert "std::exception: no height today" in await failure(chain.getHeight(context=thread))
            assert not (await chain.isInitialBlockDownload(context=thread)).result
            node.do("heal", method="Chain.getHeight")
            assert (await chain.getHeight(context=thread)).result == 110

    run(main())


@pytest.mark.parametrize("method", ["getblockchaininfo", "Rpc.executeRpc"])
def test_a_method_hangs_until_it_is_healed(start_node: StartNode, method: str) -> None:
    """A method that was told to hang is answered after it was healed; meanwhile the node goes on."""
    node = start_node("--dialect", "stock")
    node.do("hang", method=method)

    async def main() -> None:
        async with connected(node.socket, "stock") as client:
            pending = await client.sent(client.rpc("getblockchaininfo"))
            node.do("block")
            mining = await client.make("makeMining")
            assert (await mining.getTip(context=await client.thread())).result.height == 111
            assert not pending.done()
            node.do("heal", method=method)
            assert (await pending)["blocks"] == 111

    run(main())


def test_a_hanging_method_does_not_keep_it_from_stopping(start_node: StartNode) -> None:
    """A node that is told to stop ends, whatever it has not answered."""
    node = start_node("--dialect", "stock")
    node.do("hang", method="uptime")

    async def main() -> None:
        async with connected(node.socket, "stock") as client:
            pending = await client.sent(client.rpc("uptime"))
            assert node.stop() == 0
            await failure(pending)

    run(main())


def test_peers_come_and_go_in_a_steady_life(start_node: StartNode) -> None:
    """Without a script there are peers, estimates and an index, and the peers change."""
    node = start_node("--dialect", "stock", "--block-interval", "60", script=False)

    async def main() -> None:
        async with connected(node.socket, "stock") as client:
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

    run(main())
