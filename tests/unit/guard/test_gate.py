"""Which calls pass the guard: those of the list, of what the client holds, on its own threads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from support.conversation import CHAIN_HANDLER, NO_TIP, TIP, disconnected
from support.frames import (
    CHAIN,
    CHAIN_NOTIFICATIONS,
    INIT,
    NO_PINS,
    NODE,
    SUBSCRIBING,
    THREAD,
    THREAD_MAP,
    TRACING,
    answer,
    bootstrap,
    call,
    destroy,
    done,
    failure,
    finish,
    handler_for,
    release,
    subscribe_chain,
    subscribe_utxo,
    transaction,
    wait_tip,
)
from support.gated import ON_THREAD, Gated, ended, on_thread, opened, passes, refused
from support.guard import THREAD_MAP_ID
from support.layouts import Struct, Structs, frame_with, tree_of
from support.recorded import DIALECTS, recorded
from support.strict_node import interfaces, methods

from telegraf_bitcoin_ipc.guard import allowed, contract, wire
from telegraf_bitcoin_ipc.guard.allowed import CALLS

NODE_ID, MINING_ID, CHAIN_ID = 9, 6, 4


@pytest.fixture
def gated() -> Iterator[Gated]:
    """A client behind the guard's gate that has threads, every interface, and a wait for the next tip."""
    with opened() as conversation:
        yield conversation


# Methods


NAMES = {number: interface.schema.node.displayName for number, interface in interfaces().items()}


@pytest.mark.parametrize("name", sorted(NAMES.values()))
def test_a_method_that_is_not_listed_is_refused(name: str) -> None:
    """Of every method of every interface in the schema that is not listed, and of its Finish, nothing passes."""
    with opened() as gated:
        tried = 0
        for (interface, method), _ in methods().items():
            if NAMES[interface] == name and (interface, method) not in CALLS:
                for target in (0, THREAD_MAP_ID, CHAIN_ID, NODE_ID, THREAD):
                    refused(gated, 7, wire.call_on_thread(7, target, interface, method, THREAD))
                tried += 1
        for method in (100, 0xFFFF):
            interface = next(number for number in NAMES if NAMES[number] == name)
            refused(gated, 7, wire.call_on_thread(7, 0, interface, method, THREAD))
        assert gated.totals()["calls_refused"] == 5 * tried + 2


@pytest.mark.parametrize("interface", [0, 1, (1 << 64) - 1])
def test_an_interface_that_nobody_knows_is_refused(gated: Gated, interface: int) -> None:
    """A call of an interface that is not in the schema is refused, whatever its method."""
    refused(gated, 7, wire.call_on_thread(7, NODE_ID, interface, 42, THREAD))


def test_each_refused_method_is_logged_once(gated: Gated) -> None:
    """The log has one line for a method, however often it is called, and a limit."""
    for method in (9, 9, *range(100, 200)):
        refused(gated, 7, wire.call_on_thread(7, NODE_ID, contract.NODE, method, THREAD))
    assert len(gated.log) == len(set(gated.log)) == 32
    assert gated.log[0] == "refused: method 9 of interface 0xece87a85e7d7c91d"
    assert gated.totals()["calls_refused"] == 102


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_frame_of_a_real_session_passes(dialect: str) -> None:
    """A session with each kind of node, behind the guard, is refused nothing, and calls what the schema allows."""
    assert recorded(dialect).log == ()


def test_every_method_of_the_list_is_called() -> None:
    """The list has nothing that no session calls, but for what another kind of node has at the same place."""
    called = set()
    for dialect in DIALECTS:
        for frame in recorded(dialect).client:
            message = wire.Message.of(frame)
            if message.kind == wire.CALL:
                _, method, interface = message.body.call()
                called.add((interface, method))
    assert called == set(allowed.CALLS)


# Targets and capabilities


@pytest.mark.parametrize("target", [1, 2, 7, 10, 14, 1 << 30, (1 << 32) - 1])
def test_a_capability_that_the_client_invents_ends_its_session(gated: Gated, target: int) -> None:
    """A node closes the connection at a call of a capability that it has not given: it never gets one."""
    ended(gated, on_thread(7, NODE, "getMempoolSize", target))


def test_a_capability_that_was_released_is_gone(gated: Gated) -> None:
    """What the client has let go of, it can neither call nor name."""
    passes(gated, release(NODE_ID))
    ended(gated, on_thread(7, NODE, "getMempoolSize", NODE_ID))


def test_a_callback_is_no_capability_of_the_clients(gated: Gated) -> None:
    """The capabilities that come with an event are the guard's to release: the client gets and holds none."""
    gated.subscribed()
    gated.node.send(transaction(50, callback=1))
    gated.node.take()
    ended(gated, on_thread(7, NODE, "getMempoolSize", 71))


def construct_of(question: int, of: int) -> bytes:
    """Return a call of Init.construct of what an open Bootstrap will give."""
    tree = tree_of(call(question, INIT, "construct"))
    assert isinstance(tree, Struct)
    body = tree.pointers[0]
    assert isinstance(body, Struct)
    body.pointers[0] = Struct(struct.pack("<IHH", 0, 1, 0), [Struct(struct.pack("<Q", of), [None])])
    return frame_with(tree, lambda: "near")


