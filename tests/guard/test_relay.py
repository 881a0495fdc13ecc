"""The real guard as a process, with the node's side and the plugin's side both played by the test."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.guard import (
    CHAIN_NOTIFICATIONS,
    INIT,
    NODE,
    NODE_TABLE,
    SERVER_THREAD,
    THREAD,
    THREAD_MAP,
    UTXO_CACHE_TRACE,
    Capability,
    Place,
    RunningGuard,
    Struct,
    Structs,
    abort,
    answer,
    bootstrap,
    call,
    destroy,
    disembargo,
    failure,
    finish,
    frame_with,
    handler_for,
    reading,
    release,
    respread,
    subscribe_chain,
    subscribe_utxo,
    tip_is,
    transaction,
    tree_of,
    utxo,
    wait_tip,
)

from telegraf_bitcoin_ipc.ipc import guard

CHAIN_HANDLER, TRACE_HANDLER = 21, 22
NO_TIP, TIP, NEXT_TIP = bytes(32), b"\x01" * 32, b"\x02" * 32
MEGABYTE = 1 << 20
Start = Callable[..., RunningGuard]


PLACES: tuple[Place, ...] = ("near", "far", "double far")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start guards, which end with the test; where it did not fail, by themselves."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RunningGuard(**options))


def ask_node(question: int) -> bytes:
    """A call of the plugin's that is none of the guard's business."""
    table = (("receiverHosted", THREAD),)
    return call(question, NODE, "getNumBlocks", target=9, table=table, pins={(0, 0): 0}, context={})


def question_of(frame: bytes) -> int:
    """The question's id of a Call."""
    with reading(frame) as message:
        number: int = message.call.questionId
        return number


def handed_on(event: bytes, question: int) -> bytes:
    """What the plugin gets of an event in one segment: another question, and no capabilities."""
    tree = tree_of(event)
    assert isinstance(tree, Struct)
    (body,) = tree.pointers
    assert isinstance(body, Struct)
    body.data = struct.pack("<I", question) + body.data[4:]
    payload = body.pointers[1]
    assert isinstance(payload, Struct)
    if isinstance(payload.pointers[1], Structs):
        for descriptor in payload.pointers[1].items:
            descriptor.data = bytes(2) + descriptor.data[2:]
    return frame_with(tree, lambda: "near")


def in_order(frame: bytes) -> bytes:
    """The same message with its parts in the order of `handed_on`."""
    return frame_with(tree_of(frame), lambda: "near")


def disconnected(guarded: RunningGuard, handler: int) -> int:
    """Take the guard's call of a handler's disconnect; returns its question."""
    frame = guarded.node.take()
    question = question_of(frame)
    assert frame == guard.disconnect_of(question, handler, THREAD)
    assert question > guard.OWN_IDS
    return question


def let_go(guarded: RunningGuard, question: int, interface: object, callback: int) -> None:
    """Answer a disconnect as a node does: `destroy` of the callback first."""
    guarded.node.send(destroy(900 + callback, interface, callback))
    assert guarded.node.take() == guard.answer_to(900 + callback)
    guarded.node.send(answer(question))
    assert guarded.node.take() == guard.finish_of(question)


def last_will(guarded: RunningGuard) -> None:
    """See both subscriptions ended in the right order, and the node's socket closed."""
    let_go(guarded, disconnected(guarded, TRACE_HANDLER), UTXO_CACHE_TRACE, 2)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    assert guarded.node.at_the_end()
    guarded.ends()


CALLBACKS = {TRACE_HANDLER: (UTXO_CACHE_TRACE, 2), CHAIN_HANDLER: (CHAIN_NOTIFICATIONS, 1)}


def any_disconnected(guarded: RunningGuard) -> tuple[int, int]:
    """Take the guard's call of some handler's disconnect; returns the handler and the question."""
    frame = guarded.node.take()
    with reading(frame) as message:
        handler, question = message.call.target.importedCap, message.call.questionId
    assert frame == guard.disconnect_of(question, handler, THREAD)
    assert handler in CALLBACKS
    return handler, question


