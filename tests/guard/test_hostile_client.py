"""A hostile client at a standing guard, before a strict node, with real processes: the node gets none of it.

The client speaks raw frames. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import pytest
from support.frames import (
    CHAIN,
    INIT,
    MINING,
    NODE,
    bootstrap,
    call,
    finish,
    make_thread,
    on_thread,
    question_of,
    reading,
    release,
    subscribe_chain,
    subscribe_utxo,
    wait_tip,
)
from support.hostile_frames import SILENT, Ids, Q, by_node, endings, refusals
from support.nodes import SimulatedNode, value
from support.scene import STANDING, Scene
from support.standing import Client

from telegraf_bitcoin_ipc.guard.allowed import CALLS
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY

ALLOWED = {name for names in CALLS.values() for name in names.split(" or ")}
standing = pytest.mark.parametrize("scene", [STANDING], indirect=True)


class Hostile:
    """A client with threads and every interface of a tracing node, and, if wanted, with both subscriptions."""

    def __init__(self, client: Client, *, subscribed: bool = False) -> None:
        self.side = client.begin()
        (root,) = self.asks(bootstrap(0))
        (thread_map,) = self.asks(call(1, INIT, "construct", target=root))
        poll, subscribe, tip = (self.asks(make_thread(each, target=thread_map))[0] for each in (2, 3, 4))
        node, chain, tracing, mining = (
            self.asks(on_thread(5 + place, INIT, method, root, poll))[0]
            for place, method in enumerate(("makeNode", "makeChain", "makeTracing", "makeMining"))
        )
        self.ids = Ids(root, thread_map, chain, tracing, mining, node, subscribe, poll, tip)
        self.asks(on_thread(13, NODE, "shutdownRequested", node, poll))
        self.asks(by_node(self.ids, "getblockchaininfo"))
        self.side.send(finish(Q))
        if subscribed:
            self.side.send(wait_tip(10, bytes(32), thread=tip, target=mining))
            self.asks(subscribe_chain(11, thread=subscribe, callback=1, target=chain))
            self.asks(subscribe_utxo(12, thread=subscribe, callback=2, target=tracing))

    def asks(self, frame: bytes, *, refused: bool = False) -> list[int]:
        """Ask, and return the capabilities in the answer, or see that the guard refuses."""
        self.side.send(frame)
        question = question_of(frame)
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
        rows = refusals(hostile.ids)
        unwaited = subscribe_chain(Q, thread=hostile.ids.subscribe, target=hostile.ids.chain)
        for frame in (*rows.values(), unwaited):
            hostile.asks(frame, refused=True)
            hostile.side.send(finish(Q))
        assert client.totals()["calls_refused"] == len(rows) + 1
        assert quiet(node) == before
        hostile.asks(by_node(hostile.ids))
    assert not node.lines("subscribed")
    scene.unharmed(node)


@standing
def test_a_hostile_subscriber_is_let_go_in_order(scene: Scene) -> None:
    """However a subscribed client breaks the protocol, the node only sees it leave, and an honest one stays."""
    node = scene.node()
    plugin = scene.watching()
    names = [*SILENT, *list(endings(Ids()))[::4]]  # all are tried in memory, by test_gate_frames
    for place, name in enumerate(names, start=1):
        with Client(scene.socket) as client:
            hostile = Hostile(client, subscribed=True)
            node.do("accept")
            hostile.side.send(*endings(hostile.ids)[name])
            hostile.is_out()
            node.says("unsubscribed", 2 * place)
        node.do("block", outputs=10)
        assert node.running, name
    plugin.shows(lambda series: value(series, "blocks_connected_total") == len(names), "every block, honestly")
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
        it = hostile.ids

        def wait(question: int, thread: int) -> bytes:
            return wait_tip(question, bytes(32), thread=thread, target=it.mining, timeout=10_000.0)

        hostile.side.send(
            wait(50, it.poll),
            *(finish(question) for question in (50, 11, 12, 3)),
            *(release(each) for each in (it.chain, it.tracing, it.node, it.root)),
            *(wait(question, it.subscribe) for question in range(60, 70)),
        )
        assert node.stop() == 0, node.log
        assert not node.lines("abort")


@standing
def test_a_starting_node_is_not_called(scene: Scene) -> None:
    """A node that has not loaded its chain aborts at any call that needs it: it gets none."""
    node = scene.node("--warmup", "3600")
    with Client(scene.socket) as client:
        hostile = Hostile(client)
        it = hostile.ids
        for frame in (
            on_thread(20, CHAIN, "getHeight", it.chain, it.poll),
            on_thread(20, MINING, "getTip", it.mining, it.poll),
            on_thread(20, NODE, "getHeaderTip", it.node, it.poll),
            wait_tip(20, bytes(32), thread=it.tip, target=it.mining),
            wait_tip(20, bytes(32), thread=it.tip, target=it.mining, timeout=1.0),
            subscribe_chain(20, thread=it.subscribe, target=it.chain),
        ):
            hostile.asks(frame, refused=True)
            hostile.side.send(finish(20))
        node.do("load")
        hostile.asks(by_node(it))
        hostile.asks(on_thread(22, CHAIN, "getHeight", it.chain, it.poll))
    scene.unharmed(node)
