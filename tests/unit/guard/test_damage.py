"""Damaged frames from either side: the guard answers what is a call on a callback, and goes on."""

from __future__ import annotations

import random

import capnp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import mutations
from support.conversation import Conversation
from support.frames import (
    CHAIN_NOTIFICATIONS,
    UTXO_CACHE_TRACE,
    abort,
    answer,
    bootstrap,
    destroy,
    disembargo,
    failure,
    finish,
    handler_for,
    interface_id,
    reading,
    release,
    subscribe_chain,
    subscribe_utxo,
    tip_is,
    transaction,
    utxo,
    wait_tip,
)
from support.layouts import PLACES, Place, frame_with, respread, tree_of
from support.properties import examples

from telegraf_bitcoin_ipc.guard import wire
from telegraf_bitcoin_ipc.guard.stream import FrameSplitter

CALLBACKS = {interface_id(CHAIN_NOTIFICATIONS), interface_id(UTXO_CACHE_TRACE)}
HEALTHY = (
    transaction(1, b"tx", callback=1),
    utxo(2, "add", value=5, callback=2),
    destroy(3, CHAIN_NOTIFICATIONS, 1),
    destroy(4, UTXO_CACHE_TRACE, 2),
    handler_for(5, 21),
    answer(6),
    failure(7, "no"),
    finish(8),
    release(9),
    bootstrap(10),
    disembargo(11),
    abort("no"),
    wait_tip(12, bytes(32)),
    tip_is(12, b"\x01" * 32),
    tip_is(wire.OWN_IDS + 1, None),
    subscribe_chain(13),
    subscribe_utxo(14),
)
ASKED = (subscribe_chain(0), subscribe_utxo(1), wait_tip(2, bytes(32)), subscribe_chain(5, callback=3))
GIVEN = (handler_for(0, 21), handler_for(1, 22))


KINDS = (mutations.bits, mutations.words, mutations.pointers)


def damaged(rng: random.Random, frame: bytes) -> bytes:
    """Lay a frame out in some way, and damage it up to three times."""
    frame = frame_with(tree_of(frame), lambda _: rng.choice(PLACES))
    for _ in range(rng.choice((1, 1, 2, 3))):
        (frame,) = rng.choice(KINDS)(rng, frame)
    return frame


def callback_question(frame: bytes) -> int | None:
    """The question of a call on a callback, where pycapnp can read one."""
    try:
        with reading(frame) as message:
            if message.which() == "call" and message.call.interfaceId in CALLBACKS:
                number: int = message.call.questionId
                return number
    except capnp.KjException:
        pass
    return None


def subscribed(forward_utxo: bool) -> Conversation:
    """A guard in the middle of its life."""
    guarded = Conversation(forward_utxo=forward_utxo)
    guarded.plugin.send(*ASKED)
    guarded.node.send(*GIVEN)
    guarded.node.outbox.frames.clear()
    guarded.plugin.outbox.frames.clear()
    return guarded


def hears(guarded: Conversation, frame: bytes) -> None:
    """Have the guard get a frame of the node's: a call on a callback is answered, and only by the guard."""
    guarded.node.outbox.frames.clear()
    guarded.plugin.outbox.frames.clear()
    guarded.from_node(frame)
    question = callback_question(frame)
    if question is not None:
        assert guarded.node.outbox.frames[0] == wire.answer_to(question)
        assert list(guarded.plugin.outbox.frames) != [frame] or question >= wire.OWN_IDS
    elif not guarded.node.outbox.frames:
        assert list(guarded.plugin.outbox.frames) in ([], [frame])


def goes_on(guarded: Conversation) -> None:
    """The next event is answered, and time may pass."""
    guarded.from_node(transaction(0xABC))
    assert guarded.node.outbox.frames[-1] == wire.answer_to(0xABC)
    guarded.tick()


@pytest.mark.parametrize("forward_utxo", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_any_flipped_bit_leaves_an_answer(place: Place, forward_utxo: bool) -> None:
    """With any one bit of a callback's frame flipped, what pycapnp reads as a call on a callback is answered.

    Nothing else is, by a guard that has learned the layout of UTXO events either.
    """
    guarded = subscribed(forward_utxo)
    for healthy in HEALTHY[:4]:
        frame = respread(healthy, place)
        hears(guarded, frame)
        for bit in range(64, 8 * len(frame)):
            flipped = bytearray(frame)
            flipped[bit // 8] ^= 1 << bit % 8
            if FrameSplitter().feed(bytes(flipped))[0] == [flipped]:
                hears(guarded, bytes(flipped))
                answered = [
                    each for each in guarded.node.outbox.frames if wire.Message.of(each).kind == wire.RETURN
                ]
                assert len(answered) == (callback_question(bytes(flipped)) is not None)


@examples(300)
@given(st.integers(0), st.booleans(), st.lists(st.sampled_from(HEALTHY), min_size=1, max_size=5))
def test_damaged_frames_do_not_end_it(seed: int, forward_utxo: bool, frames: list[bytes]) -> None:
    """Nothing that the node or the plugin says ends the guard; no frame of the plugin's is changed but a wait."""
    rng, guarded = random.Random(seed), subscribed(forward_utxo)
    for frame in frames:
        for whole_frame in FrameSplitter().feed(damaged(rng, frame))[0]:  # its header may say anything
            hears(guarded, whole_frame)
            guarded.node.outbox.frames.clear()
            waiting = guarded.relay.tip_wait
            guarded.from_plugin(whole_frame)
            if guarded.relay.tip_wait is waiting:  # it is no wait that was taken over
                assert list(guarded.node.outbox.frames) in ([], [whole_frame])
    goes_on(guarded)