def last_will_in_any_order(guarded: RunningGuard) -> None:
    """See both subscriptions ended one after the other, and the node's socket closed."""
    ended = set()
    for _ in CALLBACKS:
        handler, question = any_disconnected(guarded)
        let_go(guarded, question, *CALLBACKS[handler])
        ended.add(handler)
    assert ended == set(CALLBACKS)
    assert guarded.node.at_the_end()
    guarded.ends()


def still_answers(guarded: RunningGuard, question: int) -> None:
    """Nothing has been sent to the node before the answer to the event that is sent now."""
    guarded.node.send(transaction(question))
    assert guarded.node.take() == guard.answer_to(question)


# Relaying


STRANGE = (
    guard.frame_of(),
    guard.frame_of(0xFFFFFFFFFFFFFFFF, 1, 2),
    guard.frame_of(2 | 9 << 32),
    disembargo(3),
    respread(disembargo(3), "double far"),
    failure(17, "no"),
    answer(18, table=(("senderHosted", 5),)),
    finish(19),
    release(20, 3),
)


def test_what_is_not_understood_passes_both_ways(start: Start) -> None:
    """Frames that are none of the guard's business, or nonsense, pass byte for byte and in their order."""
    guarded = start()
    stream = b"".join(STRANGE)
    guarded.node.send(stream)
    assert guarded.plugin.exactly(len(stream)) == stream
    guarded.plugin.send(stream)
    assert guarded.node.exactly(len(stream)) == stream


def test_calls_and_answers_pass_both_ways(start: Start) -> None:
    """What the plugin asks reaches the node, and the answer the plugin."""
    guarded = start()
    exchange = [(bootstrap(0), answer(0)), (ask_node(1), answer(1)), (ask_node(2), failure(2, "no"))]
    for question, reply in exchange:
        guarded.plugin.send(question)
        assert guarded.node.take() == question
        guarded.node.send(reply)
        assert guarded.plugin.take() == reply


def test_what_is_no_stream_of_frames_passes_to_the_plugin(start: Start) -> None:
    """From where the node's bytes are no frames, they pass as they come."""
    guarded = start()
    guarded.node.send(answer(1), b"\xff" * 24, answer(2))
    assert guarded.plugin.take() == answer(1)
    assert guarded.plugin.exactly(24) == b"\xff" * 24
    assert guarded.plugin.take() == answer(2)


@pytest.mark.parametrize("place", PLACES)
def test_an_event_is_answered_and_handed_on(start: Start, place: Place) -> None:
    """The node gets its answer, the plugin the same call under another question and without capabilities."""
    guarded = start()
    event = respread(transaction(5, b"a transaction", callback=3), place)
    guarded.node.send(event)
    assert guarded.node.take() == guard.answer_to(5)
    received = guarded.plugin.take()
    assert len(received) == len(event)
    with reading(received) as message, reading(event) as original:
        assert message.call.questionId > guard.OWN_IDS
        assert message.call.interfaceId == original.call.interfaceId
        assert message.call.methodId == original.call.methodId
        assert message.call.target.importedCap == 3
        assert [each.which() for each in message.call.params.capTable] == ["none"] * len(NODE_TABLE)
    if place == "near":
        assert in_order(received) == handed_on(event, question_of(received))


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
            assert guarded.node.take() == guard.answer_to(5)
        for event in sent:
            received = guarded.plugin.take()
            assert in_order(received) == handed_on(event, question_of(received))
    for event in sent:
        guarded.node.send(event, finish(5))
        assert guarded.node.take() == guard.answer_to(5)
        received = guarded.plugin.take()
        assert in_order(received) == handed_on(event, question_of(received))


def test_a_block_of_48_mebibytes_passes(start: Start) -> None:
    """A frame that is larger than everything that may wait is answered, and handed on whole."""
    guarded = start()
    event = block(5, os.urandom(MEGABYTE) * 48)
    guarded.node.send(event)
    assert guarded.node.take() == guard.answer_to(5)
    received = guarded.plugin.take()
    assert in_order(received) == handed_on(event, question_of(received))
    assert guarded.totals()["events_dropped"] == 0


