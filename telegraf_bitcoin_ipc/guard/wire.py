"""Cap'n Proto messages: views that read them, and functions that build the ones the guard sends.

Offsets are in bytes, from Cap'n Proto's encoding and rpc.capnp. Nothing here depends on what the calls mean.
"""

import functools
import struct

TYPE_CHECKING = False  # as in typing, whose import would take a fifth of the guard's start
if TYPE_CHECKING:
    from typing import Self

Frame = bytes | bytearray | memoryview

# Message (rpc.capnp): the union's discriminant is the first u16 of its data.
ABORT, CALL, RETURN, FINISH, RESOLVE, RELEASE, BOOTSTRAP = 1, 2, 3, 4, 5, 6, 8
# Return's union, u16 at 6 of its data: 0 results, 1 exception. CapDescriptor's, u16 at 0: 1 senderHosted,
# 2 senderPromise, 3 receiverHosted; 0 is none.
RESULTS, EXCEPTION = 0, 1
NONE, SENDER_HOSTED, SENDER_PROMISE, RECEIVER_HOSTED = 0, 1, 2, 3

OWN_IDS = 1 << 30  # question ids of the guard's own; an RPC system allots them from 0 up

U16, U32, U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
HEADER = struct.Struct("<II")  # segments minus one, words of the first
CALL_DATA = struct.Struct("<IHxxQ")  # questionId u32 at 0, methodId u16 at 4, interfaceId u64 at 8
TARGET, PARAMS = 0, 1  # a Call's pointers
CONTENT, CAP_TABLE = 0, 1  # a Payload's pointers

STRUCT_POINTER, LIST_POINTER, FAR_POINTER = 0, 1, 2
BYTE_LIST, STRUCT_LIST = 2, 7  # the size code of a list's elements


class Malformed(Exception):
    """A message is not laid out as Cap'n Proto or rpc.capnp require."""


class Segments:
    """A frame and its segments: u32 count - 1, a u32 of words for each, padding, the segments."""

    __slots__ = ("frame", "table")

    def __init__(self, frame: Frame) -> None:
        """Find the segments. Raises Malformed when the frame is shorter than its header says."""
        self.frame = frame
        self.table: list[tuple[int, int]]
        if len(frame) < 8:
            raise Malformed
        more, words = HEADER.unpack_from(frame, 0)
        if not more:  # as nearly every frame
            self.table = [(8, 8 + 8 * words)]
            if 8 + 8 * words > len(frame):
                raise Malformed
            return
        count = more + 1
        start = (4 * (count + 1) + 7) & ~7
        if start > len(frame):
            raise Malformed
        self.table = []
        for index in range(count):
            end = start + 8 * U32.unpack_from(frame, 4 + 4 * index)[0]
            self.table.append((start, end))
            start = end
        if start > len(frame):
            raise Malformed

    def check(self, segment: int, start: int, size: int) -> None:
        """Raise Malformed unless the bytes are within the segment."""
        low, high = self.table[segment]
        if not low <= start <= high - size:
            raise Malformed

    def follow(self, segment: int, at: int) -> tuple[int, int, int] | None:
        """Return (segment, offset, descriptive word) of what the pointer at `at` leads to; None if it is null.

        A far pointer (type 2) leads to a landing pad: bit 2 says that the pad is two words, another far pointer
        and the description; bits 3 to 31 are the pad's place in words, bits 32 to 63 its segment.
        """
        self.check(segment, at, 8)
        word = U64.unpack_from(self.frame, at)[0]
        if word == 0:
            return None
        if word & 3 == FAR_POINTER:
            segment, at, double = *self._far(word), word & 4
            self.check(segment, at, 16 if double else 8)
            word = U64.unpack_from(self.frame, at)[0]
            if double:
                if word & 3 != FAR_POINTER:
                    raise Malformed
                return *self._far(word), U64.unpack_from(self.frame, at + 8)[0]
            if word & 3 == FAR_POINTER:
                raise Malformed
        offset = (word & 0xFFFFFFFF) >> 2
        return segment, at + 8 + 8 * (offset - (1 << 30) if offset >> 29 else offset), word

    def _far(self, word: int) -> tuple[int, int]:
        """Return (segment, offset) that a far pointer leads to; the caller checks the bounds."""
        segment = word >> 32
        if segment >= len(self.table):
            raise Malformed
        return segment, self.table[segment][0] + 8 * ((word & 0xFFFFFFFF) >> 3)


