"""The real guard as a process, with the node's side and the plugin's side both played by the test."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.conversation import (
    CHAIN_HANDLER,
    NO_TIP,
    TRACE_HANDLER,
    ask_node,
    disconnected,
    forwarded,
    in_order,
    let_go,
    question_of,
    repeated,
    still_answers,
    teardown,
)
from support.frames import (
    CHAIN_NOTIFICATIONS,
    NODE_TABLE,
    UTXO_CACHE_TRACE,
    abort,
    answer,
    call,
    finish,
    handler_for,
    reading,
    subscribe_chain,
    tip_is,
    transaction,
    utxo,
    wait_tip,
)
from support.guard import RunningGuard
from support.layouts import Place, respread

from telegraf_bitcoin_ipc.guard import contract, wire

MEGABYTE = 1 << 20
Start = Callable[..., RunningGuard]
PLACES: tuple[Place, ...] = ("near", "far", "double far")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start guards, which end with the test; where it did not fail, by themselves."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RunningGuard(**options))


def test_what_is_no_stream_of_frames_passes_to_the_plugin(start: Start) -> None:
    """From where the node's bytes are no frames, they pass as they come."""
    guarded = start()
    guarded.node.send(answer(1), b"\xff" * 24, answer(2))
    assert guarded.plugin.take() == answer(1)
    assert guarded.plugin.exactly(24) == b"\xff" * 24
    assert guarded.plugin.take() == answer(2)


@pytest.mark.parametrize("place", PLACES)
def test_an_event_is_answered_and_forwarded(start: Start, place: Place) -> None:
    """The node gets its answer, the plugin the same call under another question and without capabilities."""
    guarded = start()
    event = respread(transaction(5, b"a transaction", callback=3), place)
    guarded.node.send(event)
    assert guarded.node.take() == wire.answer_to(5)
    received = guarded.plugin.take()
    assert len(received) == len(event)
    with reading(received) as message, reading(event) as original:
        assert message.call.questionId > wire.OWN_IDS
        assert message.call.interfaceId == original.call.interfaceId
        assert message.call.methodId == original.call.methodId
        assert message.call.target.importedCap == 3
        assert [each.which() for each in message.call.params.capTable] == ["none"] * len(NODE_TABLE)
    if place == "near":
        assert in_order(received) == forwarded(event, question_of(received))


def block(question: int, data: bytes) -> bytes:
    """Return a `blockConnected`."""
    return call(
        question,
        CHAIN_NOTIFICATIONS,
        "blockConnected",
        table=NODE_TABLE,
        pins={(0, 0): 0},
        context={},
        role={},
        block={"data": data},
    )


