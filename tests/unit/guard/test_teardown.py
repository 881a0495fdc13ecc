"""The end of subscriptions in memory: in which order, once each, and what is waited for."""

from __future__ import annotations

import struct

import pytest
from support.conversation import (
    CHAIN_HANDLER,
    NO_TIP,
    TRACE_HANDLER,
    Conversation,
    ask_node,
    destroyed,
    disconnected,
    handed,
    left,
    still_answers,
)
from support.frames import (
    INIT,
    SERVER_THREAD,
    THREAD,
    abort,
    answer,
    bootstrap,
    call,
    failure,
    finish,
    handler_for,
    make_thread,
    question_of,
    release,
    subscribe_chain,
    subscribe_utxo,
    utxo,
    wait_tip,
)

from telegraf_bitcoin_ipc.guard import contract, relay, subscriptions, wire
from telegraf_bitcoin_ipc.guard.subscriptions import LIVE, TRANSITIONS, Change, State, Subscription, Subscriptions


def test_the_teardown_is_repeated_while_the_thread_is_busy(guarded: Conversation) -> None:
    """A refused disconnect is sent again until it is taken, and callbacks are answered meanwhile."""
    guarded.subscribed()
    guarded.plugin.close()
    for number, handler in enumerate([TRACE_HANDLER, CHAIN_HANDLER] * 2):
        question = disconnected(guarded, handler)
        still_answers(guarded, 100 + number)
        guarded.node.send(utxo(200 + number, "add"))
        assert guarded.node.take() == wire.answer_to(200 + number), "and one disconnect at a time"
        guarded.node.send(failure(question, "std::exception: thread busy"))
        assert guarded.node.take() == wire.finish_of(question)
    assert guarded.totals()["add"] == 4
    left(guarded, TRACE_HANDLER, CHAIN_HANDLER)


@pytest.mark.parametrize("given_up", [False, True])
def test_the_node_is_not_let_go_before_it_has_read_the_answer_to_destroy(
    guarded: Conversation, given_up: bool
) -> None:
    """A disconnect returns before `destroy` comes if the node has events left: its Finish ends the session.

    Where the plugin had given up the subscribing call, the node, which frees the handler then, learns it last.
    """
    guarded.plugin.send(subscribe_chain(1), *[finish(1)] * given_up, ask_node(2))
    assert guarded.node.take() == subscribe_chain(1)
    assert guarded.node.take() == ask_node(2)
    guarded.node.send(handler_for(1, CHAIN_HANDLER), answer(2))
    assert given_up or guarded.plugin.take() == handler_for(1, CHAIN_HANDLER)
    assert guarded.plugin.take() == answer(2)
    guarded.plugin.close()
    question = disconnected(guarded, CHAIN_HANDLER)
    guarded.node.send(answer(question))
    assert guarded.node.take() == wire.finish_of(question)
    destroyed(guarded, CHAIN_HANDLER)
    assert not given_up or guarded.node.take() == finish(1)
    assert not guarded.passes()
    assert guarded.node.silent()
    guarded.node.send(finish(901))
    left(guarded)


@pytest.mark.parametrize("gone", [False, True])
def test_a_call_that_was_given_up_is_waited_for(guarded: Conversation, gone: bool) -> None:
    """A Finish before the answer is kept: the node would answer at once, and lose its connection in the call."""
    guarded.plugin.send(ask_node(2), finish(2))
    assert guarded.node.take() == ask_node(2)
    if gone:
        guarded.plugin.close()
    assert guarded.node.silent()
    guarded.node.send(answer(2))
    assert guarded.node.take() == finish(2)
    assert guarded.node.at_the_end() if gone else guarded.plugin.take() == answer(2)


def test_a_subscription_that_was_refused_holds_nothing_up(guarded: Conversation) -> None:
    """Where the node answers a subscribing call with an exception there is nothing to end."""
    guarded.exchanged(subscribe_chain(1), failure(1, "no"))
    guarded.plugin.send(subscribe_utxo(2))
    guarded.node.take()
    guarded.plugin.close()
    guarded.node.send(failure(2, "no"))
    left(guarded)


@pytest.mark.parametrize("words", [abort("the plugin's end"), abort("once") + abort("and again")])
def test_a_plugin_that_aborts_is_at_its_end(guarded: Conversation, words: bytes) -> None:
    """An abort does not reach the node, which it would harm: teardown begins."""
    guarded.subscribed()
    guarded.plugin.send(words)
    left(guarded, TRACE_HANDLER, CHAIN_HANDLER)


HARMLESS = {
    "nothing": b"",
    "a bootstrap": bootstrap(0),
    "the first call": call(1, INIT, "construct"),
    "a new thread": make_thread(1),
    "a thread's name": call(1, SERVER_THREAD, "getName"),
    "a wait for the tip": wait_tip(1, NO_TIP, timeout=250.0),
    "a wait for the chain": call(1, INIT, "makeMining", context={}),
}


