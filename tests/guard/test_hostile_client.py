"""A hostile client at a standing guard, before a strict node, with real processes: the node gets none of it.

The client speaks raw frames. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.frames import (
    CHAIN,
    INIT,
    MINING,
    NODE,
    THREAD_MAP,
    abort,
    answer,
    bootstrap,
    call,
    disembargo,
    finish,
    reading,
    release,
    subscribe_chain,
    subscribe_utxo,
    wait_tip,
)
from support.gated import on_thread
from support.layouts import respread
from support.nodes import SimulatedNode, value
from support.scene import STANDING, Scene
from support.standing import Client
from support.strict_node import methods

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.guard.allowed import CALLS
from telegraf_bitcoin_ipc.ipc import jsonrpc
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY

ALLOWED = {name for names in CALLS.values() for name in names.split(" or ")}
standing = pytest.mark.parametrize("scene", [STANDING], indirect=True)


class Hostile:
    """A client with threads and every interface of a tracing node, and, if wanted, with both subscriptions."""

    def __init__(self, client: Client, *, subscribed: bool = False) -> None:
        self.side = client.begin()
        self._question = 0
        (self.root,) = self.asks(bootstrap(0))
        (thread_map,) = self.asks(call(1, INIT, "construct", target=self.root))
        self.poll, self.subscribe, self.tip = (
            self.asks(call(question, THREAD_MAP, "makeThread", target=thread_map, name="x"))[0]
            for question in (2, 3, 4)
        )
        self.node, self.chain, self.tracing, self.mining = (
            self.asks(on_thread(5 + place, INIT, method, self.root, self.poll))[0]
            for place, method in enumerate(("makeNode", "makeChain", "makeTracing", "makeMining"))
        )
        self.asks(on_thread(13, NODE, "shutdownRequested", self.node, self.poll))
        self.asks(self.rpc(9, "getblockchaininfo"))
        if subscribed:
            self.side.send(wait_tip(10, bytes(32), thread=self.tip, target=self.mining))
            self.asks(subscribe_chain(11, thread=self.subscribe, callback=1, target=self.chain))
            self.asks(subscribe_utxo(12, thread=self.subscribe, callback=2, target=self.tracing))

    def asks(self, frame: bytes, *, refused: bool = False) -> list[int]:
        """Ask, and return the capabilities in the answer, or see that the guard refuses."""
        self.side.send(frame)
        question = wire.Message.of(frame).body.u32(0)
        while True:
            with reading(self.side.take()) as message:
                if message.which() != "return" or getattr(message, "return").answerId != question:
                    continue
                given = getattr(message, "return")
                if refused:
                    assert given.exception.reason.startswith("not allowed by the guard: ")
                    return []
                assert given.which() == "results", given.exception.reason
                return [each.senderHosted for each in given.results.capTable]

    def rpc(self, question: int, method: str, params: str = "[]", uri: str = "") -> bytes:
        """Return a call of Node.executeRpc."""
        values: dict[str, Any] = {"command": method, "params": params, "uri": uri}
        return on_thread(question, NODE, "executeRpc", self.node, self.poll, **values)

    def is_out(self) -> None:
        """The guard ends the session."""
        while self.side.socket.recv(1 << 16):
            pass


def quiet(node: SimulatedNode) -> dict[str, int]:
    """Return how often the node was called so far, by method."""
    last = node.do("accept")
    return {**last["calls"], **last["rpc_calls"]}


@standing
def test_refused_calls_do_not_arrive(scene: Scene) -> None:
    """Of every method that is not listed, and of every other use of JSON-RPC, the node's journal has nothing."""
    node = scene.node()
    with Client(scene.socket) as client:
        hostile = Hostile(client)
        before = quiet(node)
        tried = 0
        for interface, method in methods():
            if (interface, method) not in CALLS:
                target = {contract.CHAIN: hostile.chain, contract.MINING: hostile.mining}.get(
                    interface, hostile.root if interface == contract.INIT else hostile.node
                )
                hostile.asks(wire.call_on_thread(20, target, interface, method, hostile.poll), refused=True)
                hostile.side.send(finish(20))
                tried += 1
        for name, params, uri in (
            ("stop", "[]", ""),
            ("sendtoaddress", '["x", 1]', ""),
            ("uptime\x7f", "[]", ""),
            ("UPTIME", "[]", ""),
            ("", "[]", ""),
            ("uptime", "{}", ""),
            ("uptime", "[] ", ""),
            ("uptime", "[NaN]", ""),
            ("uptime", "[]", "/wallet/"),
            (jsonrpc.request("stop", []), "[]", ""),
        ):
            hostile.asks(hostile.rpc(21, name, params, uri), refused=True)
            hostile.side.send(finish(21))
            tried += 1
        hostile.asks(subscribe_chain(22, thread=hostile.subscribe, target=hostile.chain), refused=True)
        assert client.totals()["calls_refused"] == tried + 1
        assert quiet(node) == before
        hostile.side.send(finish(22))
        hostile.asks(hostile.rpc(23, "uptime"))
    assert not node.lines("subscribed")
    scene.unharmed(node)