def test_returns_and_finishes_of_events_stay_in_between(start: Start) -> None:
    """The plugin's return is answered with a finish, the node's finish goes nowhere; each sees what it expects."""
    guarded = start()
    guarded.node.send(transaction(5))
    assert guarded.node.take() == guard.answer_to(5)
    question = question_of(guarded.plugin.take())
    guarded.plugin.send(answer(question))
    assert guarded.plugin.take() == guard.finish_of(question)
    guarded.node.send(finish(5), finish(5), finish(6))
    assert guarded.plugin.take() == finish(5), "only the first was the event's"
    assert guarded.plugin.take() == finish(6)
    guarded.plugin.send(answer(4))
    assert guarded.node.take() == answer(4), "a return to another question is the node's"


def test_a_failure_of_the_plugin_stays_away_from_the_node(start: Start) -> None:
    """A plugin that raises in a callback, or lacks the method, does not harm the node."""
    guarded = start()
    guarded.node.send(transaction(5))
    assert guarded.node.take() == guard.answer_to(5)
    question = question_of(guarded.plugin.take())
    guarded.plugin.send(failure(question, "a plugin's mistake"), ask_node(1))
    assert guarded.plugin.take() == guard.finish_of(question)
    assert guarded.node.take() == ask_node(1)


# Counting


@pytest.mark.parametrize("hand_on", [False, True])
def test_utxo_events_are_added_up(start: Start, hand_on: bool) -> None:
    """Counts, values and unconfirmed additions are exact, in any layout, and handed on only if asked for."""
    guarded = start(hand_on_utxo=hand_on)
    events = [
        ("add", 7, 100),
        ("add", guard.UNCONFIRMED_HEIGHT, 21_000_000 * 10**8),
        ("spend", guard.UNCONFIRMED_HEIGHT, 30),
        ("uncache", 5, 1),
        ("add", 0, 0),
        ("spend", 9, -1),
        ("uncache", 9, 2**62),
    ]
    frames = [
        respread(utxo(number, action, height=height, value=value), PLACES[number % 3])
        for number, (action, height, value) in enumerate(events)
    ]
    guarded.node.send(*frames)
    for number in range(len(events)):
        assert guarded.node.take() == guard.answer_to(number)
    assert guarded.totals() == {
        "add": 3,
        "spend": 2,
        "uncache": 2,
        "add_value": 21_000_000 * 10**8 + 100,
        "spend_value": 30,
        "uncache_value": 2**62 + 1,
        "add_unconfirmed": 1,
        "events_dropped": 0,
    }
    guarded.node.send(answer(99))
    if hand_on:
        received = [guarded.plugin.take() for _ in events]
        assert [len(frame) for frame in received] == [len(frame) for frame in frames]
    assert guarded.plugin.take() == answer(99)


def test_it_is_added_up_before_it_is_answered(start: Start) -> None:
    """At the moment of an answer its event is in the totals, burst or not."""
    guarded = start()
    for number in range(500):
        guarded.node.send(utxo(number, "spend", value=3))
        assert guarded.node.take() == guard.answer_to(number)
        assert guarded.totals()["spend"] == number + 1
    assert guarded.totals()["spend_value"] == 1500


def test_a_coin_that_cannot_be_read_is_answered_and_counted(start: Start) -> None:
    """A UTXO event without its coin is answered, and counted as lost."""
    guarded = start()
    guarded.node.send(call(5, UTXO_CACHE_TRACE, "add"))
    assert guarded.node.take() == guard.answer_to(5)
    assert guarded.totals()["events_dropped"] == 1
    assert guarded.totals()["add"] == 0


def test_values_beyond_all_coins_do_not_end_it(start: Start) -> None:
    """A sum that no longer fits begins again from zero; the events are answered as ever."""
    guarded = start()
    for number in range(3):
        guarded.node.send(utxo(number, "add", value=2**63 - 1))
        assert guarded.node.take() == guard.answer_to(number)
    assert guarded.totals()["add_value"] == 3 * (2**63 - 1) - 2**64


def test_a_destroy_on_nothing_is_answered_once(start: Start) -> None:
    """Where the target of a `destroy` cannot be read, the guard's answer is the only one that the node gets."""
    guarded = start()
    event = destroy(5, CHAIN_NOTIFICATIONS, 1)
    tree = tree_of(event)
    assert isinstance(tree, Struct)
    body = tree.pointers[0]
    assert isinstance(body, Struct)
    body.pointers[0] = None
    guarded.node.send(frame_with(tree, lambda: "near"), answer(1))
    assert guarded.node.take() == guard.answer_to(5)
    assert question_of(guarded.plugin.take()) > guard.OWN_IDS
    assert guarded.plugin.take() == answer(1)