class Struct:
    """A struct in a frame. Every read is checked: outside of the struct's data or pointers it raises Malformed."""

    __slots__ = ("pointers", "pointers_at", "segment", "segments", "start")

    def __init__(self, segments: Segments, segment: int, start: int, data_bytes: int, pointers: int) -> None:
        """View a struct; `start` is the offset of its data in the frame. Raises Malformed if it does not fit."""
        segments.check(segment, start, data_bytes + 8 * pointers)
        self.segments = segments
        self.segment = segment
        self.start = start
        self.pointers_at = start + data_bytes
        self.pointers = pointers

    @property
    def end(self) -> int:
        """The offset behind the struct's last pointer."""
        return self.pointers_at + 8 * self.pointers

    def at(self, at: int, size: int) -> int:
        """Return the offset in the frame of `size` bytes of the data."""
        if self.start + at + size > self.pointers_at:
            raise Malformed
        return self.start + at

    def u16(self, at: int) -> int:
        """Return the u16 at that byte of the data."""
        number: int = U16.unpack_from(self.segments.frame, self.at(at, 2))[0]
        return number

    def u32(self, at: int) -> int:
        """Return the u32 at that byte of the data."""
        number: int = U32.unpack_from(self.segments.frame, self.at(at, 4))[0]
        return number

    def u64(self, at: int) -> int:
        """Return the u64 at that byte of the data."""
        number: int = U64.unpack_from(self.segments.frame, self.at(at, 8))[0]
        return number

    def _follow(self, index: int) -> tuple[int, int, int] | None:
        if index >= self.pointers:
            raise Malformed
        return self.segments.follow(self.segment, self.pointers_at + 8 * index)

    def has(self, index: int) -> bool:
        """Return whether there is a pointer of that number and it is not null."""
        return index < self.pointers and self._follow(index) is not None

    def struct(self, index: int) -> "Struct":
        """Return the struct that a pointer leads to."""
        return self._struct(self._follow(index))

    def _struct(self, found: tuple[int, int, int] | None) -> "Struct":
        """View a struct: u16 of words at bit 32, u16 of pointers at bit 48."""
        if found is None or found[2] & 3 != STRUCT_POINTER:
            raise Malformed
        segment, start, word = found
        return Struct(self.segments, segment, start, 8 * (word >> 32 & 0xFFFF), word >> 48)

    def structs(self, index: int) -> list["Struct"]:
        """Return the structs of a list; none if the pointer is null.

        The list's first word is a tag: the count in bits 2 to 31, the size of each as in a struct pointer.
        """
        found = self._follow(index)
        if found is None:
            return []
        segment, start, word = found
        words = word >> 35
        if word & 3 != LIST_POINTER or word >> 32 & 7 != STRUCT_LIST:
            raise Malformed
        self.segments.check(segment, start, 8 + 8 * words)
        tag = U64.unpack_from(self.segments.frame, start)[0]
        count, data, pointers = (tag & 0xFFFFFFFF) >> 2, tag >> 32 & 0xFFFF, tag >> 48
        if not data or count * (data + pointers) > words:
            raise Malformed
        step = 8 * (data + pointers)
        return [
            Struct(self.segments, segment, start + 8 + step * each, 8 * data, pointers) for each in range(count)
        ]

    def data_range(self, index: int) -> tuple[int, int]:
        """Return (offset, length) in the frame of a Data or Text: its bytes' count is in bits 35 to 63.

        A null pointer is no bytes, at the pointer's own place.
        """
        found = self._follow(index)
        if found is None:
            return self.pointers_at + 8 * index, 0
        segment, start, word = found
        length = word >> 35
        if word & 3 != LIST_POINTER or word >> 32 & 7 != BYTE_LIST:
            raise Malformed
        self.segments.check(segment, start, length)
        return start, length

    def data(self, index: int) -> bytes:
        """Return the bytes of a Data or Text."""
        start, length = self.data_range(index)
        return bytes(self.segments.frame[start : start + length])

    def text(self, index: int) -> str:
        """Return a Text of ASCII: bytes that end with the only NUL. Empty if the pointer is null."""
        if not self.has(index):
            return ""
        data = self.data(index)
        if not data or data.find(0) != len(data) - 1 or not data.isascii():
            raise Malformed
        return data[:-1].decode("ascii")

    # Structs of rpc.capnp

    def call(self) -> tuple[int, int, int]:
        """Return (questionId, methodId, interfaceId) of a Call."""
        question, method, interface = CALL_DATA.unpack_from(self.segments.frame, self.at(0, CALL_DATA.size))
        return question, method, interface

    def imported_target(self) -> int | None:
        """Return the id of a Call's importedCap MessageTarget (u32 at 0, u16 union at 4: 0), or None."""
        target = self.struct(TARGET)
        return None if target.u16(4) else target.u32(0)

    def capabilities(self, index: int) -> list["Struct"]:
        """Return the CapDescriptors of the Payload that a pointer leads to; none if it is null."""
        found = self._follow(index) if index < self.pointers else None
        return [] if found is None else self._struct(found).structs(CAP_TABLE)


