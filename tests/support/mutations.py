"""Hostile frames made from those of a real session: each kind changes a frame in another way."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from support.frames import answer, bootstrap, disembargo, done, finish, release
from support.hostile_json import METHODS, OTHER_METHODS, PARAMETERS, URIS, USERS, requests
from support.layouts import (
    PLACES,
    Capability,
    Plain,
    Struct,
    Structs,
    Tree,
    frame_with,
    tree_of,
)
from support.strict_node import methods

from telegraf_bitcoin_ipc.guard import wire
from telegraf_bitcoin_ipc.ipc import jsonrpc
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY
from telegraf_bitcoin_ipc.ipc.jsonrpc import USER

Mutation = Callable[[random.Random, bytes], list[bytes]]

NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 21, 64, 255, 1 << 29, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
LIMITS = (0x7FF0000000000000, 0x7FF8000000000000, 0xFFF0000000000000, 0xC08F400000000000, 0x40C3880000000001)
"""Infinity, NaN, minus infinity, -1000, a little more than 10000."""


def texts(rng: random.Random) -> bytes:
    """Return a text for executeRpc, or any other."""
    method = rng.choice(("stop", *READ_ONLY))
    others = (method, "[]", "[1]\x00]", f"{method}\x00stop", "\x00", jsonrpc.request(method, []), USER)
    kinds = (METHODS, OTHER_METHODS, PARAMETERS, URIS, USERS, others, tuple(requests(method).values()))
    text = rng.choice(rng.choice(kinds)).encode("utf-8", "surrogatepass")
    return text if rng.random() < 0.1 else text + b"\x00"


def _places(tree: Tree) -> list[Tree]:
    """Return everything in a message."""
    found, left = [], [tree]
    while left:
        each = left.pop()
        found.append(each)
        if isinstance(each, Struct):
            left += each.pointers
        elif isinstance(each, Structs):
            left += each.items
    return found


def bits(rng: random.Random, frame: bytes) -> list[bytes]:
    """Flip bits after the header."""
    changed = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(64, 8 * len(frame))
        changed[place // 8] ^= 1 << place % 8
    return [bytes(changed)]


def words(rng: random.Random, frame: bytes) -> list[bytes]:
    """Replace a word with a number, a pointer or another word of the frame."""
    changed = bytearray(frame)
    at = 8 * rng.randrange(1, len(frame) // 8)
    other: int = struct.unpack_from("<Q", frame, 8 * rng.randrange(1, len(frame) // 8))[0]
    value = rng.choice(
        (rng.choice(NUMBERS), rng.choice(LIMITS), rng.getrandbits(64), other, 0, 3 | rng.randrange(4) << 32)
    )
    struct.pack_into("<Q", changed, at, value)
    return [bytes(changed)]


def pointers(rng: random.Random, frame: bytes) -> list[bytes]:
    """Change a pointer's target, type or size."""
    changed = bytearray(frame)
    count = len(frame) // 8
    at = rng.choice([at for at in range(1, count) if any(frame[8 * at : 8 * at + 8])] or [1])
    word: int = struct.unpack_from("<Q", frame, 8 * at)[0]
    low, high = word & 0xFFFFFFFF, word >> 32
    offset = (low >> 2) - (1 << 30 if low >> 31 else 0)
    kind = low & 3
    what = rng.randrange(5)
    if what == 0:
        offset += rng.choice((-3, -2, -1, 1, 2, 3, 8, count))
    elif what == 1:
        offset = rng.randrange(1, count) - at - 1
    elif what == 2:
        kind = rng.randrange(4)
    elif what == 3:
        high = high & ~7 | rng.randrange(8)
    else:
        high = max(0, high + rng.choice((-(1 << 16), -8, -1, 1, 8, 1 << 16, 1 << 19)))
    struct.pack_into("<II", changed, 8 * at, kind | (offset & 0x3FFFFFFF) << 2, high & 0xFFFFFFFF)
    return [bytes(changed)]


def sizes(rng: random.Random, frame: bytes) -> list[bytes]:
    """Change the size in the frame's header, or lengthen the segment."""
    words = struct.unpack_from("<I", frame, 4)[0]
    if rng.random() < 0.5:
        more = rng.randrange(1, 4)
        return [struct.pack("<II", 0, words + more) + frame[8:] + rng.randbytes(8 * more)]
    said = rng.choice((words - 1, words + 1, 0, rng.choice(NUMBERS)))
    return [struct.pack("<II", rng.choice((0, 0, 0, 1, 511, 512)), said & 0xFFFFFFFF) + frame[8:]]


