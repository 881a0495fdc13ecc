"""No client can call a node that has not loaded its chain, or that stops, in a way that aborts it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from support.conversation import CHAIN_HANDLER, NO_TIP
from support.frames import (
    CHAIN,
    INIT,
    NODE,
    POLL_THREAD,
    answer,
    failure,
    finish,
    gives,
    handler_for,
    on_thread,
    subscribe_chain,
    tip_is,
    wait_tip,
)
from support.gated import Gated, opened, passes, refused

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.guard.allowed import CALLS

ROOT, NODE_ID, CHAIN_ID = 0, 9, 4
SAFE_OF_NODE = {10, 42}


@pytest.fixture
def starting() -> Iterator[Gated]:
    """A client that has threads and interfaces, of a node that is not known to have loaded its chain."""
    with Gated(loaded=False) as gated:
        gated.introduced()
        yield gated


def may_call(gated: Gated) -> bool:
    """Whether a call that needs the chain passes."""
    gated.plugin.send(on_thread(70, CHAIN, "getHeight", CHAIN_ID, POLL_THREAD))
    passed = bool(gated.node.outbox.frames)
    if passed:
        gated.node.send(answer(70))
    gated.plugin.send(finish(70))
    gated.node.outbox.frames.clear()
    gated.plugin.outbox.frames.clear()
    return passed


says = partial(answer, interface=NODE, method="executeRpc")
stops = partial(answer, interface=NODE, method="shutdownRequested")
unimplemented = partial(failure, reason="no", kind="unimplemented")

SHUTDOWN = on_thread(20, NODE, "shutdownRequested", NODE_ID, POLL_THREAD)
UPTIME = on_thread(21, NODE, "executeRpc", NODE_ID, POLL_THREAD, command="uptime", params="[]", uri="")
MAKE_NODE = on_thread(22, INIT, "makeNode", ROOT, POLL_THREAD)
MAKE_MINING = on_thread(23, INIT, "makeMining", ROOT, POLL_THREAD)
RUNS, ANSWERS = (SHUTDOWN, stops(20, result=False)), (UPTIME, says(21, result="5"))
NO_NODE, MINES = (MAKE_NODE, unimplemented(22)), (MAKE_MINING, gives(23, 30))


def test_what_needs_the_chain_is_refused(starting: Gated) -> None:
    """Of Chain, Mining, Tracing and Node nothing passes but what is safe at any time."""
    chain_users = {contract.CHAIN, contract.MINING, contract.TRACING, contract.NODE}
    for interface, method in CALLS:
        if interface not in chain_users or (interface == contract.NODE and method in SAFE_OF_NODE):
            continue
        table_call = wire.call_on_thread(70, CHAIN_ID, interface, method, POLL_THREAD)
        if (interface, method) in contract.SUBSCRIBING:
            table_call = subscribe_chain(70)
        refused(starting, 70, table_call)
    refused(starting, 70, wait_tip(70, NO_TIP))
    refused(starting, 70, wait_tip(70, NO_TIP, timeout=1.0))


def test_a_process_that_shows_it_is_enough() -> None:
    """A node's answers need not show what its process shows; if that no longer shows it, the node stops."""
    with opened() as gated:
        assert may_call(gated)
        gated.loaded = False
        call = on_thread(70, CHAIN, "getHeight", CHAIN_ID, POLL_THREAD)
        refused(gated, 70, call, why="the node is stopping")
        gated.loaded = True
        assert not may_call(gated)
        assert gated.totals()["calls_refused"] == 0


def missing_of(target: int) -> list[tuple[bytes, bytes]]:
    """Return calls of both methods that show whether there is a Node, on some object that lacks them."""
    return [
        (on_thread(22, INIT, "makeNode", target, POLL_THREAD), unimplemented(22)),
        (on_thread(20, NODE, "shutdownRequested", target, POLL_THREAD), unimplemented(20)),
    ]


