"""The relay in memory, with the node's side and the plugin's side both played by the test."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.conversation import (
    CHAIN_HANDLER,
    NEXT_TIP,
    NO_TIP,
    TIP,
    TRACE_HANDLER,
    Conversation,
    any_disconnected,
    ask_node,
    disconnected,
    gives_up,
    handed,
    let_go,
    question_of,
    repeated,
    still_answers,
    teardown_in_any_order,
)
from support.frames import (
    CHAIN_NOTIFICATIONS,
    INIT,
    SERVER_THREAD,
    THREAD,
    THREAD_MAP,
    UTXO_CACHE_TRACE,
    answer,
    bootstrap,
    call,
    destroy,
    disembargo,
    failure,
    finish,
    handler_for,
    release,
    subscribe_chain,
    subscribe_utxo,
    tip_is,
    transaction,
    utxo,
    wait_tip,
)
from support.layouts import Capability, Place, Struct, frame_with, respread, tree_of

from telegraf_bitcoin_ipc.guard import contract, relay, subscriptions, wire

MEGABYTE = 1 << 20
Start = Callable[..., Conversation]
PLACES: tuple[Place, ...] = ("near", "far", "double far")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start conversations, which end with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Conversation(**options))


STRANGE = (
    wire.frame_of(),
    wire.frame_of(0xFFFFFFFFFFFFFFFF, 1, 2),
    wire.frame_of(2 | 9 << 32),
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


def test_returns_and_finishes_of_events_stay_in_between(start: Start) -> None:
    """The plugin's return is answered with a finish, the node's finish goes nowhere; each sees what it expects."""
    guarded = start()
    guarded.node.send(transaction(5))
    assert guarded.node.take() == wire.answer_to(5)
    question = question_of(guarded.plugin.take())
    guarded.plugin.send(answer(question))
    assert guarded.plugin.take() == wire.finish_of(question)
    guarded.node.send(finish(5), finish(5), finish(6))
    assert guarded.plugin.take() == finish(5), "only the first was the event's"
    assert guarded.plugin.take() == finish(6)
    guarded.plugin.send(answer(4))
    assert guarded.node.take() == answer(4), "a return to another question is the node's"


def test_a_failure_of_the_plugin_stays_away_from_the_node(start: Start) -> None:
    """A plugin that raises in a callback, or lacks the method, does not harm the node."""
    guarded = start()
    guarded.node.send(transaction(5))
    assert guarded.node.take() == wire.answer_to(5)
    question = question_of(guarded.plugin.take())
    guarded.plugin.send(failure(question, "a plugin's mistake"), ask_node(1))
    assert guarded.plugin.take() == wire.finish_of(question)
    assert guarded.node.take() == ask_node(1)


@pytest.mark.parametrize("forward", [False, True])
def test_utxo_events_are_added_up(start: Start, forward: bool) -> None:
    """Counts, values and unconfirmed additions are exact, in any layout, and forwarded only if asked for."""
    guarded = start(forward_utxo=forward)
    events = [
        ("add", 7, 100),
        ("add", contract.UNCONFIRMED_HEIGHT, 21_000_000 * 10**8),
        ("spend", contract.UNCONFIRMED_HEIGHT, 30),
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
        assert guarded.node.take() == wire.answer_to(number)
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
    if forward:
        received = [guarded.plugin.take() for _ in events]
        assert [len(frame) for frame in received] == [len(frame) for frame in frames]
    assert guarded.plugin.take() == answer(99)


def test_a_coin_that_cannot_be_read_is_answered_and_counted(start: Start) -> None:
    """A UTXO event without its coin is answered, and counted as lost."""
    guarded = start()
    guarded.node.send(call(5, UTXO_CACHE_TRACE, "add"))
    assert guarded.node.take() == wire.answer_to(5)
    assert guarded.totals()["events_dropped"] == 1
    assert guarded.totals()["add"] == 0


def test_values_beyond_all_coins_do_not_end_it(start: Start) -> None:
    """A sum that no longer fits begins again from zero; the events are answered as ever."""
    guarded = start()
    for number in range(3):
        guarded.node.send(utxo(number, "add", value=2**63 - 1))
        assert guarded.node.take() == wire.answer_to(number)
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
    assert guarded.node.take() == wire.answer_to(5)
    assert question_of(guarded.plugin.take()) > wire.OWN_IDS
    assert guarded.plugin.take() == answer(1)


def test_the_teardown_is_repeated_while_the_thread_is_busy(start: Start) -> None:
    """A refused disconnect is sent again until it is taken, and callbacks are answered meanwhile."""
    guarded = start()
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


def test_the_node_is_not_let_go_before_destroy(start: Start) -> None:
    """A disconnect that returned is not the end of a subscription: it is asked for until `destroy` comes."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.close()
    question = disconnected(guarded, TRACE_HANDLER)
    guarded.node.send(answer(question))
    assert guarded.node.take() == wire.finish_of(question)
    teardown_in_any_order(guarded)


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
    """A Finish before the answer reaches the node, which frees the handler then, only after teardown."""
    guarded = start()
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


def test_references_are_kept_as_long_as_they_are_needed(start: Start) -> None:
    """The plugin's releases of handlers and threads reach the node when their subscriptions have ended."""
    guarded = start()
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
    guarded.node.send(answer(question))
    assert guarded.node.take() == wire.finish_of(question)
    assert guarded.node.at_the_end()
    guarded.ends()


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
        assert guarded.node.take() == wire.answer_to(900 + callback)
        assert guarded.node.take() == release(handler)
        handed(guarded, destroy(900 + callback, interface, callback))
        guarded.node.send(answer(its_end))
        assert guarded.node.take() == wire.finish_of(its_end)
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
    assert guarded.node.take() == wire.answer_to(902)
    handed(guarded, event)
    gives_up(guarded, 6, TRACE_HANDLER)
    guarded.node.send(answer(trace))
    assert guarded.node.take() == wire.finish_of(trace), "and no second disconnect came before it"


