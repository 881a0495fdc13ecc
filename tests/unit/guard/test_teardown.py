"""The end of subscriptions in memory: in which order, once each, and what is waited for."""

from __future__ import annotations

import struct

import pytest
from support.conversation import (
    CHAIN_HANDLER,
    NO_TIP,
    TRACE_HANDLER,
    Conversation,
    any_disconnected,
    ask_node,
    disconnected,
    gives_up,
    handed,
    let_go,
    still_answers,
    teardown,
    teardown_in_any_order,
)
from support.frames import (
    CHAIN_NOTIFICATIONS,
    INIT,
    SERVER_THREAD,
    THREAD,
    THREAD_MAP,
    UTXO_CACHE_TRACE,
    abort,
    answer,
    bootstrap,
    call,
    destroy,
    failure,
    finish,
    handler_for,
    release,
    subscribe_chain,
    subscribe_utxo,
    utxo,
    wait_tip,
)

from telegraf_bitcoin_ipc.guard import contract, relay, subscriptions, wire


def test_the_teardown_is_repeated_while_the_thread_is_busy(guarded: Conversation) -> None:
    """A refused disconnect is sent again until it is taken, and callbacks are answered meanwhile."""
    guarded.subscribed()
    guarded.plugin.close()
    for number in range(5):
        _, question = any_disconnected(guarded)
        still_answers(guarded, 100 + number)
        guarded.node.send(utxo(200 + number, "add"))
        assert guarded.node.take() == wire.answer_to(200 + number), "and one disconnect at a time"
        guarded.node.send(failure(question, "std::exception: thread busy"))
        assert guarded.node.take() == wire.finish_of(question)
    assert guarded.totals()["add"] == 5
    teardown_in_any_order(guarded)


def test_the_node_is_not_let_go_before_destroy(guarded: Conversation) -> None:
    """A disconnect that returned is not the end of a subscription: it is asked for until `destroy` comes."""
    guarded.subscribed()
    guarded.plugin.close()
    question = disconnected(guarded, TRACE_HANDLER)
    guarded.node.send(answer(question))
    assert guarded.node.take() == wire.finish_of(question)
    teardown_in_any_order(guarded)


def test_the_node_is_not_let_go_before_it_has_read_the_answer_to_destroy(guarded: Conversation) -> None:
    """A disconnect returns before `destroy` comes if the node has events left: its Finish ends the session."""
    guarded.plugin.send(subscribe_chain(1))
    guarded.node.take()
    guarded.node.send(handler_for(1, CHAIN_HANDLER))
    guarded.plugin.close()
    question = disconnected(guarded, CHAIN_HANDLER)
    guarded.node.send(answer(question), destroy(60, CHAIN_NOTIFICATIONS, 1))
    assert guarded.node.take() == wire.finish_of(question)
    assert guarded.node.take() == wire.answer_to(60)
    assert not guarded.passes()
    assert guarded.node.silent()
    guarded.node.send(finish(60))
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_subscription_without_an_answer_is_waited_for(guarded: Conversation) -> None:
    """A subscribing call that the node has not answered at the plugin's end is ended once it has."""
    guarded.plugin.send(subscribe_chain(1))
    assert guarded.node.take() == subscribe_chain(1)
    guarded.plugin.close()
    still_answers(guarded, 50)
    still_answers(guarded, 51)
    guarded.node.send(handler_for(1, CHAIN_HANDLER))
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_subscription_that_was_given_up_is_ended_all_the_same(guarded: Conversation) -> None:
    """A Finish before the answer reaches the node, which frees the handler then, only after teardown."""
    given_up = wire.finish_of(1)
    guarded.plugin.send(subscribe_chain(1), given_up, ask_node(2))
    assert guarded.node.take() == subscribe_chain(1)
    assert guarded.node.take() == ask_node(2)
    guarded.node.send(handler_for(1, CHAIN_HANDLER), answer(2))
    assert guarded.plugin.take() == answer(2)
    guarded.plugin.close()
    question = disconnected(guarded, CHAIN_HANDLER)
    guarded.node.send(answer(question), destroy(60, CHAIN_NOTIFICATIONS, 1))
    assert guarded.node.take() == wire.finish_of(question)
    assert guarded.node.take() == wire.answer_to(60)
    assert guarded.node.take() == given_up
    guarded.node.send(finish(60))
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_subscription_that_was_refused_holds_nothing_up(guarded: Conversation) -> None:
    """Where the node answers a subscribing call with an exception there is nothing to end."""
    guarded.plugin.send(subscribe_chain(1), subscribe_utxo(2))
    guarded.node.take()
    guarded.node.take()
    guarded.node.send(failure(1, "no"))
    assert guarded.plugin.take() == failure(1, "no")
    guarded.plugin.close()
    guarded.node.send(failure(2, "no"))
    assert guarded.node.at_the_end()
    guarded.ends()