def test_a_plugin_that_never_reads_costs_only_events(start: Start) -> None:
    """Every event is answered; the oldest are dropped and counted, answers never, and the order stays."""
    guarded = start()
    count, size = 48, MEGABYTE
    for number in range(count):
        tx = struct.pack("<I", number) + bytes(size)
        guarded.node.send(transaction(number, tx), answer(1000 + number))
        assert guarded.node.take() == guard.answer_to(number)
    guarded.node.send(answer(9999), transaction(count, struct.pack("<I", count)))
    assert guarded.node.take() == guard.answer_to(count)
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
    table, _, segment, at = guard.message(frame)
    *_, segment, pointers = guard.read_call(frame, table, segment, at)
    segment, _, payload = guard.struct_at(frame, table, segment, pointers + 8, 0, 2)
    segment, _, content = guard.struct_at(frame, table, segment, payload, 0, 2)
    start, _ = guard.read_data(frame, table, segment, content + 8)
    number: int = struct.unpack_from("<I", frame, start)[0]
    return number


# The last will


def test_the_last_will_ends_each_subscription_and_then_closes(start: Start) -> None:
    """After the plugin's end handlers are disconnected one by one, the last one first, then the node is let go."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.close()
    last_will(guarded)


def test_the_last_will_is_repeated_while_the_thread_is_busy(start: Start) -> None:
    """A refused disconnect is sent again until it is taken, and callbacks are answered meanwhile."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.close()
    for number in range(5):
        _, question = any_disconnected(guarded)
        still_answers(guarded, 100 + number)
        guarded.node.send(utxo(200 + number, "add"))
        assert guarded.node.take() == guard.answer_to(200 + number), "and one disconnect at a time"
        guarded.node.send(failure(question, "std::exception: thread busy"))
        assert guarded.node.take() == guard.finish_of(question)
    assert guarded.totals()["add"] == 5
    last_will_in_any_order(guarded)


def test_the_node_is_not_let_go_before_destroy(start: Start) -> None:
    """A disconnect that returned is not the end of a subscription: it is asked for until `destroy` comes."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.close()
    question = disconnected(guarded, TRACE_HANDLER)
    guarded.node.send(answer(question))
    assert guarded.node.take() == guard.finish_of(question)
    last_will_in_any_order(guarded)


def test_a_subscription_without_an_answer_is_waited_for(start: Start) -> None:
    """A subscribing call that the node has not answered at the plugin's end is ended once it has."""
    guarded = start()
    guarded.plugin.send(subscribe_chain(1))
    assert guarded.node.take() == subscribe_chain(1)
    guarded.plugin.close()
    still_answers(guarded, 50)
    still_answers(guarded, 51)
    guarded.node.send(handler_for(1, CHAIN_HANDLER))
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_subscription_that_was_given_up_is_ended_all_the_same(start: Start) -> None:
    """A Finish before the answer reaches the node, which frees the handler then, only after the last will."""
    guarded = start()
    given_up = guard.finish_of(1)
    guarded.plugin.send(subscribe_chain(1), given_up, ask_node(2))
    assert guarded.node.take() == subscribe_chain(1)
    assert guarded.node.take() == ask_node(2)
    guarded.node.send(handler_for(1, CHAIN_HANDLER), answer(2))
    assert guarded.plugin.take() == answer(2)
    guarded.plugin.close()
    question = disconnected(guarded, CHAIN_HANDLER)
    guarded.node.send(answer(question), destroy(60, CHAIN_NOTIFICATIONS, 1))
    assert guarded.node.take() == guard.finish_of(question)
    assert guarded.node.take() == guard.answer_to(60)
    assert guarded.node.take() == given_up
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_subscription_that_was_refused_holds_nothing_up(start: Start) -> None:
    """Where the node answers a subscribing call with an exception there is nothing to end."""
    guarded = start()
    guarded.plugin.send(subscribe_chain(1), subscribe_utxo(2))
    guarded.node.take()
    guarded.node.take()
    guarded.node.send(failure(1, "no"))
    assert guarded.plugin.take() == failure(1, "no")
    guarded.plugin.close()
    guarded.node.send(failure(2, "no"))
    assert guarded.node.at_the_end()
    guarded.ends()