def test_an_unknown_handlers_disconnect_is_relayed(start: Start) -> None:
    """A handler that is none of the subscriptions' is the plugin's own affair."""
    guarded = start()
    guarded.subscribed()
    its_call = contract.disconnect_of(5, 4711, THREAD)
    guarded.plugin.send(its_call)
    assert guarded.node.take() == its_call


@pytest.mark.parametrize("place", PLACES)
def test_a_wait_without_a_limit_is_taken_over(start: Start, place: Place) -> None:
    """It is repeated with a limit under the guard's questions, and answered only when the node begins to stop."""
    guarded = start()
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


def test_a_wait_that_the_plugin_gave_up_goes_on(start: Start) -> None:
    """Its finish is the guard's; the id is the plugin's again, and the node's stop still ends subscriptions."""
    guarded = start()
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


def test_a_node_that_cannot_tell_of_its_stop_is_not_subscribed_to(start: Start) -> None:
    """When the wait fails the plugin gets the failure; what is subscribed, then or later, is ended at once."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    guarded.node.send(failure(question, "std::exception: a simulated failure"))
    assert guarded.node.take() == wire.finish_of(question)
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
    assert guarded.node.take() == wire.finish_of(question)
    assert guarded.plugin.take() == tip_is(5, None)
    guarded.plugin.send(subscribe_chain(6))
    assert guarded.node.take() == subscribe_chain(6)
    guarded.node.send(handler_for(6, CHAIN_HANDLER))
    let_go(guarded, disconnected(guarded, CHAIN_HANDLER), CHAIN_NOTIFICATIONS, 1)


def test_capability_pointers_are_what_the_plugin_gets(start: Start) -> None:
    """The content of an event stays as it was, its pointers to capabilities that are no more included."""
    guarded = start()
    guarded.node.send(transaction(5))
    assert guarded.node.take() == wire.answer_to(5)
    tree = tree_of(guarded.plugin.take())
    for step in (0, 1, 0, 0):
        assert isinstance(tree, Struct)
        tree = tree.pointers[step]
    assert isinstance(tree, Struct)
    assert tree.pointers == [Capability(0), Capability(1)]


# The wait for the tip, when it fails


def test_the_pause_of_a_busy_node_grows(start: Start) -> None:
    """While the node's thread is busy the wait is repeated after 10 ms, 20 ms ... 1 s; a tip ends that."""
    guarded = start()
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


FAILURES: dict[str, Callable[[int], bytes]] = {
    "an exception": lambda question: failure(question, "std::exception: a simulated failure"),
    "an exception without a reason": lambda question: failure(question, ""),
    "a short hash": lambda question: tip_is(question, bytes(31)),
    "another outcome": of_another_outcome,
}


@pytest.mark.parametrize("reply", FAILURES.values(), ids=FAILURES)
def test_a_wait_that_fails_is_the_plugins(start: Start, reply: Callable[[int], bytes]) -> None:
    """Any other answer reaches the plugin as the answer to its own question, and the wait is not repeated."""
    guarded = start()
    guarded.plugin.send(wait_tip(5, NO_TIP))
    question = repeated(guarded, NO_TIP)
    guarded.node.send(reply(question))
    assert guarded.node.take() == wire.finish_of(question)
    assert guarded.plugin.take() == reply(5)
    assert guarded.due is None
    guarded.plugin.send(finish(5), subscribe_chain(6))
    assert guarded.node.take() == subscribe_chain(6), "the node never heard of question 5"


# Time


def test_a_node_that_hangs_is_left_after_ten_minutes(start: Start) -> None:
    """Without subscriptions a call that is never answered holds the guard for ANSWER_SECONDS and no longer."""
    guarded = start()
    guarded.plugin.send(ask_node(1))
    assert guarded.node.take() == ask_node(1)
    began = guarded.now
    guarded.plugin.close()
    assert guarded.node.at_the_end()
    assert guarded.now - began == pytest.approx(subscriptions.ANSWER_SECONDS)
    guarded.ends()


def test_a_node_that_loads_is_left_after_a_second(start: Start) -> None:
    """A makeMining that has not returned waits for the chain: it is no reason to stay."""
    guarded = start()
    began = guarded.now
    guarded.plugin.send(call(1, INIT, "makeMining", context={}))
    guarded.plugin.close()
    guarded.node.take()
    assert guarded.node.at_the_end()
    assert guarded.now - began == pytest.approx(relay.LOADING_SECONDS)


def test_a_disconnect_that_never_returns_is_waited_for_without_end(start: Start) -> None:
    """With a subscription, or its disconnect, in the air the node's socket is never closed by time alone."""
    guarded = start()
    guarded.subscribed()
    guarded.plugin.close()
    disconnected(guarded, TRACE_HANDLER)
    assert not guarded.passes()
    guarded.node.send(destroy(902, UTXO_CACHE_TRACE, 2))
    assert guarded.node.take() == wire.answer_to(902)
    assert not guarded.passes()
    assert guarded.node.silent()


def test_a_result_that_cannot_be_read_holds_the_socket_open(start: Start) -> None:
    """A subscription whose handler cannot be read may stand: the socket stays open until `destroy`."""
    guarded = start()
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
    assert guarded.node.at_the_end()