def test_the_node_is_let_go_at_once_when_nothing_stands(guarded: Conversation) -> None:
    """Without subscriptions and questions the node's socket closes with the plugin's."""
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    guarded.ends()


def test_every_call_on_a_server_thread_is_waited_for(guarded: Conversation) -> None:
    """A socket that closes in the middle of a call harms a node: each has to be answered first."""
    guarded.plugin.send(ask_node(1), ask_node(2))
    for expected in (ask_node(1), ask_node(2)):
        assert guarded.node.take() == expected
    guarded.plugin.close()
    still_answers(guarded, 50)
    guarded.node.send(answer(2))
    still_answers(guarded, 60)
    guarded.node.send(failure(1, "no"))
    assert guarded.node.at_the_end()
    guarded.ends()


@pytest.mark.parametrize("words", [abort("the plugin's end"), abort("once") + abort("and again")])
def test_a_plugin_that_aborts_is_at_its_end(guarded: Conversation, words: bytes) -> None:
    """An abort does not reach the node, which it would harm: teardown begins."""
    guarded.subscribed()
    guarded.plugin.send(words)
    teardown(guarded)


HARMLESS = {
    "a bootstrap": bootstrap(0),
    "the first call": call(1, INIT, "construct"),
    "a new thread": call(1, THREAD_MAP, "makeThread", name="poll"),
    "a thread's name": call(1, SERVER_THREAD, "getName"),
    "a wait for the tip": wait_tip(1, NO_TIP, timeout=250.0),
    "a wait for the chain": call(1, INIT, "makeMining", context={}),
}


@pytest.mark.parametrize("question", HARMLESS.values(), ids=HARMLESS)
def test_a_question_that_harms_no_node_is_not_waited_for(guarded: Conversation, question: bytes) -> None:
    """A node that hangs in the handshake, or loads its chain, keeps no guard when the plugin has gone."""
    guarded.plugin.send(question)
    assert guarded.node.take() == question
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    guarded.ends()