def test_the_node_is_let_go_at_once_when_nothing_stands(start: Start) -> None:
    """Without subscriptions and questions the node's socket closes with the plugin's."""
    guarded = start()
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    guarded.ends()


def test_every_call_on_a_server_thread_is_waited_for(start: Start) -> None:
    """A socket that closes in the middle of a call harms a node: each has to be answered first."""
    guarded = start()
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


HARMLESS = {
    "a bootstrap": bootstrap(0),
    "the first call": call(1, INIT, "construct"),
    "a new thread": call(1, THREAD_MAP, "makeThread", name="poll"),
    "a thread's name": call(1, SERVER_THREAD, "getName"),
    "a wait for the tip": wait_tip(1, NO_TIP, timeout=250.0),
    "a wait for the chain": call(1, INIT, "makeMining", context={}),
}


@pytest.mark.parametrize("question", HARMLESS.values(), ids=HARMLESS)
def test_a_question_that_harms_no_node_is_not_waited_for(start: Start, question: bytes) -> None:
    """A node that hangs in the handshake, or loads its chain, keeps no guard when the plugin has gone."""
    guarded = start()
    guarded.plugin.send(question)
    assert guarded.node.take() == question
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    guarded.ends()


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
    """An abort, or what is no frame, does not reach the node: it is the plugin's end, and the last will is due."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(words)
    last_will(guarded)
    assert guarded.plugin.at_the_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE])
def test_signals_are_ignored(start: Start, number: signal.Signals) -> None:
    """What ends other programs does not end this one: it goes on, and executes the last will."""
    guarded = start()
    guarded.subscribed()
    os.kill(guarded.process.pid, number)
    still_answers(guarded, 50)
    guarded.plugin.send(ask_node(3))
    assert guarded.node.take() == ask_node(3)
    guarded.node.send(answer(3))
    guarded.plugin.close()
    last_will(guarded)


# The references that the last will needs


def test_references_are_kept_as_long_as_they_are_needed(start: Start) -> None:
    """The plugin's releases of handlers and threads reach the node when their subscriptions have ended."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(release(TRACE_HANDLER), release(THREAD, 2), release(77), release(THREAD))
    assert guarded.node.take() == release(77)
    guarded.plugin.close()
    question = disconnected(guarded, TRACE_HANDLER)
    guarded.node.send(destroy(902, UTXO_CACHE_TRACE, 2))
    assert guarded.node.take() == guard.answer_to(902)
    assert guarded.node.take() == release(TRACE_HANDLER), "and not the thread, which the other one needs"
    guarded.node.send(answer(question))
    assert guarded.node.take() == guard.finish_of(question)
    question = disconnected(guarded, CHAIN_HANDLER)
    guarded.node.send(destroy(901, CHAIN_NOTIFICATIONS, 1))
    assert guarded.node.take() == guard.answer_to(901)
    assert guarded.node.take() == release(THREAD, 3)
    guarded.node.send(answer(question))
    assert guarded.node.take() == guard.finish_of(question)
    assert guarded.node.at_the_end()
    guarded.ends()


def gives_up(guarded: RunningGuard, question: int, handler: int) -> None:
    """Have the plugin disconnect a handler: it has its answer at once, and its `Finish` goes nowhere."""
    guarded.plugin.send(guard.disconnect_of(question, handler, THREAD))
    assert guarded.plugin.take() == guard.answer_to(question)
    guarded.plugin.send(finish(question))


def handed(guarded: RunningGuard, event: bytes) -> None:
    """Take an event on the plugin's side."""
    received = guarded.plugin.take()
    assert in_order(received) == handed_on(event, question_of(received))