def test_blocks_that_wait_are_not_mixed_up(start: Start) -> None:
    """Blocks of any size arrive as they were sent: while others wait for the plugin, and when none does."""
    guarded = start()
    sent = [block(5, os.urandom(size)) for size in (2 * MEGABYTE, MEGABYTE, 3 * MEGABYTE, MEGABYTE // 2)]
    for _ in range(2):
        for event in sent:
            guarded.node.send(event, finish(5))
            assert guarded.node.take() == wire.answer_to(5)
        for event in sent:
            received = guarded.plugin.take()
            assert in_order(received) == forwarded(event, question_of(received))
    for event in sent:
        guarded.node.send(event, finish(5))
        assert guarded.node.take() == wire.answer_to(5)
        received = guarded.plugin.take()
        assert in_order(received) == forwarded(event, question_of(received))


def test_a_block_of_48_mebibytes_passes(start: Start) -> None:
    """A frame that is larger than everything that may wait is answered, and forwarded whole."""
    guarded = start()
    event = block(5, os.urandom(MEGABYTE) * 48)
    guarded.node.send(event)
    assert guarded.node.take() == wire.answer_to(5)
    received = guarded.plugin.take()
    assert in_order(received) == forwarded(event, question_of(received))
    assert guarded.totals()["events_dropped"] == 0


def test_it_is_added_up_before_it_is_answered(start: Start) -> None:
    """At the moment of an answer its event is in the totals, burst or not."""
    guarded = start()
    for number in range(500):
        guarded.node.send(utxo(number, "spend", value=3))
        assert guarded.node.take() == wire.answer_to(number)
        assert guarded.totals()["spend"] == number + 1
    assert guarded.totals()["spend_value"] == 1500


def test_a_plugin_that_never_reads_costs_only_events(start: Start) -> None:
    """Every event is answered; the oldest are dropped and counted, answers never, and the order stays."""
    guarded = start()
    count, size = 48, MEGABYTE
    for number in range(count):
        tx = struct.pack("<I", number) + bytes(size)
        guarded.node.send(transaction(number, tx), answer(1000 + number))
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.send(answer(9999), transaction(count, struct.pack("<I", count)))
    assert guarded.node.take() == wire.answer_to(count)
    dropped = guarded.totals()["events_dropped"]
    assert 10 <= dropped < count - 28, "32 MiB wait in the guard, and some in the socket"

    events, answers = [], []
    while count not in events:
        frame = guarded.plugin.take()
        with reading(frame) as message:
            if message.which() == "call":
                events.append(_number_in(frame))
            else:
                answers.append(getattr(message, "return").answerId)
    assert events.pop() == count
    assert answers == [*range(1000, 1000 + count), 9999], "what is no event is never dropped"
    assert events == sorted(events)
    assert len(events) + dropped == count
    kept_last = list(range(count - 20, count))
    assert events[-20:] == kept_last, "the newest are kept"
    assert guarded.totals()["events_dropped"] == dropped


def _number_in(frame: bytes) -> int:
    """The number that a transaction of the flood begins with."""
    tx = contract.parameters(wire.Message.of(frame).body).data(1)
    number: int = struct.unpack_from("<I", tx)[0]
    return number


def test_the_teardown_ends_each_subscription_and_then_closes(start: Start) -> None:
    """After the plugin's end handlers are disconnected one by one, the last one first, then the node is let go."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.close()
    teardown(guarded)


def test_what_the_plugin_said_last_reaches_the_node(start: Start) -> None:
    """The plugin's frames before its end are relayed, however it ended."""
    guarded = start()
    guarded.plugin.send(ask_node(1), subscribe_chain(2))
    guarded.plugin.close()
    assert guarded.node.take() == ask_node(1)
    assert guarded.node.take() == subscribe_chain(2)
    guarded.node.send(answer(1), handler_for(2, CHAIN_HANDLER))
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    assert guarded.node.at_the_end()
    guarded.ends()


@pytest.mark.parametrize(
    "words",
    [abort("the plugin's end"), abort("once") + abort("and again"), b"\xff" * 24, abort("and") + ask_node(1)],
    ids=["an abort", "two aborts", "no frame", "an abort and a call"],
)
def test_a_plugin_that_gives_up_is_at_its_end(start: Start, words: bytes) -> None:
    """An abort, or what is no frame, does not reach the node: it is the plugin's end, and teardown begins."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(words)
    teardown(guarded)
    assert guarded.plugin.at_the_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE])
def test_signals_are_ignored(start: Start, number: signal.Signals) -> None:
    """What ends other programs does not end this one: it goes on, and tears down."""
    guarded = start()
    guarded.subscribed()
    os.kill(guarded.process.pid, number)
    still_answers(guarded, 50)
    guarded.plugin.send(ask_node(3))
    assert guarded.node.take() == ask_node(3)
    guarded.node.send(answer(3))
    guarded.plugin.close()
    teardown(guarded)


def test_queued_events_reach_the_plugin_after_the_nodes_end(start: Start) -> None:
    """What waits for the plugin when the node goes is delivered whole, then the stream ends, then the guard."""
    guarded = start()
    events = [transaction(number, bytes([number]) * MEGABYTE) for number in range(8)]
    for number, event in enumerate(events):
        guarded.node.send(event)
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.close()
    for event in events:
        received = guarded.plugin.take()
        assert in_order(received) == forwarded(event, question_of(received))
    assert guarded.plugin.at_the_end()
    guarded.ends()


def test_the_end_of_both_is_the_guards(start: Start) -> None:
    """A subscription does not hold the guard when the node has gone, nor a plugin that does not read."""
    guarded = start()
    guarded.subscribed()
    guarded.node.send(*(transaction(number, bytes(MEGABYTE)) for number in range(4)))
    for number in range(4):
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.close()
    guarded.plugin.close()
    guarded.ends()


def test_a_node_that_stops_is_left_by_a_plugin_that_does_not_read(start: Start) -> None:
    """When the node begins to stop its subscriptions are ended at once, whatever the plugin is doing."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    for number in range(100, 104):
        guarded.node.send(transaction(number, bytes(MEGABYTE)))
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == wire.finish_of(question)
    let_go(guarded, disconnected(guarded, TRACE_HANDLER), UTXO_CACHE_TRACE, 2)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    guarded.node.close()
    for _ in range(4):
        assert len(guarded.plugin.take()) > MEGABYTE
    rest = [guarded.plugin.take() for _ in range(3)]
    assert tip_is(5, None) in rest, "beside both callbacks' `destroy`"
    assert guarded.plugin.at_the_end()
    guarded.ends()
