"""Whether a client's frame is laid out plainly: one segment, no far pointers, and no word used twice.

Every reader reads such a frame the same way, and writing to one of its fields changes no other. A builder of
messages makes no other frames of a client's size.
"""

import struct
from collections.abc import Sequence

from .wire import LIST_POINTER, STRUCT_LIST, STRUCT_POINTER, Frame, Malformed, Segments

CAPABILITY = 3  # the low half of a capability pointer
POINTER_LIST = 6
ELEMENT_BITS = (0, 1, 8, 16, 32, 64)  # by the size code of a list


def check(frame: Frame) -> None:
    """Raise Malformed for any other layout."""
    table = Segments(frame).table
    start, end = table[0]
    if len(table) > 1 or end != len(frame):
        raise Malformed
    words = struct.unpack_from(f"<{(end - start) // 8}Q", frame, start)
    taken = bytearray(len(words))
    _take(taken, 0, 1)
    pointers = [0]
    while pointers:
        at = pointers.pop()
        word = words[at]
        if word and word & 0xFFFFFFFF != CAPABILITY:
            pointers.extend(_follow(words, taken, at, word))


def _take(taken: bytearray, first: int, size: int) -> None:
    """Use these words. Raises Malformed if they are outside of the frame or used already."""
    if not 0 <= first <= len(taken) - size or any(taken[first : first + size]):
        raise Malformed
    taken[first : first + size] = b"\1" * size


def _follow(words: Sequence[int], taken: bytearray, at: int, word: int) -> Sequence[int]:
    """Use the words that a pointer leads to; return where the pointers in them are."""
    kind, offset = word & 3, (word & 0xFFFFFFFF) >> 2
    first = at + 1 + (offset - (1 << 30) if offset >> 29 else offset)
    if kind == STRUCT_POINTER:
        data, pointers = word >> 32 & 0xFFFF, word >> 48
        _take(taken, first, data + pointers)
        return range(first + data, first + data + pointers)
    if kind != LIST_POINTER:
        raise Malformed
    code, count = word >> 32 & 7, word >> 35
    if code == STRUCT_LIST:
        _take(taken, first, 1 + count)
        return _in_structs(words[first], first + 1, count)
    if code == POINTER_LIST:
        _take(taken, first, count)
        return range(first, first + count)
    _take(taken, first, -(-count * ELEMENT_BITS[code] // 64))
    return ()


def _in_structs(tag: int, first: int, words: int) -> Sequence[int]:
    """Return where the pointers are in a list of structs, which has as many words as its tag says."""
    count, data, pointers = (tag & 0xFFFFFFFF) >> 2, tag >> 32 & 0xFFFF, tag >> 48
    if tag & 3 != STRUCT_POINTER or count * (data + pointers) != words:
        raise Malformed
    each = data + pointers
    return [
        first + each * item + data + index for item in range(count if pointers else 0) for index in range(pointers)
    ]
