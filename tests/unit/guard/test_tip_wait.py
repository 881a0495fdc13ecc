"""The wait for the tip, by which the guard learns of the node's stop."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from support.conversation import (
    CHAIN_HANDLER,
    NEXT_TIP,
    NO_TIP,
    TIP,
    TRACE_HANDLER,
    Conversation,
    ask_node,
    disconnected,
    left,
    let_go,
    repeated,
)
from support.frames import (
    answer,
    failure,
    finish,
    handler_for,
    subscribe_chain,
    tip_is,
    wait_tip,
)
from support.layouts import PLACES, Place, respread

from telegraf_bitcoin_ipc.guard import wire


@pytest.mark.parametrize("place", PLACES)
def test_a_wait_without_a_limit_is_taken_over(guarded: Conversation, place: Place) -> None:
    """It is repeated with a limit under the guard's questions, and answered only when the node begins to stop."""
    guarded.plugin.send(respread(wait_tip(5, NO_TIP), place))
    question = repeated(guarded, NO_TIP)
    for tip in (TIP, TIP, NEXT_TIP):
        guarded.node.send(tip_is(question, tip))
        assert guarded.node.take() == wire.finish_of(question)
        question = repeated(guarded, tip)
    assert guarded.plugin.silent()
    guarded.node.send(failure(question, "thread busy"))
    assert guarded.node.take() == wire.finish_of(question)
    question = repeated(guarded, NEXT_TIP)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == wire.finish_of(question)
    assert guarded.plugin.take() == tip_is(5, None)
    guarded.plugin.send(finish(5), ask_node(5))
    assert guarded.node.take() == ask_node(5), "the node never heard of the plugin's question"
    guarded.node.send(answer(5))
    assert guarded.plugin.take() == answer(5)


def test_a_wait_that_the_plugin_gave_up_goes_on(guarded: Conversation) -> None:
    """Its finish is the guard's; the id is the plugin's again, and the node's stop still ends subscriptions."""
    guarded.subscribed()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    guarded.plugin.send(finish(5), ask_node(5))
    assert guarded.node.take() == ask_node(5)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == wire.finish_of(question)
    trace = disconnected(guarded, TRACE_HANDLER)
    guarded.node.send(answer(5))
    assert guarded.plugin.take() == answer(5), "and no answer to what it no longer asks"
    let_go(guarded, trace, TRACE_HANDLER)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_HANDLER)


def test_a_wait_with_a_limit_passes(guarded: Conversation) -> None:
    """A waitTipChanged with a time limit, and a second one without, are the plugin's own."""
    guarded.plugin.send(wait_tip(5, TIP, timeout=250.0))
    assert guarded.node.take() == wait_tip(5, TIP, timeout=250.0)
    guarded.node.send(tip_is(5, TIP))
    assert guarded.plugin.take() == tip_is(5, TIP)
    guarded.plugin.send(wait_tip(6, TIP), wait_tip(7, TIP))
    repeated(guarded, TIP)
    assert guarded.node.take() == wait_tip(7, TIP)


def test_the_wait_ends_with_the_plugin(guarded: Conversation) -> None:
    """After the plugin's end the wait is not repeated, and its answer is not waited for: the node is let go."""
    guarded.plugin.send(wait_tip(5, NO_TIP))
    repeated(guarded, NO_TIP)
    guarded.plugin.close()
    left(guarded)


def test_the_pause_of_a_busy_node_grows(guarded: Conversation) -> None:
    """While the node's thread is busy the wait is repeated after 10 ms, 20 ms ... 1 s; a tip ends that."""
    guarded.plugin.send(wait_tip(5, NO_TIP))
    for round_ in range(2):
        question = repeated(guarded, TIP if round_ else NO_TIP)
        pauses = []
        for _ in range(10):
            before = guarded.now
            guarded.node.send(failure(question, "std::exception: thread busy"))
            assert guarded.node.take() == wire.finish_of(question)
            assert guarded.node.silent()
            question = repeated(guarded, TIP if round_ else NO_TIP)
            pauses.append(round(guarded.now - before, 6))
        assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 1, 1]
        guarded.node.send(tip_is(question, TIP))
        assert guarded.node.take() == wire.finish_of(question)
    assert guarded.plugin.silent()


def of_another_outcome(question: int) -> bytes:
    """A Return that is neither results nor an exception: `canceled`."""
    frame = bytearray(failure(question, "no"))
    struct.pack_into("<H", frame, frame.index(struct.pack("<IHH", question, 0, 1)) + 6, 2)
    return bytes(frame)


LAST: dict[str, Callable[[int], bytes]] = {
    "the node stops": lambda question: tip_is(question, None),
    "an exception": lambda question: failure(question, "std::exception: a simulated failure"),
    "an exception without a reason": lambda question: failure(question, ""),
    "a short hash": lambda question: tip_is(question, bytes(31)),
    "another outcome": of_another_outcome,
}


@pytest.mark.parametrize("reply", LAST.values(), ids=LAST)
def test_a_node_that_stops_or_cannot_tell_of_it_is_not_subscribed_to(
    guarded: Conversation, reply: Callable[[int], bytes]
) -> None:
    """The plugin gets that answer as its own; what is subscribed, then or later, is ended; nothing is repeated."""
    guarded.subscribed()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    guarded.node.send(reply(question))
    assert guarded.node.take() == wire.finish_of(question)
    trace = disconnected(guarded, TRACE_HANDLER)
    assert guarded.plugin.take() == reply(5)
    let_go(guarded, trace, TRACE_HANDLER)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_HANDLER)
    assert guarded.due is None
    guarded.plugin.send(finish(5), subscribe_chain(6))
    assert guarded.node.take() == subscribe_chain(6), "the node never heard of question 5"
    guarded.node.send(handler_for(6, CHAIN_HANDLER))
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_HANDLER)
    guarded.plugin.send(ask_node(7))
    assert guarded.node.take() == ask_node(7), "and the plugin goes on"