def test_references_are_kept_as_long_as_they_are_needed(guarded: Conversation) -> None:
    """The plugin's releases of handlers and threads reach the node when their subscriptions have ended."""
    guarded.subscribed()
    guarded.plugin.send(release(TRACE_HANDLER), release(THREAD, 2), release(77), release(THREAD))
    assert guarded.node.take() == release(77)
    guarded.plugin.close()
    question = disconnected(guarded, TRACE_HANDLER)
    guarded.node.send(destroy(902, UTXO_CACHE_TRACE, 2))
    assert guarded.node.take() == wire.answer_to(902)
    assert guarded.node.take() == release(TRACE_HANDLER), "and not the thread, which the other one needs"
    guarded.node.send(answer(question))
    assert guarded.node.take() == wire.finish_of(question)
    question = disconnected(guarded, CHAIN_HANDLER)
    guarded.node.send(destroy(901, CHAIN_NOTIFICATIONS, 1))
    assert guarded.node.take() == wire.answer_to(901)
    assert guarded.node.take() == release(THREAD, 3)
    guarded.node.send(finish(901), finish(902), answer(question))
    assert guarded.node.take() == wire.finish_of(question)
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_plugin_that_unsubscribes_itself_leaves_nothing_to_do(guarded: Conversation) -> None:
    """The guard disconnects what the plugin wants to end, and that alone, and releases what was let go of."""
    guarded.subscribed()
    for question, handler, interface, callback in (
        (5, TRACE_HANDLER, UTXO_CACHE_TRACE, 2),
        (6, CHAIN_HANDLER, CHAIN_NOTIFICATIONS, 1),
    ):
        gives_up(guarded, question, handler)
        guarded.plugin.send(release(handler))
        its_end = disconnected(guarded, handler)
        guarded.node.send(destroy(900 + callback, interface, callback))
        assert guarded.node.take() == wire.answer_to(900 + callback)
        assert guarded.node.take() == release(handler)
        handed(guarded, destroy(900 + callback, interface, callback))
        guarded.node.send(finish(900 + callback), answer(its_end))
        assert guarded.node.take() == wire.finish_of(its_end)
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_handler_is_never_disconnected_twice_at_once(guarded: Conversation) -> None:
    """While a disconnect is under way, neither another of the plugin's nor its end brings a second one."""
    guarded.subscribed()
    gives_up(guarded, 5, TRACE_HANDLER)
    trace = disconnected(guarded, TRACE_HANDLER)
    gives_up(guarded, 6, TRACE_HANDLER)
    gives_up(guarded, 7, CHAIN_HANDLER)
    guarded.plugin.send(ask_node(8))
    assert guarded.node.take() == ask_node(8), "nothing came before it"
    guarded.node.send(answer(8))
    guarded.plugin.close()
    let_go(guarded, trace, UTXO_CACHE_TRACE, 2)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    assert guarded.node.at_the_end()
    guarded.ends()


def test_nor_between_destroy_and_the_first_ones_return(guarded: Conversation) -> None:
    """A disconnect is under way until it has returned, though the node has called `destroy` already."""
    guarded.subscribed()
    gives_up(guarded, 5, TRACE_HANDLER)
    trace = disconnected(guarded, TRACE_HANDLER)
    event = destroy(902, UTXO_CACHE_TRACE, 2)
    guarded.node.send(event)
    assert guarded.node.take() == wire.answer_to(902)
    handed(guarded, event)
    gives_up(guarded, 6, TRACE_HANDLER)
    guarded.node.send(answer(trace))
    assert guarded.node.take() == wire.finish_of(trace), "and no second disconnect came before it"


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
    assert guarded.node.at_the_end()
    assert guarded.now - began == pytest.approx(subscriptions.ANSWER_SECONDS)
    guarded.ends()


def test_a_node_that_loads_is_left_after_a_second(guarded: Conversation) -> None:
    """A makeMining that has not returned waits for the chain: it is no reason to stay."""
    began = guarded.now
    guarded.plugin.send(call(1, INIT, "makeMining", context={}))
    guarded.plugin.close()
    guarded.node.take()
    assert guarded.node.at_the_end()
    assert guarded.now - began == pytest.approx(relay.LOADING_SECONDS)


def test_a_disconnect_that_never_returns_is_waited_for_without_end(guarded: Conversation) -> None:
    """With a subscription, or its disconnect, in the air the node's socket is never closed by time alone."""
    guarded.subscribed()
    guarded.plugin.close()
    disconnected(guarded, TRACE_HANDLER)
    assert not guarded.passes()
    guarded.node.send(destroy(902, UTXO_CACHE_TRACE, 2))
    assert guarded.node.take() == wire.answer_to(902)
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
    guarded.node.send(destroy(60, CHAIN_NOTIFICATIONS, 1))
    assert guarded.node.take() == wire.answer_to(60)
    guarded.node.send(finish(60))
    assert guarded.node.at_the_end()