ENDINGS: dict[str, Callable[[Hostile], Sequence[bytes]]] = {
    "a capability that was never given": lambda it: [on_thread(50, NODE, "getMempoolSize", 9999, it.poll)],
    "a thread that is none": lambda it: [on_thread(50, NODE, "getMempoolSize", it.node, it.node)],
    "a release of too many": lambda it: [release(it.node, 2)],
    "a release of nothing": lambda it: [release(9999)],
    "a finish of nothing": lambda it: [finish(9999)],
    "a finish twice": lambda it: [finish(5), finish(5)],
    "an id in use": lambda it: [bootstrap(5)],
    "an id of the guard's": lambda it: [bootstrap(1 << 30)],
    "an answer to the node": lambda it: [answer(0)],
    "a message of level 1 that no client sends": lambda it: [disembargo(it.node)],
    "messages of other levels": lambda it: [wire.message_of(10, 1, 1, 0, 0)],
    "an abort": lambda it: [abort("no")],
    "several segments": lambda it: [respread(on_thread(50, NODE, "getMempoolSize", it.node, it.poll), "far")],
    "no frame at all": lambda it: [b"\xff" * 64],
    "a frame that is too large": lambda it: [b"\0\0\0\0\xff\xff\0\0" + bytes(64)],
    "a frame that is cut short": lambda it: [b"\0\0\0\0\1\0\0\0" + b"\xff" * 8],
    "a subscription without a callback": lambda it: [
        on_thread(50, CHAIN, "handleNotifications", it.chain, it.subscribe)
    ],
    "a second subscription": lambda it: [
        subscribe_chain(50, thread=it.subscribe, callback=7, target=it.chain),
        subscribe_chain(51, thread=it.subscribe, callback=8, target=it.chain),
    ],
    "too many questions": lambda it: [bootstrap(question) for question in range(50, 120)],
    "everything let go of": lambda it: [*(finish(question) for question in range(9)), bootstrap(5), finish(9999)],
    "a wait whose hash has no 32 bytes": lambda it: [
        wait_tip(50, b"x", thread=it.poll, target=it.mining, timeout=1.0)
    ],
}


@standing
def test_a_hostile_subscriber_is_let_go_in_order(scene: Scene) -> None:
    """However a subscribed client breaks the protocol, the node only sees it leave, and an honest one stays."""
    node = scene.node()
    plugin = scene.watching()
    guard = scene.standing
    assert guard is not None
    for place, (name, frames) in enumerate(ENDINGS.items(), start=1):
        with Client(scene.socket) as client:
            hostile = Hostile(client, subscribed=True)
            node.do("accept")
            hostile.side.send(*frames(hostile))
            hostile.is_out()
            node.says("unsubscribed", 2 * place)
        node.do("block", outputs=10)
        assert node.running, name
    plugin.shows(
        lambda series: value(series, "blocks_connected_total") == len(ENDINGS), "every block, in the honest client"
    )
    called = node.totals
    assert set(called["calls"]) <= ALLOWED | {"Handler.disconnect"}
    assert set(called["rpc_calls"]) <= set(READ_ONLY)
    assert plugin.stop() == 0
    scene.unharmed(node)


@standing
def test_a_node_stops_while_a_hostile_client_is_subscribed(scene: Scene) -> None:
    """A subscribed client with calls on each thread, that reads nothing, does not keep a node from stopping."""
    node = scene.node()
    with Client(scene.socket) as client:
        hostile = Hostile(client, subscribed=True)
        hostile.side.send(
            wait_tip(50, bytes(32), thread=hostile.poll, target=hostile.mining, timeout=10_000.0),
            finish(50),
            finish(11),
            finish(12),
            finish(3),
            *(release(each) for each in (hostile.chain, hostile.tracing, hostile.node, hostile.root)),
            *(
                wait_tip(question, bytes(32), thread=hostile.subscribe, target=hostile.mining, timeout=10_000.0)
                for question in range(60, 70)
            ),
        )
        assert node.stop() == 0, node.log
        assert not node.lines("abort")


@standing
def test_a_starting_node_is_not_called(scene: Scene) -> None:
    """A node that has not loaded its chain aborts at any call that needs it: it gets none."""
    node = scene.node("--warmup", "3600")
    with Client(scene.socket) as client:
        hostile = Hostile(client)
        calls = (
            on_thread(20, CHAIN, "getHeight", hostile.chain, hostile.poll),
            on_thread(20, MINING, "getTip", hostile.mining, hostile.poll),
            on_thread(20, NODE, "getHeaderTip", hostile.node, hostile.poll),
            wait_tip(20, bytes(32), thread=hostile.tip, target=hostile.mining),
            wait_tip(20, bytes(32), thread=hostile.tip, target=hostile.mining, timeout=1.0),
            subscribe_chain(20, thread=hostile.subscribe, target=hostile.chain),
        )
        for frame in calls:
            hostile.asks(frame, refused=True)
            hostile.side.send(finish(20))
        node.do("load")
        hostile.asks(hostile.rpc(21, "uptime"))
        hostile.asks(on_thread(22, CHAIN, "getHeight", hostile.chain, hostile.poll))
    scene.unharmed(node)
