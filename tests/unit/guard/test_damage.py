"""Damaged frames from either side: the guard answers what is a call on a callback, and goes on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

import capnp
from hypothesis import given
from hypothesis import strategies as st
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
from support.layouts import PLACES, frame_with, respread, tree_of
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


class Damage(NamedTuple):
    """Where a frame is damaged (modulo its words or bits), and how."""

    kind: str
    place: int
    value: int

    def to(self, frame: bytearray) -> None:
        """Do it."""
        words = len(frame) // 8
        if self.kind == "bit":
            frame[self.place // 8 % len(frame)] ^= 1 << self.place % 8
        elif self.kind == "word":
            struct.pack_into("<Q", frame, self.place % words * 8, self.value)
        elif self.kind == "half":
            struct.pack_into("<I", frame, self.place % (2 * words) * 4, self.value & 0xFFFFFFFF)


POINTERS = st.builds(
    lambda kind, offset, high: kind | (offset & 0x3FFFFFFF) << 2 | high << 32,
    st.sampled_from([0, 1, 2, 3]),
    st.integers(-20, 40),
    st.one_of(
        st.builds(lambda data, count: data | count << 16, st.integers(0, 5), st.integers(0, 5)),
        st.integers(0, 12),
        st.integers(0, 0xFFFFFFFF),
    ),
)
DAMAGES = st.one_of(
    st.builds(Damage, st.just("bit"), st.integers(64, 1 << 14), st.just(0)),
    st.builds(Damage, st.just("word"), st.integers(1, 400), POINTERS),
    st.builds(Damage, st.just("half"), st.integers(0, 800), st.integers(0, 40)),
    st.builds(Damage, st.just("word"), st.integers(1, 400), st.integers(0, wire.U64.unpack(b"\xff" * 8)[0])),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame in some layout, with some damage."""
    healthy = draw(st.sampled_from(HEALTHY))
    layout = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=6))
    choices = cycle(layout)
    frame = bytearray(frame_with(tree_of(healthy), lambda: next(choices)))
    for damage in draw(st.lists(DAMAGES, min_size=1, max_size=4)):
        damage.to(frame)
    return bytes(frame)


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


def subscribed() -> Conversation:
    """A guard in the middle of its life."""
    guarded = Conversation(forward_utxo=True)
    guarded.plugin.send(
        subscribe_chain(0), subscribe_utxo(1), wait_tip(2, bytes(32)), subscribe_chain(5, callback=3)
    )
    guarded.node.send(handler_for(0, 21), handler_for(1, 22))
    guarded.node.outbox.frames.clear()
    guarded.plugin.outbox.frames.clear()
    return guarded


def goes_on(guarded: Conversation) -> None:
    """The next event is answered, and time may pass."""
    guarded.hears("node", transaction(0xABC))
    assert guarded.node.outbox.frames[-1] == wire.answer_to(0xABC)
    guarded.tick()


def frames_of(frame: bytes | bytearray) -> Sequence[bytes]:
    """The whole frames in a damaged one, of which the header may say anything."""
    return FrameSplitter().feed(bytes(frame))[0]


def test_any_flipped_bit_leaves_an_answer() -> None:
    """With any one bit of a callback's frame flipped, what pycapnp reads as a call on a callback is answered."""
    for healthy in HEALTHY[:4]:
        for place in PLACES:
            frame = bytearray(respread(healthy, place))
            guarded = subscribed()
            for bit in range(64, 8 * len(frame)):
                frame[bit // 8] ^= 1 << bit % 8
                if list(frames_of(frame)) == [frame]:
                    guarded.node.outbox.frames.clear()
                    guarded.hears("node", bytes(frame))
                    question = callback_question(bytes(frame))
                    if question is not None:
                        assert guarded.node.outbox.frames[0] == wire.answer_to(question), (place, bit)
                frame[bit // 8] ^= 1 << bit % 8


@examples(500)
@given(damaged())
def test_a_damaged_frame_of_the_nodes_is_answered_or_relayed(frame: bytes) -> None:
    """Nothing that the node says ends the guard; what can be read as a call on a callback is answered, once."""
    for whole_frame in frames_of(frame):
        guarded = subscribed()
        guarded.hears("node", whole_frame)
        question = callback_question(whole_frame)
        to_node, to_plugin = list(guarded.node.outbox.frames), list(guarded.plugin.outbox.frames)
        if question is not None:
            assert to_node[0] == wire.answer_to(question)
            assert to_plugin != [whole_frame] or question >= wire.OWN_IDS, "and not by the plugin, too"
        elif not to_node:
            assert to_plugin in ([], [whole_frame])
        goes_on(guarded)


@examples(300)
@given(damaged())
def test_a_damaged_frame_of_the_plugins_is_relayed_or_kept(frame: bytes) -> None:
    """Nothing that the plugin says ends the guard, and no frame is changed but a wait that is taken over."""
    for whole_frame in frames_of(frame):
        guarded = subscribed()
        guarded.hears("plugin", whole_frame)
        assert list(guarded.node.outbox.frames) in ([], [whole_frame])
        goes_on(guarded)


@examples(150)
@given(st.lists(damaged(), min_size=1, max_size=8))
def test_many_damaged_frames_do_not_end_it(frames: list[bytes]) -> None:
    """One after another, from both sides, damaged frames leave a guard that still answers."""
    guarded = subscribed()
    for frame in frames:
        for whole_frame in frames_of(frame):
            guarded.hears("node", whole_frame)
            guarded.hears("plugin", whole_frame)
    goes_on(guarded)
