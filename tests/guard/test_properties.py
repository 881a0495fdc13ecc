"""Whatever way the streams are cut, and whatever is in them: the guard does the same, and goes on."""

from __future__ import annotations

import asyncio
import io
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import cycle, pairwise
from typing import Any, NamedTuple

import capnp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
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
from support.guard import DEADLINE, RunningGuard
from support.layouts import Place, frame_with, respread, tree_of
from support.properties import examples

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.guard.loop import PluginSide, Side
from telegraf_bitcoin_ipc.guard.relay import Relay
from telegraf_bitcoin_ipc.guard.stream import BufferPool, FrameSplitter
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.ipc.handshake import open_session
from telegraf_bitcoin_ipc.simnode.connection import Connection
from telegraf_bitcoin_ipc.simnode.journal import Journal
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.node import SimulatedNode
from telegraf_bitcoin_ipc.simnode.servers import serve

NOW = 1_700_000_000
CALLBACKS = {interface_id(CHAIN_NOTIFICATIONS), interface_id(UTXO_CACHE_TRACE)}


# A real conversation


Turn = tuple[bool, bytes]
"""Whether it was the node that spoke, and what it said before the other one did."""


class Sink:
    """Takes every event."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@cache
def recorded() -> tuple[Turn, ...]:
    """Record a session with a simulated node: both subscriptions, a block, a transaction, and polls.

    How it ends is left out: the guard ends subscriptions by itself, when it works.
    """
    turns: list[Turn] = []
    return tuple(turns[: run(_record(turns))])


async def _record(turns: list[Turn]) -> int:
    """Add what is said; returns how many turns there were before the session was left."""
    model = Model(rng=random.Random(1), now=NOW, blocks=3)
    node = SimulatedNode(model, Journal(io.StringIO()), strict=False)
    (ours, its), (node_end, its_node) = socket.socketpair(), socket.socketpair()
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=node_end)
    serving = asyncio.ensure_future(serve(Connection(node, "tracing"), stream))
    relays = [
        asyncio.ensure_future(_relay(its, its_node, False, turns)),
        asyncio.ensure_future(_relay(its_node, its, True, turns)),
    ]
    sink: Any = Sink()
    with its, its_node:
        with ours:
            async with open_session(ours) as session:
                await session.subscribe_chain(sink)
                await session.subscribe_utxo_cache(sink)
                leaving = asyncio.ensure_future(session.follow_tip())
                for source in session.dialect.polled():
                    await session.read(source)
                await node.perform("transaction", model.accept_transaction(NOW + 1))
                await node.perform("block", model.connect_block(NOW + 600))
                await node.settle("block")
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
                before_the_end = len(turns)
        await asyncio.wait({serving, *relays}, timeout=DEADLINE)
        for task in (serving, *relays):
            task.cancel()
        await asyncio.gather(serving, *relays, return_exceptions=True)
    return before_the_end


async def _relay(source: socket.socket, target: socket.socket, is_node: bool, turns: list[Turn]) -> None:
    loop = asyncio.get_running_loop()
    source.setblocking(False)
    target.setblocking(False)
    with suppress(OSError):
        while data := await loop.sock_recv(source, 1 << 16):
            if turns and turns[-1][0] == is_node:
                turns[-1] = (is_node, turns[-1][1] + data)
            else:
                turns.append((is_node, data))
            await loop.sock_sendall(target, data)
        target.shutdown(socket.SHUT_WR)


# A guard without sockets


class Ear:
    """A socket of which only the writing is used; it takes everything."""

    def __init__(self) -> None:
        self.heard = bytearray()

    def send(self, data: bytes) -> int:
        self.heard += data
        return len(data)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """Nothing is open."""


PASSING, STANDING = "passing", "standing"
"""Whether the burst is over at each event, or never: whether events are held back for the plugin."""


class Listening:
    """A guard in this process, and everything that it tells either side.

    Where time passes it holds no event back for the plugin; where time stands still it holds all it may.
    """

    def __init__(self, time: str = PASSING) -> None:
        self.node, self.plugin = Ear(), Ear()
        self.totals = memoryview(bytearray(contract.SHARED_BYTES)).cast("Q")
        node: Any = self.node
        plugin: Any = self.plugin
        buffers = BufferPool()
        outboxes = Side(node, buffers), PluginSide(plugin, buffers) if time == STANDING else Side(plugin, buffers)
        self.relay = Relay(*outboxes, self.totals, forward_utxo=True)
        self.cutters = {True: FrameSplitter(), False: FrameSplitter()}

    def hear(self, is_node: bool, data: bytes) -> None:
        """Take what came in one read from a side."""
        frames, raw = self.cutters[is_node].feed(data)
        assert raw == b""
        for frame in frames:
            (self.relay.from_node if is_node else self.relay.from_plugin)(frame, 0.0)

    def all(self) -> tuple[bytes, bytes, list[int]]:
        """What it told the node and the plugin, and what it added up."""
        return bytes(self.node.heard), bytes(self.plugin.heard), list(self.totals)


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut at those places, modulo the length."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@cache
def whole(time: str = PASSING) -> tuple[bytes, bytes, list[int]]:
    """What the guard makes of the recorded session where each turn comes in one read."""
    listening = Listening(time)
    for is_node, data in recorded():
        listening.hear(is_node, data)
    return listening.all()


def test_the_recorded_session_has_everything() -> None:
    """The recording is worth cutting: subscriptions, both kinds of events, answers, a wait for the tip, an end."""
    to_node, to_plugin, totals = whole()
    assert to_node
    assert to_plugin
    assert dict(zip(contract.TOTALS, totals, strict=True))["add"] > 0
    kinds = Counter[str]()
    calls = Counter[tuple[int, int]]()
    for is_node in (True, False):
        stream = b"".join(data for by_node, data in recorded() if by_node == is_node)
        frames, raw = FrameSplitter().feed(stream)
        assert b"".join(frames) + raw == stream
        for frame in frames:
            with reading(frame) as message:
                kinds[message.which()] += 1
                if message.which() == "call":
                    calls[message.call.interfaceId, message.call.methodId] += 1
    assert {"bootstrap", "call", "return", "finish", "release"} <= set(kinds)
    assert {*contract.SUBSCRIBING, (contract.MINING, contract.WAIT_TIP_CHANGED)} <= set(calls)
    assert {(contract.CHAIN_NOTIFICATIONS, 3), (contract.CHAIN_NOTIFICATIONS, 5)} <= set(calls)
    assert {(contract.UTXO_CACHE_TRACE, 1), (contract.HANDLER, contract.DISCONNECT)} <= set(calls)


def test_what_is_held_back_is_told_later() -> None:
    """Events that wait for the plugin reach it with what comes next: nothing is lost, and nothing overtakes."""
    to_node, to_plugin, totals = whole(PASSING)
    to_node_held, to_plugin_held, totals_held = whole(STANDING)
    assert (to_node_held, totals_held) == (to_node, totals)
    assert to_plugin.startswith(to_plugin_held)


@pytest.mark.parametrize("time", [PASSING, STANDING])
def test_byte_by_byte_is_the_same(time: str) -> None:
    """Read one byte at a time, a whole session comes out as it does in one read a turn."""
    listening = Listening(time)
    for is_node, data in recorded():
        for place in range(len(data)):
            listening.hear(is_node, data[place : place + 1])
    assert listening.all() == whole(time)


@pytest.mark.parametrize("time", [PASSING, STANDING])
@examples(150)
@given(data=st.data())
def test_any_cut_is_the_same(time: str, data: st.DataObject) -> None:
    """However the reads of either side are cut, both sides are told the same, byte for byte."""
    listening = Listening(time)
    cuts: list[int] = data.draw(st.lists(st.integers(0, 1 << 17), max_size=40))
    each = data.draw(st.booleans())
    for number, (is_node, turn) in enumerate(recorded()):
        own: list[int] = cuts if each else cuts[number % 7 :: 7]
        for piece in pieces(turn, own):
            listening.hear(is_node, piece)
    assert listening.all() == whole(time)


@pytest.mark.parametrize("time", [PASSING, STANDING])
@examples(150)
@given(
    plugins=st.lists(st.integers(0, 1 << 20), max_size=60), nodes=st.lists(st.integers(0, 1 << 20), max_size=60)
)
def test_any_joint_is_the_same(time: str, plugins: list[int], nodes: list[int]) -> None:
    """All of the plugin's words, then all of the node's: joined over turns and cut, they come out the same."""
    streams = {side: b"".join(data for by_node, data in recorded() if by_node == side) for side in (False, True)}
    results = []
    whole_streams: list[int] = []
    for plugin_cuts, node_cuts in ((plugins, nodes), (whole_streams, whole_streams)):
        listening = Listening(time)
        for side, stream in streams.items():
            for piece in pieces(stream, node_cuts if side else plugin_cuts):
                listening.hear(side, piece)
        results.append(listening.all())
    assert results[0] == results[1]


@examples(12)
@given(st.lists(st.integers(0, 1 << 17), max_size=30))
def test_any_cut_is_the_same_to_the_real_process(cuts: list[int]) -> None:
    """The real process makes of a session in pieces what one in this process makes of it whole."""
    listening = Listening()
    with RunningGuard(forward_utxo=True) as running:
        for is_node, turn in recorded():
            before = listening.all()
            listening.hear(is_node, turn)
            after = listening.all()
            for piece in pieces(turn, cuts):
                (running.node if is_node else running.plugin).send(piece)
            for side, said, told in zip((running.node, running.plugin), before, after, strict=False):
                expected = told[len(said) :]
                assert side.exactly(len(expected)) == expected
        assert list(running.totals().values()) == listening.all()[2]


# Frames that somebody has damaged

PLACES: tuple[Place, ...] = ("near", "far", "double far")
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


BEFORE = (
    (False, subscribe_chain(0) + subscribe_utxo(1) + wait_tip(2, bytes(32)) + subscribe_chain(5, callback=3)),
    (True, handler_for(0, 21) + handler_for(1, 22)),
)
HEARTBEAT = transaction(0xABC)


def subscribed() -> Listening:
    """A guard in the middle of its life."""
    listening = Listening()
    for is_node, data in BEFORE:
        listening.hear(is_node, data)
    listening.node.heard.clear()
    listening.plugin.heard.clear()
    return listening


def frames_of(frame: bytes | bytearray) -> Sequence[bytes]:
    """The whole frames in a damaged one, of which the header may say anything."""
    return FrameSplitter().feed(bytes(frame))[0]


def test_any_flipped_bit_leaves_an_answer() -> None:
    """With any one bit of a callback's frame flipped, what pycapnp reads as a call on a callback is answered."""
    for healthy in HEALTHY[:4]:
        for place in PLACES:
            frame = bytearray(respread(healthy, place))
            listening = subscribed()
            for bit in range(64, 8 * len(frame)):
                frame[bit // 8] ^= 1 << bit % 8
                if list(frames_of(frame)) == [frame]:
                    listening.node.heard.clear()
                    listening.relay.from_node(bytes(frame), 0.0)
                    question = callback_question(bytes(frame))
                    if question is not None:
                        assert listening.node.heard.startswith(wire.answer_to(question)), (place, bit)
                frame[bit // 8] ^= 1 << bit % 8


@examples(500)
@given(damaged())
def test_a_damaged_frame_of_the_nodes_is_answered_or_relayed(frame: bytes) -> None:
    """Nothing that the node says ends the guard; what can be read as a call on a callback is answered, once."""
    for whole_frame in frames_of(frame):
        listening = subscribed()
        listening.relay.from_node(whole_frame, 0.0)
        question = callback_question(whole_frame)
        to_node = bytes(listening.node.heard)
        to_plugin = bytes(listening.plugin.heard)
        if question is not None:
            assert to_node.startswith(wire.answer_to(question))
            assert to_plugin != whole_frame or question >= wire.OWN_IDS, "and not by the plugin, too"
        elif to_node == b"":
            assert to_plugin in (b"", whole_frame)
        listening.hear(True, HEARTBEAT)
        assert bytes(listening.node.heard).endswith(wire.answer_to(0xABC)), "and it goes on"


@examples(300)
@given(damaged())
def test_a_damaged_frame_of_the_plugins_is_relayed_or_kept(frame: bytes) -> None:
    """Nothing that the plugin says ends the guard, and no frame is changed but a wait that is taken over."""
    for whole_frame in frames_of(frame):
        listening = subscribed()
        listening.relay.from_plugin(whole_frame, 0.0)
        assert bytes(listening.node.heard) in (b"", whole_frame)
        listening.hear(True, HEARTBEAT)
        assert bytes(listening.node.heard).endswith(wire.answer_to(0xABC))
        listening.relay.tick(0.0)


@examples(150)
@given(st.lists(damaged(), min_size=1, max_size=8))
def test_many_damaged_frames_do_not_end_it(frames: list[bytes]) -> None:
    """One after another, from both sides, damaged frames leave a guard that still answers."""
    listening = subscribed()
    for frame in frames:
        for whole_frame in frames_of(frame):
            listening.relay.from_node(whole_frame, 0.0)
            listening.relay.from_plugin(whole_frame, 0.0)
    listening.hear(True, HEARTBEAT)
    assert bytes(listening.node.heard).endswith(wire.answer_to(0xABC))


@examples(500)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
@example(struct.pack("<II", 511, 0), [4])
def test_no_byte_is_lost(stream: bytes, cuts: list[int]) -> None:
    """Of any bytes at all, cut anywhere, every frame and every other byte comes out once and in its order."""
    cutter, out = FrameSplitter(), b""
    for piece in pieces(stream, cuts):
        frames, raw = cutter.feed(piece)
        out += b"".join(frames) + raw
    frames, raw = FrameSplitter().feed(stream)
    assert out == b"".join(frames) + raw
    assert stream.startswith(out)


def test_the_real_process_survives_damage() -> None:
    """A few hundred damaged frames from the node do not end the real process, nor make it silent."""
    rng = random.Random(2)
    with RunningGuard() as running:
        for number in range(300):
            frame = bytearray(respread(rng.choice(HEALTHY[:11]), rng.choice(PLACES)))
            header = 4 * (struct.unpack_from("<I", frame)[0] + 3) // 8 * 8
            for _ in range(rng.randint(1, 3)):
                frame[rng.randrange(header, len(frame))] ^= 1 << rng.randrange(8)
            running.node.send(bytes(frame), transaction(1000 + number))
            while running.node.take() != wire.answer_to(1000 + number):
                pass