@pytest.mark.parametrize("question", HARMLESS.values(), ids=HARMLESS)
def test_a_question_that_harms_no_node_is_not_waited_for(guarded: Conversation, question: bytes) -> None:
    """A node that hangs in the handshake, or for a second while it loads, keeps no guard without a plugin."""
    began = guarded.now
    guarded.plugin.send(question)
    guarded.plugin.close()
    assert not question or guarded.node.take() == question
    left(guarded)
    loading = question == HARMLESS["a wait for the chain"]
    assert guarded.now - began == pytest.approx(relay.LOADING_SECONDS if loading else 0)


def test_a_plugin_that_unsubscribes_itself_leaves_nothing_to_do(guarded: Conversation) -> None:
    """The guard disconnects what the plugin wants to end, and that alone, and releases what was let go of."""
    guarded.subscribed()
    for question, handler in ((5, TRACE_HANDLER), (6, CHAIN_HANDLER)):
        guarded.plugin.send(contract.disconnect_of(question, handler, THREAD))
        assert guarded.plugin.take() == wire.answer_to(question)
        guarded.plugin.send(finish(question), release(handler))
        its_end = disconnected(guarded, handler)
        event = destroyed(guarded, handler)
        assert guarded.node.take() == release(handler)
        handed(guarded, event)
        guarded.node.send(finish(question_of(event)), answer(its_end))
        assert guarded.node.take() == wire.finish_of(its_end)
    guarded.plugin.close()
    left(guarded)


def test_an_unknown_handlers_disconnect_is_relayed(guarded: Conversation) -> None:
    """A handler that is none of the subscriptions' is the plugin's own affair."""
    guarded.subscribed()
    its_call = contract.disconnect_of(5, 4711, THREAD)
    guarded.plugin.send(its_call)
    assert guarded.node.take() == its_call


def test_a_node_that_hangs_is_left_after_ten_minutes(guarded: Conversation) -> None:
    """Without subscriptions a call that is never answered holds the guard for ANSWER_SECONDS and no longer."""
    guarded.plugin.send(ask_node(1))
    assert guarded.node.take() == ask_node(1)
    began = guarded.now
    guarded.plugin.close()
    left(guarded)
    assert guarded.now - began == pytest.approx(subscriptions.ANSWER_SECONDS)


def test_a_disconnect_that_never_returns_is_waited_for_without_end(guarded: Conversation) -> None:
    """With a subscription, or its disconnect, in the air the node's socket is never closed by time alone."""
    guarded.subscribed()
    guarded.plugin.close()
    disconnected(guarded, TRACE_HANDLER)
    assert not guarded.passes()
    destroyed(guarded, TRACE_HANDLER)
    assert not guarded.passes()
    assert guarded.node.silent()


def test_a_result_that_cannot_be_read_holds_the_socket_open(guarded: Conversation) -> None:
    """A subscription whose handler cannot be read may stand: the socket stays open until `destroy`."""
    guarded.plugin.send(subscribe_chain(1))
    guarded.node.take()
    damaged = bytearray(handler_for(1, CHAIN_HANDLER))
    struct.pack_into("<I", damaged, bytes(damaged).index(struct.pack("<II", 1 << 2, 1 | 1 << 16)), 9 << 2)
    guarded.node.send(bytes(damaged))
    assert guarded.plugin.take() == bytes(damaged)
    guarded.plugin.close()
    assert not guarded.passes()
    still_answers(guarded, 50)
    destroyed(guarded, CHAIN_HANDLER)
    guarded.node.send(finish(901))
    left(guarded)


# The table of a subscription's life


def test_every_state_can_be_reached_and_left() -> None:
    """From the first state every other is reached, and each leads to the end."""
    reached = {State.ASKED}
    for _ in State:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(State)
    ending = {State.GONE}
    for _ in State:
        ending |= {before for (before, _), after in TRANSITIONS.items() if after in ending}
    assert ending == set(State)
    assert not any(before is State.GONE for before, _ in TRANSITIONS)
    ended = {TRANSITIONS[state, Change.DESTROY] for state in LIVE}
    assert not ended & LIVE, "after `destroy` the node calls no callback any more"


def test_what_cannot_be_read_is_never_disconnected() -> None:
    """Without its thread's id only the plugin can end a subscription; it holds the socket open until then."""
    made = Subscriptions()
    subscription = Subscription(thread=None, callback=1)
    subscription.answered(21)
    made.all.append(subscription)
    assert made.unwanted(21) is False
    assert made.next(0.0, everything=True) is None
    assert made.live() == [subscription]
