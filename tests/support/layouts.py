"""Cap'n Proto messages as trees, and laid out again in any number of segments."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass
class Struct:
    """A struct: whole words of data, and what its pointers point to."""

    data: bytes
    pointers: list[Tree]

    def at(self, *path: int) -> Struct:
        """Return the struct that pointers of these numbers lead to, one after the other."""
        place = self
        for step in path:
            inner = place.pointers[step]
            assert isinstance(inner, Struct)
            place = inner
        return place


@dataclass
class Plain:
    """A list without pointers: its elements' size code, their count, their bytes."""

    code: int
    count: int
    data: bytes


@dataclass
class Structs:
    """A list of structs: words of data and pointers of each, and the structs. One of pointers has only those."""

    data_words: int
    pointer_words: int
    items: list[Struct]


@dataclass
class Capability:
    """A capability: its place in the Payload's table."""

    index: int


Tree = Struct | Plain | Structs | Capability | None
Place = Literal["near", "far", "double far"]
PLACES: tuple[Place, ...] = ("near", "far", "double far")
Choice = Callable[[Tree], Place]
Spread = Callable[[bytes], bytes]
"""Lays a message out in another way."""

_LIST_BITS = (0, 1, 8, 16, 32, 64)


def tree_of(frame: bytes) -> Struct:
    """Return what a message says, in however many segments."""
    count = struct.unpack_from("<I", frame)[0] + 1
    starts = [4 * (count + 2) // 8 * 8]
    for words in struct.unpack_from(f"<{count}I", frame, 4):
        starts.append(starts[-1] + 8 * words)
    assert starts[-1] == len(frame)
    tree = _tree_at(frame, starts, starts[0])
    assert isinstance(tree, Struct)
    return tree


def _tree_at(frame: bytes, starts: Sequence[int], at: int) -> Tree:
    low, high = struct.unpack_from("<II", frame, at)
    if low == high == 0:
        return None
    double = 0
    if low & 3 == 2:
        at, double = starts[high] + (low & ~7), low & 4
        low, high = struct.unpack_from("<II", frame, at)
    if double:
        start = starts[high] + (low & ~7)
        low, high = struct.unpack_from("<II", frame, at + 8)
    else:
        start = at + 8 + 8 * (struct.unpack_from("<i", frame, at)[0] >> 2)
    if low & 3 == 3:
        return Capability(high)
    if low & 3 == 0:
        return _struct_at(frame, starts, start, high & 0xFFFF, high >> 16)
    assert low & 3 == 1, "a far pointer to a far pointer"
    code, size = high & 7, high >> 3
    if code == 6:
        return Structs(0, 1, [_struct_at(frame, starts, start + 8 * index, 0, 1) for index in range(size)])
    if code != 7:
        return Plain(code, size, frame[start : start + (size * _LIST_BITS[code] + 7) // 8])
    tag_low, tag_high = struct.unpack_from("<II", frame, start)
    data, pointers = tag_high & 0xFFFF, tag_high >> 16
    places = [start + 8 + 8 * (data + pointers) * index for index in range(tag_low >> 2)]
    return Structs(data, pointers, [_struct_at(frame, starts, place, data, pointers) for place in places])


def _struct_at(frame: bytes, starts: Sequence[int], start: int, data: int, pointers: int) -> Struct:
    end = start + 8 * data
    return Struct(frame[start:end], [_tree_at(frame, starts, end + 8 * index) for index in range(pointers)])


def frame_with(tree: Tree, choose: Choice = lambda _: "near") -> bytes:
    """Return a frame that says what the tree says; each struct and list lies where `choose` says.

    near: behind what is in the pointer's segment; far: in a segment of its own, with the landing pad behind it;
    double far: in a segment of its own, and the landing pad in another one.
    """
    segments = [bytearray(8)]
    _write(segments, 0, 0, tree, choose)
    lengths = [len(segment) // 8 for segment in segments]
    header = struct.pack(f"<{len(lengths) + 1}I", len(lengths) - 1, *lengths)
    return header + bytes(-len(header) % 8) + b"".join(segments)


def _write(segments: list[bytearray], segment: int, at: int, tree: Tree, choose: Choice) -> None:
    if tree is None:
        return
    if isinstance(tree, Capability):
        struct.pack_into("<II", segments[segment], at, 3, tree.index)
        return
    description, body, children = _laid_out(tree)
    place = choose(tree)
    where = segment
    if place != "near":
        where = len(segments)
        segments.append(bytearray(b"\xee" * 8))  # what nobody points to
    start = len(segments[where])
    segments[where] += body
    if place == "near":
        word = description | _offset(start - at - 8)
    elif place == "far":
        pad = len(segments[where])
        segments[where] += struct.pack("<Q", description | _offset(start - pad - 8))
        word = 2 | pad | where << 32  # words << 3 are bytes
    else:
        segments.append(bytearray(b"\xdd" * 16) + struct.pack("<QQ", 2 | start | where << 32, description))
        word = 2 | 4 | 16 | (len(segments) - 1) << 32
    struct.pack_into("<Q", segments[segment], at, word)
    for offset, child in children:
        _write(segments, where, start + offset, child, choose)


def _offset(distance: int) -> int:
    return (distance // 8) << 2 & 0xFFFFFFFF


def _laid_out(tree: Struct | Plain | Structs) -> tuple[int, bytes, list[tuple[int, Tree]]]:
    """Return the describing word without its offset, the body, and the places of the pointers in it."""
    if isinstance(tree, Plain):
        return 1 | tree.code << 32 | tree.count << 35, tree.data + bytes(-len(tree.data) % 8), []
    if isinstance(tree, Struct):
        items, tag = [tree], b""
        description = len(tree.data) // 8 << 32 | len(tree.pointers) << 48
    else:
        items, size = tree.items, tree.data_words + tree.pointer_words
        tag = struct.pack("<Q", len(items) << 2 | tree.data_words << 32 | tree.pointer_words << 48)
        description = 1 | 7 << 32 | len(items) * size << 35
    body, places = tag, list[tuple[int, Tree]]()
    for item in items:
        body += item.data
        places += [(len(body) + 8 * index, child) for index, child in enumerate(item.pointers)]
        body += bytes(8 * len(item.pointers))
    return description, body, places


def respread(frame: bytes, place: Place) -> bytes:
    """Return the same message with everything near, far, or double far."""
    return frame_with(tree_of(frame), lambda _: place)
