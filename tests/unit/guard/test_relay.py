"""The relay in memory: what each frame becomes on the other side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate

import pytest
from support.conversation import Conversation, handed
from support.frames import (
    CHAIN_NOTIFICATIONS,
    UTXO_CACHE_TRACE,
    answer,
    call,
    destroy,
    disembargo,
    failure,
    finish,
    question_of,
    release,
    transaction,
    utxo,
)
from support.layouts import PLACES, Place, frame_with, respread, tree_of

from telegraf_bitcoin_ipc.guard import utxo as utxo_events
from telegraf_bitcoin_ipc.guard import wire

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


def test_what_is_not_understood_passes_both_ways(guarded: Conversation) -> None:
    """Frames that are none of the guard's business, or nonsense, pass byte for byte and in their order."""
    for speaker, hearer in ((guarded.node, guarded.plugin), (guarded.plugin, guarded.node)):
        speaker.send(*STRANGE)
        assert [hearer.take() for _ in STRANGE] == list(STRANGE)


def test_a_burst_is_answered_wherever_a_read_ends() -> None:
    """Whole events laid out like the last one are taken from a read, each once; the rest of it is left."""
    events = [utxo(number, "add", height=9, value=number) for number in range(1, 4)]
    burst = b"".join([*events, *map(finish, range(1, 4)), transaction(4)])
    sizes = [0, *accumulate([len(events[0])] * 3 + [len(finish(1))] * 3)]
    for end in range(len(burst)):
        talk = Conversation()
        talk.node.send(utxo(9, "add", height=9, value=0), finish(9))
        assert talk.node.take() == wire.answer_to(9)
        learned, talk.now = talk.now, talk.now + 1
        taken = talk.relay.from_burst(bytearray(burst), end, talk.now)
        assert taken == max(size for size in sizes if size <= end)
        answered = min(sizes.index(taken), 3)
        assert [*talk.node.outbox.frames] == [wire.answer_to(number) for number in range(1, answered + 1)]
        assert talk.memory[0] == 1 + answered
        assert talk.memory[3] == sum(range(1, answered + 1))
        assert talk.relay.last_coin == talk.relay.last_event == (talk.now if answered else learned)


@pytest.mark.parametrize("place", PLACES)
def test_an_event_is_answered_and_forwarded(guarded: Conversation, place: Place) -> None:
    """The node gets its answer, the plugin the same call under another question and without capabilities."""
    event = respread(transaction(5, b"a transaction", callback=3), place)
    guarded.node.send(event)
    assert guarded.node.take() == wire.answer_to(5)
    assert len(guarded.plugin.outbox.frames[0]) == len(event)
    handed(guarded, event)


@pytest.mark.parametrize(
    "given", [answer, partial(failure, reason="a plugin's mistake")], ids=["answer", "failure"]
)
def test_returns_and_finishes_of_events_stay_in_between(
    guarded: Conversation, given: Callable[[int], bytes]
) -> None:
    """Whatever the plugin returns is answered with a finish, the node's finish goes nowhere."""
    guarded.node.send(transaction(5))
    assert guarded.node.take() == wire.answer_to(5)
    question = question_of(guarded.plugin.take())
    guarded.plugin.send(given(question))
    assert guarded.plugin.take() == wire.finish_of(question)
    guarded.node.send(finish(5), finish(5), finish(6))
    assert guarded.plugin.take() == finish(5), "only the first was the event's"
    assert guarded.plugin.take() == finish(6)
    guarded.plugin.send(answer(4))
    assert guarded.node.take() == answer(4), "a return to another question is the node's"


@pytest.mark.parametrize("forward", [False, True])
def test_utxo_events_are_added_up(forward: bool) -> None:
    """Counts, values and unconfirmed additions are exact, in any layout, and forwarded only if asked for."""
    guarded = Conversation(forward_utxo=forward)
    events = [
        ("add", 7, 100),
        ("add", utxo_events.UNCONFIRMED_HEIGHT, 21_000_000 * 10**8),
        ("spend", utxo_events.UNCONFIRMED_HEIGHT, 30),
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
        "calls_refused": 0,
    }
    guarded.node.send(answer(99))
    if forward:
        received = [guarded.plugin.take() for _ in events]
        assert [len(frame) for frame in received] == [len(frame) for frame in frames]
    assert guarded.plugin.take() == answer(99)


def test_a_coin_that_cannot_be_read_is_answered_and_counted(guarded: Conversation) -> None:
    """A UTXO event without its coin is answered, and counted as lost."""
    guarded.node.send(call(5, UTXO_CACHE_TRACE, "add"))
    assert guarded.node.take() == wire.answer_to(5)
    assert guarded.totals()["events_dropped"] == 1
    assert guarded.totals()["add"] == 0


def test_values_beyond_all_coins_do_not_end_it(guarded: Conversation) -> None:
    """A sum that no longer fits begins again from zero; the events are answered as ever."""
    for number in range(3):
        guarded.node.send(utxo(number, "add", value=2**63 - 1))
        assert guarded.node.take() == wire.answer_to(number)
    assert guarded.totals()["add_value"] == 3 * (2**63 - 1) - 2**64


def test_a_destroy_on_nothing_is_answered_once(guarded: Conversation) -> None:
    """Where the target of a `destroy` cannot be read, the guard's answer is the only one that the node gets."""
    tree = tree_of(destroy(5, CHAIN_NOTIFICATIONS, 1))
    tree.at(0).pointers[0] = None
    guarded.node.send(frame_with(tree), answer(1))
    assert guarded.node.take() == wire.answer_to(5)
    assert question_of(guarded.plugin.take()) > wire.OWN_IDS
    assert guarded.plugin.take() == answer(1)