class Message(Struct):
    """A frame's Message: its kind, and the struct that the union holds."""

    __slots__ = ()

    @classmethod
    def of(cls, frame: Frame) -> "Self":
        """Read a frame; the root pointer is the first word of the first segment. Raises Malformed."""
        segments = Segments(frame)
        found = segments.follow(0, segments.table[0][0])
        if found is None or found[2] & 3 != STRUCT_POINTER:
            raise Malformed
        segment, start, word = found
        return cls(segments, segment, start, 8 * (word >> 32 & 0xFFFF), word >> 48)

    @property
    def kind(self) -> int:
        """The union's discriminant."""
        return self.u16(0)

    @property
    def body(self) -> Struct:
        """The struct that the union holds: a Call, a Return, ..."""
        return self.struct(0)


# Building frames of one segment. A struct pointer: offset in words << 2, data words << 32, pointers << 48.


def pointer(offset: int, data: int, pointers: int) -> int:
    """Return a struct pointer."""
    return offset << 2 | data << 32 | pointers << 48


def frame_of(*words: int) -> bytes:
    """Return a frame of one segment."""
    return struct.pack(f"<II{len(words)}Q", 0, len(words), *words)


def message_of(kind: int, data: int, pointers: int, *words: int) -> bytes:
    """Return a Message whose body has that many words of data and pointers: `words`, and what they point to."""
    return frame_of(pointer(0, 1, 1), kind, pointer(0, data, pointers), *words)


@functools.lru_cache(maxsize=256)
def answer_to(question: int) -> bytes:
    """Return a Return with empty results; releaseParamCaps, stored inverted, is true."""
    return message_of(RETURN, 2, 1, question, 0, pointer(0, 0, 2), 0, 0)


def exception_to(question: int, reason: str) -> bytes:
    """Return a Return with an exception of type `failed`; `reason` is ASCII."""
    text = reason.encode("ascii") + b"\0"
    words = struct.unpack(f"<{-(-len(text) // 8)}Q", text + bytes(-len(text) % 8))
    return message_of(
        RETURN, 2, 1,
        question | EXCEPTION << 48, 0, pointer(0, 1, 1),
        0, LIST_POINTER | BYTE_LIST << 32 | len(text) << 35, *words,
    )  # fmt: skip


def finish_of(question: int, *, keep: bool = False) -> bytes:
    """Return a Finish, which lets go of what the answer gave unless `keep`: releaseResultCaps is inverted."""
    return message_of(FINISH, 1, 0, question | keep << 32)


def release_of(capability: int, count: int) -> bytes:
    """Return a Release of `count` references (id u32 at 0, count u32 at 4)."""
    return message_of(RELEASE, 1, 0, capability | count << 32)


def call_on_thread(question: int, capability: int, interface: int, method: int, thread: int) -> bytes:
    """Return a Call of a method whose only parameter is a libmultiprocess Context, to run on a server thread."""
    return message_of(
        CALL, 3, 3,
        question | method << 32, interface, 0,
        pointer(2, 1, 1), pointer(3, 0, 2), 0,  # target, params, sendResultsTo
        capability, 0,  # MessageTarget: importedCap
        pointer(1, 0, 1), 1 | 3 << 2 | 7 << 32 | 2 << 35,  # Payload: content, capTable (2 words beside the tag)
        pointer(0, 0, 2),  # the method's parameters: context
        3, 0,  # Context: thread is a capability (type 3) and the table's first, callbackThread is null
        1 << 2 | 1 << 32 | 1 << 48, RECEIVER_HOSTED | thread << 32, 0,  # one CapDescriptor
    )  # fmt: skip


FINISH_BYTES = len(finish_of(0))
FINISH_HEAD = finish_of(0)[:-8]  # all but the question