SHOWN = {
    "a node that does not stop, and answers JSON-RPC": [ANSWERS, RUNS],
    "a makeMining that returns, and no Node": [MINES, NO_NODE],
    "what another kind of node makes in the place of a Node": [
        (MAKE_NODE, gives(22, 31)),
        MINES,
        (on_thread(20, NODE, "shutdownRequested", 31, POLL_THREAD), unimplemented(20)),
    ],
}

NOT_SHOWN = {
    "an empty answer to JSON-RPC": [RUNS, (UPTIME, says(21))],
    "a warm-up": [RUNS, (UPTIME, says(21, rpcError='{"code": -28}'))],
    "an error of JSON-RPC": [RUNS, (UPTIME, says(21, error="no"))],
    "an empty result": [RUNS, (UPTIME, says(21, result=""))],
    "a node that stops, though it did not before": [ANSWERS, RUNS, (SHUTDOWN, stops(20, result=True))],
    "a makeMining of a node that stops, which gives nothing": [NO_NODE, (MAKE_MINING, answer(23))],
    "a makeNode on a busy thread": [MINES, (MAKE_NODE, failure(22, "thread busy"))],
    "a makeNode that gives nothing": [MINES, (MAKE_NODE, answer(22))],
    "methods that a Chain lacks": [MINES, *missing_of(CHAIN_ID)],
    "methods that a thread lacks": [MINES, *missing_of(POLL_THREAD)],
    "methods that a Node lacks": [MINES, *missing_of(NODE_ID)],
}


@pytest.mark.parametrize("exchanges", SHOWN.values(), ids=SHOWN)
def test_answers_that_show_a_loaded_chain(starting: Gated, exchanges: list[tuple[bytes, bytes]]) -> None:
    """After all of these answers, and not before the last, calls that need the chain pass."""
    for exchange in exchanges:
        assert not may_call(starting)
        starting.exchanged(*exchange)
    assert may_call(starting)


@pytest.mark.parametrize("exchanges", NOT_SHOWN.values(), ids=NOT_SHOWN)
def test_answers_that_show_nothing(starting: Gated, exchanges: list[tuple[bytes, bytes]]) -> None:
    """Whatever else a node answers says nothing of its chain, or that it is not loaded."""
    for exchange in exchanges:
        starting.exchanged(*exchange)
    assert not may_call(starting)


def test_an_id_that_is_used_again_is_another_capability(starting: Gated) -> None:
    """An id that the client released, and the node gave to something else, is not taken for its first object."""
    starting.exchanged(*MINES)
    passes(starting, wire.release_of(ROOT, 1))
    starting.exchanged(on_thread(24, INIT, "makeChain", 30, POLL_THREAD), gives(24, ROOT))
    starting.exchanged(*NO_NODE)
    assert not may_call(starting)


def test_a_refusal_of_the_guards_shows_nothing(starting: Gated) -> None:
    """What the guard answers itself is not the node's answer."""
    starting.exchanged(*MINES)
    passes(starting, UPTIME)
    refused(starting, 22, MAKE_NODE)  # its thread is busy
    starting.node.send(failure(21, "no"))
    starting.plugin.outbox.frames.clear()
    passes(starting, finish(21))
    assert not may_call(starting)


def test_a_node_that_stops_gets_no_more_calls() -> None:
    """When the wait for the tip has said that the node stops, no new call reaches it, and none is counted."""
    with opened() as gated:
        passes(gated, subscribe_chain(5))
        gated.node.send(handler_for(5, CHAIN_HANDLER))
        gated.node.send(tip_is(wire.OWN_IDS + 1, None))
        gated.plugin.outbox.frames.clear()
        gated.node.outbox.frames.clear()
        stopping = "the node is stopping"
        refused(gated, 7, on_thread(7, NODE, "getMempoolSize", NODE_ID, POLL_THREAD), why=stopping)
        refused(gated, 8, wait_tip(8, NO_TIP), why=stopping)
        refused(gated, 9, subscribe_chain(9, callback=8), why=stopping)
        assert gated.totals()["calls_refused"] == 0