def test_a_plugin_that_unsubscribes_itself_leaves_nothing_to_do(start: Start) -> None:
    """The guard disconnects what the plugin wants to end, and that alone, and releases what was let go of."""
    guarded = start()
    guarded.subscribed()
    for question, handler, interface, callback in (
        (5, TRACE_HANDLER, UTXO_CACHE_TRACE, 2),
        (6, CHAIN_HANDLER, CHAIN_NOTIFICATIONS, 1),
    ):
        gives_up(guarded, question, handler)
        guarded.plugin.send(release(handler))
        its_end = disconnected(guarded, handler)
        guarded.node.send(destroy(900 + callback, interface, callback))
        assert guarded.node.take() == guard.answer_to(900 + callback)
        assert guarded.node.take() == release(handler)
        handed(guarded, destroy(900 + callback, interface, callback))
        guarded.node.send(answer(its_end))
        assert guarded.node.take() == guard.finish_of(its_end)
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_handler_is_never_disconnected_twice_at_once(start: Start) -> None:
    """While a disconnect is under way, neither another of the plugin's nor its end brings a second one."""
    guarded = start()
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


def test_nor_between_destroy_and_the_first_ones_return(start: Start) -> None:
    """A disconnect is under way until it has returned, though the node has called `destroy` already."""
    guarded = start()
    guarded.subscribed()
    gives_up(guarded, 5, TRACE_HANDLER)
    trace = disconnected(guarded, TRACE_HANDLER)
    event = destroy(902, UTXO_CACHE_TRACE, 2)
    guarded.node.send(event)
    assert guarded.node.take() == guard.answer_to(902)
    handed(guarded, event)
    gives_up(guarded, 6, TRACE_HANDLER)
    guarded.node.send(answer(trace))
    assert guarded.node.take() == guard.finish_of(trace), "and no second disconnect came before it"


def test_an_unknown_handlers_disconnect_is_relayed(start: Start) -> None:
    """A handler that is none of the subscriptions' is the plugin's own affair."""
    guarded = start()
    guarded.subscribed()
    its_call = guard.disconnect_of(5, 4711, THREAD)
    guarded.plugin.send(its_call)
    assert guarded.node.take() == its_call


# The node's end


def test_queued_events_reach_the_plugin_after_the_nodes_end(start: Start) -> None:
    """What waits for the plugin when the node goes is delivered whole, then the stream ends, then the guard."""
    guarded = start()
    events = [transaction(number, bytes([number]) * MEGABYTE) for number in range(8)]
    for number, event in enumerate(events):
        guarded.node.send(event)
        assert guarded.node.take() == guard.answer_to(number)
    guarded.node.close()
    for event in events:
        received = guarded.plugin.take()
        assert in_order(received) == handed_on(event, question_of(received))
    assert guarded.plugin.at_the_end()
    guarded.ends()


def test_the_end_of_both_is_the_guards(start: Start) -> None:
    """A subscription does not hold the guard when the node has gone, nor a plugin that does not read."""
    guarded = start()
    guarded.subscribed()
    guarded.node.send(*(transaction(number, bytes(MEGABYTE)) for number in range(4)))
    for number in range(4):
        assert guarded.node.take() == guard.answer_to(number)
    guarded.node.close()
    guarded.plugin.close()
    guarded.ends()


# The wait for the tip


def repeated(guarded: RunningGuard, tip: bytes) -> int:
    """Take the guard's wait for a tip; returns its question."""
    frame = guarded.node.take()
    question = question_of(frame)
    assert question > guard.OWN_IDS
    expected = wait_tip(question, tip, timeout=guard.TIP_WAIT_MILLISECONDS)
    assert tree_of(frame) == tree_of(expected)
    return question


@pytest.mark.parametrize("place", PLACES)
def test_a_wait_without_a_limit_is_taken_over(start: Start, place: Place) -> None:
    """It is repeated with a limit under the guard's questions, and answered only when the node begins to stop."""
    guarded = start()
    guarded.plugin.send(respread(wait_tip(5, NO_TIP), place))
    question = repeated(guarded, NO_TIP)
    for tip in (TIP, TIP, NEXT_TIP):
        guarded.node.send(tip_is(question, tip))
        assert guarded.node.take() == guard.finish_of(question)
        question = repeated(guarded, tip)
    assert guarded.plugin.silent()
    guarded.node.send(failure(question, "thread busy"))
    assert guarded.node.take() == guard.finish_of(question)
    question = repeated(guarded, NEXT_TIP)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == guard.finish_of(question)
    assert guarded.plugin.take() == tip_is(5, None)
    guarded.plugin.send(finish(5), ask_node(5))
    assert guarded.node.take() == ask_node(5), "the node never heard of the plugin's question"
    guarded.node.send(answer(5))
    assert guarded.plugin.take() == answer(5)