def test_a_call_of_an_open_bootstrap_passes(gated: Gated) -> None:
    """A client may call what its Bootstrap will give before that has come, and not after its Finish."""
    passes(gated, bootstrap(5), construct_of(6, 5))
    gated.node.send(answer(5, table=[("senderHosted", 0)]))
    passes(gated, construct_of(8, 5), done(5))
    ended(gated, construct_of(9, 5))


def test_a_call_of_another_answer_is_refused(gated: Gated) -> None:
    """A call of what any other question will give is refused: whether it is allowed cannot be known."""
    passes(gated, on_thread(5, INIT, "makeNode", 0))
    refused(gated, 6, construct_of(6, 5))
    refused(gated, 7, on_thread(7, NODE, "startShutdown", NODE_ID))
    ended(gated, construct_of(9, 77))


def test_a_step_into_a_bootstrap_is_refused(gated: Gated) -> None:
    """A call of a part of what a Bootstrap will give is refused."""
    passes(gated, bootstrap(5))
    tree = tree_of(construct_of(6, 5))
    assert isinstance(tree, Struct)
    body = tree.pointers[0]
    assert isinstance(body, Struct)
    target = body.pointers[0]
    assert isinstance(target, Struct)
    answered = target.pointers[0]
    assert isinstance(answered, Struct)
    answered.pointers = [Structs(1, 0, [Struct(struct.pack("<HHI", 1, 0, 0), [])])]
    refused(gated, 6, frame_with(tree, lambda: "near"))


@pytest.mark.parametrize(
    "table",
    [
        (),
        (("senderHosted", 1),),
        (("senderPromise", 1),),
        (("receiverHosted", 0),),
        (("receiverHosted", NODE_ID),),
        (("receiverHosted", 77),),
        (("receiverHosted", THREAD), ("receiverHosted", NODE_ID)),
        (("receiverHosted", THREAD), ("senderHosted", 5)),
        (("receiverHosted", THREAD), ("senderPromise", 5)),
    ],
)
def test_a_call_takes_its_server_thread_and_nothing_else(gated: Gated, table: Any) -> None:
    """A call without a thread of the client's, or with any other capability, ends the session."""
    pins = ON_THREAD if table else NO_PINS
    frame = call(7, NODE, "getMempoolSize", target=NODE_ID, table=table, pins=pins, context={})
    ended(gated, frame)


def test_a_thread_to_call_back_on_ends_the_session(gated: Gated) -> None:
    """The context's other thread stays empty: the client has no threads for the node."""
    frame = call(
        7,
        CHAIN,
        "handleNotifications",
        target=CHAIN_ID,
        table=(("receiverHosted", THREAD), ("senderHosted", 1)),
        pins={**SUBSCRIBING, (0, 1): 1},
        context={},
    )
    ended(gated, frame)


@pytest.mark.parametrize("ask", [subscribe_chain, subscribe_utxo])
def test_a_subscription_takes_its_thread_and_one_callback(gated: Gated, ask: Any) -> None:
    """A second capability of the node's could be taken for the thread to end it on, so it ends the session."""
    interface, method = (CHAIN, "handleNotifications") if ask is subscribe_chain else (TRACING, "traceUtxoCache")
    table = (("receiverHosted", THREAD), ("senderHosted", 1), ("receiverHosted", NODE_ID))
    frame = call(7, interface, method, target=CHAIN_ID, table=table, pins=SUBSCRIBING, context={})
    ended(gated, frame)


@pytest.mark.parametrize("pins", [{(0, 0): 0}, {(0, 0): 0, (1,): 0}, {(0, 0): 0, (1,): 2}, {(1,): 1}, {}])
def test_a_subscription_without_a_callback_ends_the_session(gated: Gated, pins: Any) -> None:
    """A node that subscribes nobody aborts: no callback, the thread as the callback, or no thread, never pass."""
    table = (("receiverHosted", THREAD), ("senderHosted", 1))
    frame = call(7, CHAIN, "handleNotifications", target=CHAIN_ID, table=table, pins=pins, context={})
    ended(gated, frame)


def test_a_null_context_ends_the_session(gated: Gated) -> None:
    """A call that must run on a server thread, and has no context, would run on the node's own."""
    table = (("receiverHosted", THREAD),)
    ended(gated, call(7, NODE, "getMempoolSize", target=NODE_ID, table=table))


# Subscriptions


def test_one_subscription_of_a_kind(gated: Gated) -> None:
    """A second subscription of a kind ends the session, also after a refused call of that kind."""
    gated.subscribed()
    ended(gated, subscribe_chain(7, callback=9))


def test_a_refused_subscription_does_not_make_room(gated: Gated) -> None:
    """That the guard refuses a subscribing call says nothing of the subscription that stands."""
    gated.subscribed()
    question = 6
    tree = tree_of(subscribe_chain(question, callback=9))
    assert isinstance(tree, Struct)
    body = tree.pointers[0]
    assert isinstance(body, Struct)
    passes(gated, call(5, THREAD_MAP, "makeThread", target=THREAD_MAP_ID, name="x"))
    body.pointers[0] = Struct(struct.pack("<IHH", 0, 1, 0), [Struct(struct.pack("<Q", 5), [None])])
    refused(gated, question, frame_with(tree, lambda: "near"))
    ended(gated, subscribe_chain(7, callback=9))


