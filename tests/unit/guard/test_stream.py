"""Cutting a stream into frames, the memory of large ones, and what waits for a plugin that does not read."""

from __future__ import annotations

import random
import socket
import struct
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.frames import (
    UTXO_CACHE_TRACE,
    answer,
    destroy,
    finish,
    subscribe_utxo,
    transaction,
    utxo,
)
from support.layouts import respread
from support.properties import examples

from telegraf_bitcoin_ipc.guard import wire
from telegraf_bitcoin_ipc.guard.loop import KEPT_BYTES, QUEUE_BYTES, PluginSide
from telegraf_bitcoin_ipc.guard.stream import (
    BUFFER_BYTES,
    BUFFER_STEP,
    FRAME_BYTES,
    READ_BYTES,
    BufferPool,
    FrameSplitter,
)

LIMIT = 0xFFFFFFFF


def _cut(stream: bytes, *sizes: int) -> tuple[list[bytes], bytes]:
    frames, whole, rest = FrameSplitter(), [], b""
    at = 0
    for size in (*sizes, len(stream)):
        some, raw = frames.feed(stream[at : at + size])
        whole += some
        rest += raw
        at += size
    return whole, rest


FRAMES = (
    transaction(1, b"x" * 100),
    respread(transaction(2), "far"),
    respread(utxo(3, "add"), "double far"),
    wire.frame_of(),
    answer(4),
    destroy(5, UTXO_CACHE_TRACE, 1),
    subscribe_utxo(6),
)


def test_one_byte_at_a_time_gives_the_same_frames() -> None:
    """However finely a stream is cut, its frames come whole and in their order."""
    stream = b"".join(FRAMES)
    assert _cut(stream) == (list(FRAMES), b"")
    assert _cut(stream, *[1] * len(stream)) == (list(FRAMES), b"")
    for at in range(len(stream)):
        assert _cut(stream, at) == (list(FRAMES), b"")
    for frame in FRAMES:
        assert _cut(frame[:-1]) == ([], b""), "without its last byte it does not come"


@pytest.mark.parametrize("count", [512, 513, LIMIT])
def test_too_many_segments_are_no_frame(count: int) -> None:
    """From where a header says more segments than readers take, the stream is forwarded as it is, for ever."""
    head = struct.pack("<II", count, 0)
    assert _cut(FRAMES[0] + head + FRAMES[1]) == ([FRAMES[0]], head + FRAMES[1])
    frames = FrameSplitter()
    assert frames.feed(head) == ([], head)
    assert frames.feed(FRAMES[0]) == ([], FRAMES[0])


def test_a_frame_that_is_too_large_is_none() -> None:
    """The largest frame is waited for; one word more, in one segment or in two, is no frame."""
    words = (FRAME_BYTES - 8) // 8
    largest = struct.pack("<II", 0, words)
    assert FrameSplitter().feed(largest) == ([], b"")
    for head in (struct.pack("<II", 0, words + 1), struct.pack("<IIII", 1, words, 1, 0)):
        assert FrameSplitter().feed(head) == ([], head)


@pytest.mark.parametrize("cut", [9, READ_BYTES, READ_BYTES + 13])
def test_a_large_frame_arrives_whole_however_it_is_cut(cut: int) -> None:
    """A block that takes many reads is the frame that was sent, and so is what comes right behind it."""
    large, small = transaction(1, random.Random(1).randbytes(3 * READ_BYTES)), finish(2)
    frames, whole = FrameSplitter(), list[bytes]()
    stream = small + large + small
    for start in range(0, len(stream), cut):
        whole += frames.feed(stream[start : start + cut])[0]
    assert [bytes(frame) for frame in whole] == [small, large, small]


def test_memory_is_used_again_when_it_is_free() -> None:
    """A frame's memory is another's as soon as it was given back, not before; what is too much is not kept."""
    memory = BufferPool()
    first, second = memory.take(BUFFER_STEP), memory.take(BUFFER_STEP)
    assert first.obj is not second.obj
    memory.give_back(first)
    assert memory.take(100).obj is first.obj
    memory.give_back(second)
    assert memory.take(BUFFER_STEP + 1).obj is not second.obj, "it is too small"
    huge = memory.take(BUFFER_BYTES + 1)
    memory.give_back(huge)
    memory.give_back(b"a small frame, which never was its")
    assert memory.take(1).obj is not huge.obj


def test_a_large_frame_is_read_into_its_room() -> None:
    """What is read straight into the room of a large frame makes the frame that was sent."""
    large = transaction(1, random.Random(2).randbytes(2 * READ_BYTES))
    frames = FrameSplitter()
    assert frames.room() is None
    assert frames.feed(large[:100]) == ([], b"")
    room = frames.room()
    assert room is not None
    room[:] = large[100:]
    frame = frames.fill(len(room))
    assert frame is not None
    assert bytes(frame) == large
    assert frames.room() is None


@examples(500)
@given(st.lists(st.sampled_from(FRAMES) | st.binary(max_size=60), max_size=6), st.lists(st.integers(0, 2000)))
@example([struct.pack("<II", 511, 0)], [4])
def test_any_cut_is_the_same(parts: list[bytes], cuts: list[int]) -> None:
    """Of frames and any other bytes, cut anywhere, each frame and each other byte comes out once and in order."""
    stream = b"".join(parts)
    places = sorted({0, *(place % (len(stream) + 1) for place in cuts)})
    frames, rest = _cut(stream, *(end - start for start, end in pairwise(places)))
    assert (frames, rest) == _cut(stream)
    assert stream.startswith(b"".join(frames) + rest)


def test_many_events_are_dropped_at_once() -> None:
    """A full queue is searched for events once in a while, not at each event: answers may stand before them."""
    event = bytes(4096)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        side = PluginSide(ours, BufferPool())
        for _ in range(QUEUE_BYTES // len(event) // 2):
            side.send(event, event=True)
            side.send(b"an answer")
        while not (dropped := side.send(event, event=True)):
            pass
        assert dropped >= (QUEUE_BYTES - KEPT_BYTES) // len(event)
        assert side.size <= KEPT_BYTES
        assert side.send(event, event=True) == 0