def fields(rng: random.Random, frame: bytes) -> list[bytes]:
    """Change a number in a struct's data."""
    tree = tree_of(frame)
    place = rng.choice([each for each in _places(tree) if isinstance(each, Struct) and each.data])
    data = bytearray(place.data)
    size, code = rng.choice(((1, "<B"), (2, "<H"), (4, "<I"), (4, "<I"), (8, "<Q")))
    number = rng.choice((*NUMBERS, rng.randrange(30)))
    if size == 8 and rng.random() < 0.5:
        number = rng.choice(LIMITS)
    struct.pack_into(code, data, rng.randrange(len(data) // size) * size, number & (1 << 8 * size) - 1)
    place.data = bytes(data)
    return [frame_with(tree)]


def strings(rng: random.Random, frame: bytes) -> list[bytes]:
    """Replace a text."""
    tree = tree_of(frame)
    lists = [each for each in _places(tree) if isinstance(each, Plain)]
    if not lists:
        return bits(rng, frame)
    place = rng.choice(lists)
    place.data = texts(rng)
    place.count = len(place.data)
    if rng.random() < 0.1:
        place.code = rng.randrange(6)
        place.count = len(place.data) * 8 // (0, 1, 8, 16, 32, 64)[place.code] if place.code else len(place.data)
    return [frame_with(tree)]


def trees(rng: random.Random, frame: bytes) -> list[bytes]:
    """Remove a pointer's target, insert a capability, resize a struct, or move everything behind far pointers."""
    tree = tree_of(frame)
    everything = _places(tree)
    place = rng.choice([each for each in everything if isinstance(each, Struct) and each.pointers])
    index = rng.randrange(len(place.pointers))
    what = rng.randrange(6)
    if what == 0:
        place.pointers[index] = None
    elif what == 1:
        place.pointers[index] = Capability(rng.randrange(4))
    elif what == 2:
        place.pointers.append(Capability(0))
        place.data += bytes(8 * rng.randrange(3))
    elif what == 3:
        del place.pointers[index]
    elif what == 4:
        for each in everything:
            if isinstance(each, Structs) and each.items:
                first = each.items[0]
                data = struct.pack("<HxxI", rng.randrange(7), rng.choice(NUMBERS)) + first.data[8:]
                each.items.insert(rng.randrange(len(each.items) + 1), Struct(data, list(first.pointers)))
    else:
        return [frame_with(tree, lambda _: rng.choice(PLACES))]
    return [frame_with(tree)]


def pieces(rng: random.Random, frame: bytes) -> list[bytes]:
    """Truncate the frame, or append to it."""
    place = rng.randrange(len(frame))
    joined = (frame[:place] + frame, frame[place:], frame + frame[:place], frame + rng.randbytes(place))
    return [rng.choice(joined)]


def order(rng: random.Random, frame: bytes) -> list[bytes]:
    """Omit the frame, or send it more than once."""
    return [frame] * rng.choice((0, 0, 2, 3, 70))


def calls(rng: random.Random, frame: bytes) -> list[bytes]:
    """Call any method of the schema on any capability."""
    interface, method = rng.choice(list(methods()))
    question, target, thread = rng.randrange(200), rng.choice((0, *range(1, 12))), rng.choice((2, 3, 4, 5, 11))
    if rng.random() < 0.1:
        method = rng.choice((100, 0xFFFF, method + 1))
    made = wire.call_on_thread(question, target, interface, method, thread)
    return [made, finish(question)] if rng.random() < 0.3 else [made]


def messages(rng: random.Random, frame: bytes) -> list[bytes]:
    """Send another message before the frame: of a known kind with any ids, or of an unknown kind."""
    number, count = rng.choice((*NUMBERS, *range(20))), rng.choice(NUMBERS)
    kinds = rng.choice((0, 1, 5, 7, 9, 10, 11, 12, 13, 14, 99))
    made = rng.choice(
        (
            finish(number),
            done(number),
            release(number, count),
            bootstrap(number),
            answer(number),
            disembargo(number),
            wire.message_of(kinds, 1, 1, number, 0),
        )
    )
    return [made, frame]


KINDS: dict[str, Mutation] = {
    each.__name__: each
    for each in (bits, words, pointers, sizes, fields, strings, trees, pieces, order, calls, messages)
}
"""The ways to change a frame: each returns what is sent instead of it."""