def test_a_subscription_that_the_node_refused_may_be_asked_for_again(gated: Gated) -> None:
    """After the node's exception the same subscription may be made, with the same callback."""
    passes(gated, subscribe_chain(5))
    gated.node.send(failure(5, "no"))
    passes(gated, finish(5), subscribe_chain(5))


def test_two_subscriptions_have_two_callbacks(gated: Gated) -> None:
    """With the same callback twice nobody could say which subscription has ended."""
    passes(gated, subscribe_chain(5, callback=1))
    gated.node.send(handler_for(5, CHAIN_HANDLER))
    ended(gated, subscribe_utxo(6, callback=1))


def test_a_subscription_needs_a_wait_for_the_nodes_stop() -> None:
    """A node that stops with a subscriber aborts, so whoever subscribes must wait for the tip without a limit."""
    with Gated() as gated:
        gated.introduced()
        refused(gated, 5, subscribe_chain(5))
        refused(gated, 6, subscribe_utxo(6))


def test_the_thread_of_a_subscription_is_kept_free(gated: Gated) -> None:
    """No other call runs on it: the node gives its subscribers some hundredths of a second when it stops."""
    gated.subscribed()
    refused(gated, 7, on_thread(7, NODE, "getMempoolSize", NODE_ID))
    refused(gated, 8, wait_tip(8, TIP, thread=THREAD, timeout=10_000))


def test_one_call_at_a_time_on_a_thread(gated: Gated) -> None:
    """A call on a thread that has not answered the one before is refused, as older nodes do themselves."""
    passes(gated, on_thread(5, NODE, "getMempoolSize", NODE_ID))
    refused(gated, 6, on_thread(6, NODE, "getMempoolSize", NODE_ID))
    refused(gated, 7, on_thread(7, NODE, "getMempoolSize", NODE_ID, 13))  # it waits for the tip
    gated.node.send(answer(5))
    passes(gated, finish(5), on_thread(6, NODE, "getMempoolSize", NODE_ID))


# What the guard needs of the client's is not let go of


@pytest.mark.parametrize("how", ["release", "finish"])
def test_a_subscriptions_thread_and_handler_stay(how: str) -> None:
    """However the client lets go of threads, handler and Mining, the node keeps what the guard will call."""
    with Gated() as gated:
        opening = (
            (bootstrap(1), (0,)),
            (call(2, INIT, "construct"), (THREAD_MAP_ID, CHAIN_ID, MINING_ID)),
            (call(3, THREAD_MAP, "makeThread", target=THREAD_MAP_ID), (THREAD,)),
            (call(4, THREAD_MAP, "makeThread", target=THREAD_MAP_ID), (13,)),
        )
        for question, (asked, given) in enumerate(opening, start=1):
            passes(gated, asked)
            gated.node.send(answer(question, table=[("senderHosted", each) for each in given]))
        gated.plugin.send(wait_tip(900, NO_TIP))
        gated.node.take()
        passes(gated, subscribe_chain(5))
        gated.node.send(handler_for(5, CHAIN_HANDLER))
        if how == "release":
            gated.plugin.send(*(release(each) for each in (THREAD, CHAIN_HANDLER, 13, MINING_ID, CHAIN_ID)))
            assert list(gated.node.outbox.frames) == [release(CHAIN_ID)]
        else:
            gated.plugin.send(finish(3), finish(5), finish(4), finish(2))
            kept = [done(3), done(5), done(4), done(2), release(THREAD_MAP_ID), release(CHAIN_ID)]
            assert list(gated.node.outbox.frames) == kept
        gated.node.outbox.frames.clear()
        gated.plugin.close()
        question = disconnected(gated, CHAIN_HANDLER)
        gated.node.send(destroy(901, CHAIN_NOTIFICATIONS, 1))
        assert gated.node.take() == wire.answer_to(901)
        assert set(gated.node.outbox.frames) == {release(THREAD), release(CHAIN_HANDLER)}
        gated.node.outbox.frames.clear()
        gated.node.send(answer(question))
        assert gated.node.take() == wire.finish_of(question)


@pytest.mark.parametrize("first", [release(NODE_ID), finish(1001)])
def test_nothing_is_released_twice(gated: Gated, first: bytes) -> None:
    """A node closes the connection at a Release of what was released: a second one ends the session."""
    gated.plugin.send(first)
    gated.node.outbox.frames.clear()
    ended(gated, release(NODE_ID))


def test_a_finish_that_releases_what_was_released_ends_the_session() -> None:
    """A Finish that lets go of the answer's capabilities names none that the client has released itself."""
    with Gated() as gated:
        passes(gated, bootstrap(1))
        gated.node.send(answer(1, table=[("senderHosted", 0)]))
        passes(gated, release(0))
        ended(gated, finish(1))