def test_a_wait_that_the_plugin_gave_up_goes_on(start: Start) -> None:
    """Its finish is the guard's; the id is the plugin's again, and the node's stop still ends subscriptions."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    guarded.plugin.send(finish(5), ask_node(5))
    assert guarded.node.take() == ask_node(5)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == guard.finish_of(question)
    trace = disconnected(guarded, TRACE_HANDLER)
    guarded.node.send(answer(5))
    assert guarded.plugin.take() == answer(5), "and no answer to what it no longer asks"
    let_go(guarded, trace, UTXO_CACHE_TRACE, 2)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)


def test_a_wait_with_a_limit_passes(start: Start) -> None:
    """A waitTipChanged with a time limit, and a second one without, are the plugin's own."""
    guarded = start()
    guarded.plugin.send(wait_tip(5, TIP, timeout=250.0))
    assert guarded.node.take() == wait_tip(5, TIP, timeout=250.0)
    guarded.node.send(tip_is(5, TIP))
    assert guarded.plugin.take() == tip_is(5, TIP)
    guarded.plugin.send(wait_tip(6, TIP), wait_tip(7, TIP))
    repeated(guarded, TIP)
    assert guarded.node.take() == wait_tip(7, TIP)


def test_the_wait_ends_with_the_plugin(start: Start) -> None:
    """After the plugin's end the wait is not repeated, and its answer is not waited for: the node is let go."""
    guarded = start()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    repeated(guarded, NO_TIP)
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    guarded.ends()


def test_a_node_that_stops_is_left_by_a_plugin_that_does_not_read(start: Start) -> None:
    """When the node begins to stop its subscriptions are ended at once, whatever the plugin is doing."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    for number in range(100, 104):
        guarded.node.send(transaction(number, bytes(MEGABYTE)))
        assert guarded.node.take() == guard.answer_to(number)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == guard.finish_of(question)
    let_go(guarded, disconnected(guarded, TRACE_HANDLER), UTXO_CACHE_TRACE, 2)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    guarded.node.close()
    for _ in range(4):
        assert len(guarded.plugin.take()) > MEGABYTE
    rest = [guarded.plugin.take() for _ in range(3)]
    assert tip_is(5, None) in rest, "beside both callbacks' `destroy`"
    assert guarded.plugin.at_the_end()
    guarded.ends()


def test_a_node_that_cannot_tell_of_its_stop_is_not_subscribed_to(start: Start) -> None:
    """When the wait fails the plugin gets the failure; what is subscribed, then or later, is ended at once."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    guarded.node.send(failure(question, "std::exception: a simulated failure"))
    assert guarded.node.take() == guard.finish_of(question)
    trace = disconnected(guarded, TRACE_HANDLER)
    assert guarded.plugin.take() == failure(5, "std::exception: a simulated failure")
    let_go(guarded, trace, UTXO_CACHE_TRACE, 2)
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    guarded.plugin.send(subscribe_chain(6))
    assert guarded.node.take() == subscribe_chain(6)
    guarded.node.send(handler_for(6, CHAIN_HANDLER))
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)
    guarded.plugin.send(ask_node(7))
    assert guarded.node.take() == ask_node(7), "and the plugin goes on"


def test_what_is_subscribed_at_a_node_that_stops_is_ended_at_once(start: Start) -> None:
    """A subscribing call that crossed the news of the stop does not stand until the plugin acts."""
    guarded = start()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == guard.finish_of(question)
    assert guarded.plugin.take() == tip_is(5, None)
    guarded.plugin.send(subscribe_chain(6))
    assert guarded.node.take() == subscribe_chain(6)
    guarded.node.send(handler_for(6, CHAIN_HANDLER))
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)


def test_capability_pointers_are_what_the_plugin_gets(start: Start) -> None:
    """The content of an event stays as it was, its pointers to capabilities that are no more included."""
    guarded = start()
    guarded.node.send(transaction(5))
    assert guarded.node.take() == guard.answer_to(5)
    tree = tree_of(guarded.plugin.take())
    for step in (0, 1, 0, 0):
        assert isinstance(tree, Struct)
        tree = tree.pointers[step]
    assert isinstance(tree, Struct)
    assert tree.pointers == [Capability(0), Capability(1)]
