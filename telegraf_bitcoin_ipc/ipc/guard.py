#!/usr/bin/env python3
"""The guard: the small process that holds the node's socket, so that nothing the plugin does can harm the node.

A node waits for every call it makes on a subscriber, and aborts when one fails or when a subscribed socket
closes. This program stands between the node and the plugin and keeps these invariants:

1. Every call on a callback is answered at once, by this process, whatever the plugin does.
2. The node's socket is not closed while a subscription stands. Nor while a call is unanswered that the node runs
   on a server thread, for it can abort where its connection has gone; but no longer than ANSWER_SECONDS, and not
   for a wait for the chain or the tip. When the plugin's side closes, and when the node begins to stop,
   each handler is disconnected, one after another, until the node has called `destroy` on each callback, however
   long it takes. What the plugin wants to end is ended here, too: a second disconnect of a handler while the first
   is under way hangs the node's thread for ever. A Mining.waitTipChanged without a time limit tells of the node's
   stop: the guard takes it over, repeats it all the time, and answers the plugin when the node begins to stop. If
   it fails the plugin gets the failure, and the subscriptions end: the node's stop could no longer be learned of.
3. It never waits for the plugin: what the plugin does not take is queued up to QUEUE_BYTES; beyond that the
   oldest events are dropped, and counted.
4. Every UTXO event is added up here, in memory that the plugin shares, before it is answered.
5. Frames that are not understood are relayed as they are, whole and in their order.

An event is handed on under a question id of the guard's own, as the call that it was but with its capabilities
taken out of it: the guard's answer has released those. So the plugin's callbacks are ordinary servers; what they
return is swallowed here, and its `Finish` made up.

Arguments of `main`: NODE_FD PLUGIN_FD SHARED_FD SPIN_MICROSECONDS HAND_ON_UTXO
(file descriptors; 1 as the last to hand UTXO events on, too). Writes one byte to the plugin when it is ready.

Standard library only. Offsets are in bytes, from Cap'n Proto's encoding and rpc.capnp; ids from the wire
contract of Bitcoin Core's IPC interfaces.
"""

import contextlib
import errno
import functools
import math
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable

READY = b"R"

# What is shared with the plugin: unsigned 64-bit totals since the start, in this order.
TOTALS = (
    "add",
    "spend",
    "uncache",
    "add_value",
    "spend_value",
    "uncache_value",
    "add_unconfirmed",
    "events_dropped",
)
SHARED_BYTES = 8 * len(TOTALS)
UNCONFIRMED, DROPPED = TOTALS.index("add_unconfirmed"), TOTALS.index("events_dropped")

QUEUE_BYTES = 32 << 20  # events waiting for the plugin; a block is at most 4 MB
SPARE_BYTES = 5 << 20  # of memory that is kept for the next large frame
SPARE_STEP = 1 << 20
BACKLOG_BYTES = 1 << 20  # waiting for the node, before no more is read from the plugin
FRAME_BYTES = 72 << 20  # a message of 64 MiB, the usual limit of readers, and its header
SEGMENTS = 512  # the usual limit of readers, too
READ_BYTES = 256 << 10
# The work that an event begins in the plugin is not to be beside the node's: it waits for the end of a burst.
QUIET_SECONDS = 0.0003  # without another event of the node's
HOLD_SECONDS = 0.005  # at most, altogether
HELD_BYTES = 1 << 20
TIP_WAIT_MILLISECONDS = 500.0  # of each waitTipChanged: how long the end of a session has to wait for one
RETRY_SECONDS = 0.01  # after the node's thread was busy, or the system could not send or receive
LONGEST_RETRY_SECONDS = 1.0  # the pause before a waitTipChanged is repeated doubles up to this
ANSWER_SECONDS = 600.0  # the longest wait for answers, when the plugin has gone: the node hangs
LOADING_SECONDS = 1.0  # a makeMining that has not returned by then waits for the chain
DESTROY_SECONDS = 0.25  # after a disconnect that returned: `destroy` comes some 10 ms later at most

THREAD_BUSY = b"thread busy"  # in the reason of libmultiprocess's exception, up to version 7
PEER_IS_GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN}

OWN_IDS = 1 << 30  # question ids of the guard's own; an RPC system allots them from 0 up

# Message (rpc.capnp): the union's discriminant is the first u16 of its data.
ABORT, CALL, RETURN, FINISH, RELEASE, BOOTSTRAP = 1, 2, 3, 4, 6, 8
# Return's union, u16 at 6 of its data: 0 results, 1 exception. CapDescriptor's, u16 at 0: 1 senderHosted,
# 2 senderPromise, 3 receiverHosted; 0 is none.
RESULTS, EXCEPTION = 0, 1
NONE, SENDER_HOSTED, SENDER_PROMISE, RECEIVER_HOSTED = 0, 1, 2, 3

CHAIN, HANDLE_NOTIFICATIONS = 0xDDFB1D54C24414B3, 39
TRACING, TRACE_UTXO_CACHE = 0xB300BEDCD7B880CE, 0
MINING, WAIT_TIP_CHANGED = 0xF9C68436DF3AF39E, 3
INIT, MAKE_MINING = 0x8838C700BA5CBA65, 3
# Calls that no server thread of the node runs: Init.construct, ThreadMap.makeThread, Thread.getName.
EVENT_LOOP_CALLS = {(INIT, 0), (0xEE5E37179AD9DC9D, 0), (0x81C1E2600D0B56C5, 0)}
HANDLER, DISCONNECT = 0xEA08728D34263F55, 1
CHAIN_NOTIFICATIONS, UTXO_CACHE_TRACE = 0x9AC9DB48BA219039, 0xF877DD6FB711C62F
DESTROY = 0  # of both callback interfaces
SUBSCRIBING = {(CHAIN, HANDLE_NOTIFICATIONS), (TRACING, TRACE_UTXO_CACHE)}
UTXO_METHODS = (1, 2, 3)  # add, spend, uncache: in the order of TOTALS
UNCONFIRMED_HEIGHT = 0x7FFFFFFF
HASH_BYTES = 32
NO_LIMIT = struct.unpack("<Q", struct.pack("<d", sys.float_info.max))[0]  # the default of waitTipChanged's timeout

U16, U32, U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
U64_MAX = (1 << 64) - 1
QUESTION_AND_METHOD = struct.Struct("<IH")  # the first 6 bytes of it
CALL_DATA = struct.Struct("<IHxxQ")  # questionId u32 at 0, methodId u16 at 4, interfaceId u64 at 8
UTXO_DATA = struct.Struct("<4xIq")  # UtxoInfo: outpointN u32 at 0, height u32 at 4, value i64 at 8


Table = list[tuple[int, int]]
Totals = memoryview
Frame = bytes | bytearray | memoryview


class NotUnderstood(Exception):
    """A frame does not have the form that it would have to have."""


# Reading a frame. A place is (segment, offset in the frame).


def segment_table(frame: Frame) -> Table:
    """Return (start, end) of each segment: u32 count - 1, a u32 of words for each, padding, the segments."""
    count = U32.unpack_from(frame, 0)[0] + 1
    start = (4 * (count + 1) + 7) & ~7
    table = []
    for index in range(count):
        end = start + 8 * U32.unpack_from(frame, 4 + 4 * index)[0]
        table.append((start, end))
        start = end
    return table


def follow(frame: Frame, table: Table, segment: int, at: int) -> tuple[int, int, int] | None:
    """Return (segment, where it points to, the word that describes it) for the pointer at `at`, or None.

    A far pointer (type 2) leads to a landing pad: bit 2 says that the pad is two words, another far pointer and
    the description; bits 3 to 31 are the pad's place in words, bits 32 to 63 its segment.
    """
    if not table[segment][0] <= at <= table[segment][1] - 8:
        raise NotUnderstood
    word = U64.unpack_from(frame, at)[0]
    if word == 0:
        return None
    if word & 3 == 2:
        segment, at, double = *far(table, word), word & 4
        if at > table[segment][1] - (16 if double else 8):
            raise NotUnderstood
        word = U64.unpack_from(frame, at)[0]
        if double:
            if word & 3 != 2:
                raise NotUnderstood
            tag = U64.unpack_from(frame, at + 8)[0]
            segment, at = far(table, word)
            return segment, at, tag
        if word & 3 == 2:
            raise NotUnderstood
    offset = (word & 0xFFFFFFFF) >> 2
    return segment, at + 8 + 8 * (offset - (1 << 30) if offset >> 29 else offset), word


def far(table: Table, word: int) -> tuple[int, int]:
    """Return the place that a far pointer leads to; at a segment's end there may be nothing, of size zero."""
    segment = word >> 32
    if segment >= len(table):
        raise NotUnderstood
    return segment, table[segment][0] + 8 * ((word & 0xFFFFFFFF) >> 3)


def struct_at(
    frame: Frame, table: Table, segment: int, at: int, data_bytes: int, pointers: int
) -> tuple[int, int, int]:
    """Return (segment, data's offset, pointers' offset) of the struct that the pointer at `at` points to.

    It must have at least so much data and so many pointers: u16 of words at bit 32, u16 of pointers at bit 48.
    """
    found = follow(frame, table, segment, at)
    if found is None:
        raise NotUnderstood
    segment, start, word = found
    data, count = 8 * (word >> 32 & 0xFFFF), word >> 48
    if word & 3 or data < data_bytes or count < pointers:
        raise NotUnderstood
    if not table[segment][0] <= start <= table[segment][1] - data - 8 * count:
        raise NotUnderstood
    return segment, start, start + data


def message(frame: Frame) -> tuple[Table, int, int, int]:
    """Return (table, kind, segment, offset of the union's pointer); the root pointer is the first word."""
    table = segment_table(frame)
    segment, data, pointers = struct_at(frame, table, 0, table[0][0], 2, 1)
    return table, U16.unpack_from(frame, data)[0], segment, pointers


def capabilities(frame: Frame, table: Table, segment: int, at: int) -> list[int]:
    """Return the offsets of the CapDescriptors in the Payload that the pointer at `at` points to.

    Payload: pointers content, capTable. The table is a list (type 1) of structs (7 in bits 32 to 34), whose first
    word is a tag: the count in bits 2 to 31, the size as in a struct pointer.
    """
    if follow(frame, table, segment, at) is None:
        return []
    segment, _, pointers = struct_at(frame, table, segment, at, 0, 2)
    found = follow(frame, table, segment, pointers + 8)
    if found is None:
        return []
    segment, start, word = found
    words = word >> 35
    if word & 3 != 1 or word >> 32 & 7 != 7:
        raise NotUnderstood
    if not table[segment][0] <= start <= table[segment][1] - 8 - 8 * words:
        raise NotUnderstood
    tag = U64.unpack_from(frame, start)[0]
    count, size = (tag & 0xFFFFFFFF) >> 2, (tag >> 32 & 0xFFFF) + (tag >> 48)
    if not tag >> 32 & 0xFFFF or count * size > words:
        raise NotUnderstood
    return [start + 8 + 8 * size * index for index in range(count)]


def read_call(frame: Frame, table: Table, segment: int, at: int) -> tuple[int, int, int, int, int, int]:
    """Return (questionId, methodId, interfaceId, data's offset, segment, pointers' offset) of a Call."""
    try:
        segment, data, pointers = struct_at(frame, table, segment, at, 24, 3)
    except NotUnderstood:  # shorter than a Call is written: it can be answered, but there is nothing to follow
        segment, data, _ = struct_at(frame, table, segment, at, 16, 0)
        pointers = table[segment][1]
    return (*CALL_DATA.unpack_from(frame, data), data, segment, pointers)


def read_target(frame: Frame, table: Table, segment: int, pointers: int) -> int | None:
    """Return the id of an importedCap MessageTarget (u32 at 0, u16 union at 4: 0), or None."""
    _, data, _ = struct_at(frame, table, segment, pointers, 6, 1)
    return None if U16.unpack_from(frame, data + 4)[0] else U32.unpack_from(frame, data)[0]


def read_utxo(frame: Frame, table: Table, segment: int, pointers: int) -> tuple[int, int]:
    """Return (height, value) of the UtxoInfo in a Call's params: Payload -> content -> utxoInfo."""
    segment, _, payload = struct_at(frame, table, segment, pointers + 8, 0, 2)
    segment, _, content = struct_at(frame, table, segment, payload, 0, 1)
    _, data, _ = struct_at(frame, table, segment, content, 16, 1)
    return UTXO_DATA.unpack_from(frame, data)


def read_data(frame: Frame, table: Table, segment: int, at: int) -> tuple[int, int]:
    """Return (offset, length) of the bytes of the Data that the pointer at `at` points to.

    A list (type 1) of bytes (2 in bits 32 to 34), the length in bits 35 to 63. A null pointer is no bytes.
    """
    found = follow(frame, table, segment, at)
    if found is None:
        return at, 0
    segment, start, word = found
    length = word >> 35
    if word & 3 != 1 or word >> 32 & 7 != 2:
        raise NotUnderstood
    if not table[segment][0] <= start <= table[segment][1] - length:
        raise NotUnderstood
    return start, length


def read_wait(frame: Frame, table: Table, segment: int, pointers: int) -> tuple[int, int]:
    """Return the offsets of the time limit and of the tip's hash in a waitTipChanged Call.

    Params: timeout f64 at 0, in milliseconds, stored exclusive-or its default; pointers context, currentTip.
    """
    segment, _, payload = struct_at(frame, table, segment, pointers + 8, 0, 2)
    segment, data, pointers = struct_at(frame, table, segment, payload, 8, 2)
    at, length = read_data(frame, table, segment, pointers + 8)
    if length != HASH_BYTES:
        raise NotUnderstood
    return data, at


def read_tip(frame: Frame, table: Table, segment: int, pointers: int) -> bytes:
    """Return the hash in a Return of waitTipChanged: Payload -> content -> result: BlockRef -> hash.

    What is not there has its default: no bytes.
    """
    for _ in ("payload", "content", "result"):
        found = follow(frame, table, segment, pointers)
        if found is None or found[2] >> 48 == 0:  # null, or a struct without pointers
            return b""
        segment, _, pointers = struct_at(frame, table, segment, pointers, 0, 1)
    at, length = read_data(frame, table, segment, pointers)
    return bytes(frame[at : at + length])


def read_reason(frame: Frame, table: Table, segment: int, pointers: int) -> bytes:
    """Return the reason in a Return's Exception: its first pointer, a Text, which lies there as Data does."""
    segment, _, pointers = struct_at(frame, table, segment, pointers, 0, 1)
    at, length = read_data(frame, table, segment, pointers)
    return bytes(frame[at : at + length])


# Writing frames: one segment. A struct pointer: offset in words << 2, data words << 32, pointers << 48.


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


def finish_of(question: int) -> bytes:
    """Return a Finish; releaseResultCaps, stored inverted, is true."""
    return message_of(FINISH, 1, 0, question)


def release_of(capability: int, count: int) -> bytes:
    """Return a Release of so many references (u32 at 0 and 4)."""
    return message_of(RELEASE, 1, 0, capability | count << 32)


def disconnect_of(question: int, handler: int, thread: int) -> bytes:
    """Return a Call of Handler.disconnect, run on the server thread `thread`: params (context: Context)."""
    return message_of(
        CALL, 3, 3,
        question | DISCONNECT << 32, HANDLER, 0,
        pointer(2, 1, 1), pointer(3, 0, 2), 0,  # target, params, sendResultsTo
        handler, 0,  # MessageTarget: importedCap
        pointer(1, 0, 1), 1 | 3 << 2 | 7 << 32 | 2 << 35,  # Payload: content, capTable (2 words beside the tag)
        pointer(0, 0, 2),  # disconnect$Params: context
        3, 0,  # Context: thread is a capability (type 3) and the table's first, callbackThread is null
        1 << 2 | 1 << 32 | 1 << 48, RECEIVER_HOSTED | thread << 32, 0,  # one CapDescriptor
    )  # fmt: skip


FINISH_BYTES = len(finish_of(0))
FINISH_HEAD = finish_of(0)[:-8]  # what comes before the question


class Form:
    """How a node's UTXO events lie in their frames: known from the first, so that those like it need no parsing.

    An event is like it if all bytes before the coin's data are equal, but for the question and the method: every
    pointer that leads to the coin is among them, and so is the frame's header.
    """

    def __init__(self, frame: Frame, question_at: int, coin_at: int) -> None:
        """Learn from a frame that was understood; the coin's data, and the question, are at those offsets."""
        self.size = len(frame)
        self.question_at = question_at
        self.method_end = question_at + QUESTION_AND_METHOD.size
        self.coin_at = coin_at
        self.head = frame[:question_at]
        self.middle = frame[self.method_end : coin_at]

    def read(self, frame: Frame) -> tuple[int, int, int, int] | None:
        """Return (question, method, height, value) of an event like it; None of any other frame."""
        if (
            len(frame) != self.size
            or frame[self.method_end : self.coin_at] != self.middle
            or frame[: self.question_at] != self.head
        ):
            return None
        return (
            *QUESTION_AND_METHOD.unpack_from(frame, self.question_at),
            *UTXO_DATA.unpack_from(frame, self.coin_at),
        )


def form_of(frame: Frame, table: Table, at: int, question_at: int, pointers: int) -> Form | None:
    """Return the form of a UTXO event (the Message's pointer is at `at`), if it is one that can be known again."""
    if len(table) > 1:
        return None
    _, _, payload = struct_at(frame, table, 0, pointers + 8, 0, 2)
    _, _, content = struct_at(frame, table, 0, payload, 0, 1)
    _, coin_at, _ = struct_at(frame, table, 0, content, 16, 1)
    if coin_at < max(at + 8, question_at + 24, pointers + 24, payload + 16, content + 8):
        return None
    return Form(frame, question_at, coin_at)


class Memory:
    """Memory for large frames. That of one which is handed on is used for the next: new memory takes longer."""

    def __init__(self) -> None:
        """Begin without any."""
        self._spare: mmap.mmap | None = None

    def take(self, size: int) -> memoryview:
        """Return so many bytes."""
        spare, self._spare = self._spare, None
        if spare is None or len(spare) < size:
            spare = mmap.mmap(-1, -(-size // SPARE_STEP) * SPARE_STEP, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return memoryview(spare)[:size]

    def give_back(self, frame: Frame) -> None:
        """Keep the memory of a frame that nobody needs any more, if it came from here and is not too much."""
        if isinstance(frame, memoryview) and len(frame.obj) <= SPARE_BYTES:  # type: ignore[arg-type]
            self._spare = frame.obj  # type: ignore[assignment]


class Frames:
    """Cuts a stream into frames, however it arrives."""

    def __init__(self, memory: Memory | None = None) -> None:
        """Begin with an empty stream; large frames lie in `memory`."""
        self._memory = memory or Memory()
        self._rest = bytearray()
        self._needed = 8
        self._raw = False
        # A frame larger than what is read at once: what has come of it is in its place.
        self._large: memoryview | None = None
        self._filled = 0

    def room(self) -> memoryview | None:
        """Return where the rest of a large frame belongs, for `fill`; None where there is none."""
        return self._large[self._filled :] if self._large is not None else None

    def fill(self, size: int) -> memoryview | None:
        """Take note of so many bytes in the room; returns the frame when it is complete."""
        self._filled += size
        if self._large is None or self._filled < len(self._large):
            return None
        frame, self._large = self._large, None
        return frame

    def feed(self, data: Frame) -> tuple[list[bytes], bytes]:
        """Return the frames that are complete now, and what comes where the stream is no stream of frames."""
        if self._raw:
            return [], bytes(data)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return [], b""
            data, self._rest = bytes(self._rest), bytearray()
        frames: list[bytes] = []
        room = self.room()
        if room is not None:
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            frame = self.fill(taken)
            if frame is not None:
                frames.append(bytes(frame))
            data = data[taken:]
        at, size = 0, len(data)
        while at < size:
            needed = self._length(data, at, size)
            if needed is None:
                self._raw = True
                return frames, bytes(data[at:])
            if size - at < needed:
                if needed > READ_BYTES:
                    self._large, self._filled = self._memory.take(needed), size - at
                    self._large[: size - at] = data[at:]
                else:
                    self._rest += data[at:]
                    self._needed = needed
                break
            frames.append(bytes(data if needed == size else data[at : at + needed]))
            at += needed
        return frames, b""

    @staticmethod
    def _length(data: Frame, at: int, size: int) -> int | None:
        """Return how many bytes a frame takes, at least; None where it is more than a reader would take."""
        if size - at < 8:
            return 8
        count, words = struct.unpack_from("<II", data, at)
        if count == 0:
            length = 8 + 8 * words
        elif count >= SEGMENTS:
            return None
        else:
            header = (4 * (count + 2) + 7) & ~7
            if size - at < header:
                return int(header)
            length = header + 8 * sum(struct.unpack_from(f"<{count + 1}I", data, at + 4))
        return int(length) if length <= FRAME_BYTES else None


UNWATCHED = -1


class Side:
    """One of the two sockets: the frames that come from it, and what waits to be written to it."""

    def __init__(self, connection: socket.socket, memory: Memory) -> None:
        """Use a connected socket, which does not block; large frames lie in `memory`."""
        self.connection = connection
        self.open = True
        self.memory = memory
        self.frames = Frames(memory)
        self.size = 0  # bytes that wait
        self.retry_at = 0.0  # not to be looked at before: the system could not send or receive
        self.watched = UNWATCHED
        self._waiting: deque[tuple[Frame, bool]] = deque()  # a frame, and whether it is an event
        self._begun = 0  # bytes of the first frame that are written
        self._into = memoryview(bytearray(READ_BYTES))

    def send(self, frame: Frame, event: bool = False) -> None:
        """Queue a frame, and write what is taken now; without effect when the side is closed."""
        if not self.open:
            return
        if not self._waiting:
            try:
                self._begun = self.connection.send(frame)
            except OSError as error:
                self._begun = 0
                self._failed(error)
                if not self.open:
                    return
            if self._begun == len(frame):
                self._begun = 0
                self.memory.give_back(frame)
                return
            self.size -= self._begun
            self.queue(frame, event)
        else:
            self.queue(frame, event)
            self.write()

    def queue(self, frame: Frame, event: bool) -> None:
        """Have a frame written when the socket takes it."""
        self._waiting.append((frame, event))
        self.size += len(frame)

    def write(self) -> None:
        """Write what is taken now."""
        try:
            while self._waiting:
                frame = self._waiting[0][0]
                written = self.connection.send(memoryview(frame)[self._begun :] if self._begun else frame)
                self.size -= written
                self._begun += written
                if self._begun == len(frame):
                    self._waiting.popleft()
                    self._begun = 0
                    self.memory.give_back(frame)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """Close the side if the peer is gone; anything else, as a lack of memory (ENOBUFS, ENOMEM), passes."""
        if error.errno in PEER_IS_GONE:
            self.close()
        elif not isinstance(error, BlockingIOError):
            self.retry_at = time.monotonic() + RETRY_SECONDS

    def receive(self) -> tuple[list[bytes] | list[memoryview], bytes]:
        """Return the frames that are complete now, and what is none; closes the side at its end."""
        room = self.frames.room()
        try:
            size = self.connection.recv_into(self._into if room is None else room)
        except OSError as error:
            self._failed(error)
            return [], b""
        if not size:
            self.close()
            return [], b""
        if room is None:
            return self.frames.feed(self._into[:size])
        frame = self.frames.fill(size)
        return [] if frame is None else [frame], b""

    def drop_oldest(self) -> int:
        """Drop events until no more than QUEUE_BYTES wait; what is no event, or begun, or the newest, stays."""
        kept: deque[tuple[Frame, bool]] = deque()
        dropped = 0
        while len(self._waiting) > 1 and self.size > QUEUE_BYTES:
            frame, event = self._waiting.popleft()
            if event and (kept or not self._begun):
                self.size -= len(frame)
                dropped += 1
            else:
                kept.append((frame, event))
        self._waiting.extendleft(reversed(kept))
        return dropped

    def close(self) -> None:
        """Close the socket, and forget what waits for it."""
        self.open = False
        self.size = self._begun = 0
        self._waiting.clear()
        self.connection.close()


class Subscription:
    """A subscription as the frames tell of it: ids of the server thread, the callback and the handler."""

    def __init__(self, thread: int | None, callback: int | None) -> None:
        """Stand for a call that has not been answered yet."""
        self.thread = thread
        self.callback = callback
        self.handler: int | None = None
        self.finish: Frame = b""  # the plugin's, kept back: with it the node may free the handler
        self.unwanted = False  # by the plugin
        self.due = 0.0  # not to be disconnected before


class TipWait:
    """The call that tells of the node's stop: the plugin's frame, repeated under other questions and tips."""

    def __init__(self, frame: Frame, question: int, capabilities: list[int], places: tuple[int, int, int]) -> None:
        """Take over a Call; `places` are the offsets of its questionId, its time limit and the tip's hash."""
        self.frame = bytearray(frame)
        self.question = question
        self.asked_by_plugin: int | None = question  # None when the plugin has finished it
        self.capabilities = capabilities
        self.pause = RETRY_SECONDS  # before it is repeated, should the node's thread be busy
        self.question_at, limit_at, self.tip_at = places
        limit = U64.unpack(struct.pack("<d", TIP_WAIT_MILLISECONDS))[0]
        U64.pack_into(self.frame, limit_at, limit ^ NO_LIMIT)

    def again(self, question: int, tip: bytes) -> bytes:
        """Return the call once more, for another tip (or, without one, the same)."""
        self.question = question
        U32.pack_into(self.frame, self.question_at, question)
        if tip:
            self.frame[self.tip_at : self.tip_at + HASH_BYTES] = tip
        return bytes(self.frame)


class Guard:
    """Both sides, and what has to be known of them."""

    def __init__(
        self,
        node: socket.socket,
        plugin: socket.socket,
        totals: Totals,
        spin: float,
        hand_on_utxo: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Relay between two sockets; count in `totals`; look at them busily for `spin` seconds after a coin's.

        `clock` gives seconds; which moments they are counted from does not matter.
        """
        self.clock = clock
        memory = Memory()
        self.node, self.plugin = Side(node, memory), Side(plugin, memory)
        self.totals = totals
        self.spin, self.spin_until = spin, 0.0
        self.quiet_until = self.held_until = 0.0  # events wait for the plugin until one of these
        self.hand_on_utxo = hand_on_utxo
        self.answered: set[int] = set()  # the node's questions that were answered here and not finished
        # Questions whose answers are waited for before the node's socket is closed, and until when.
        self.unanswered: dict[int, float] = {}
        self.leave_by: float | None = None  # whatever is unanswered, if nothing is subscribed
        self.asked: dict[int, Subscription] = {}  # the plugin's questions that subscribe
        self.subscriptions: list[Subscription] = []
        self.withheld: dict[int, int] = {}  # references that the plugin let go of, by capability that is needed
        self.taken_over: set[int] = set()  # the plugin's questions that the guard asks under ids of its own
        self.next_id = OWN_IDS
        self.tip_wait: TipWait | None = None
        self.tip_wait_due: float | None = None  # when to repeat it, after the node's thread was busy
        # Whether all subscriptions are to end, for the node stops or could not tell of it; whether some are.
        self.ending_all = self.ending = False
        self.form: Form | None = None  # of the node's UTXO events; not learned where they are handed on
        # The disconnect that is under way: its question, and of what.
        self.will: tuple[int, Subscription] | None = None
        self._poller = select.poll()

    # Frames from the node

    def take_from_node(self, frame: Frame) -> None:
        """Answer, count and hand on a frame, or relay it."""
        if len(frame) == FINISH_BYTES and frame[:-8] == FINISH_HEAD:
            question = U32.unpack_from(frame, len(FINISH_HEAD))[0]
            if question in self.answered:
                self.answered.discard(question)
                return
        elif self.form is not None and (event := self.form.read(frame)) is not None and event[1] in UTXO_METHODS:
            question, method, height, value = event
            self._count(method, height, value)
            self._answer(question, spin=True)
            return
        try:
            if self._understand(frame):
                return
        except (NotUnderstood, struct.error, IndexError):
            pass
        self._send_to_plugin(frame)

    def _understand(self, frame: Frame) -> bool:
        """Deal with a frame of the node's; returns whether it needs no relaying."""
        table, kind, segment, at = message(frame)
        if kind == CALL:
            question, method, interface, data, segment, pointers = read_call(frame, table, segment, at)
            if interface not in (CHAIN_NOTIFICATIONS, UTXO_CACHE_TRACE):
                return False
            utxo = interface == UTXO_CACHE_TRACE and method in UTXO_METHODS
            if utxo:
                self._add_up(frame, table, segment, pointers, method)
                if not self.hand_on_utxo:
                    self._learn_form(frame, table, at, data, pointers)
            self._answer(question, spin=utxo)
            if not utxo or self.hand_on_utxo:
                self._hand_on(frame, table, data, segment, pointers)
            if method == DESTROY:
                with contextlib.suppress(NotUnderstood):
                    self._ended(read_target(frame, table, segment, pointers))
            return True
        if kind == FINISH:
            question = U32.unpack_from(frame, struct_at(frame, table, segment, at, 4, 0)[1])[0]
            if question in self.answered:
                self.answered.discard(question)
                return True
        elif kind == RETURN:
            return self._returned(frame, table, *struct_at(frame, table, segment, at, 8, 1))
        return False

    def _answer(self, question: int, spin: bool) -> None:
        """Answer an event; look busily for the next one where it is likely to come at once, as with coins."""
        self.node.send(answer_to(question))
        self.answered.add(question)
        now = self.clock()
        self.quiet_until = now + QUIET_SECONDS
        if spin:
            self.spin_until = now + self.spin

    def _learn_form(self, frame: Frame, table: Table, at: int, question_at: int, pointers: int) -> None:
        with contextlib.suppress(NotUnderstood):
            self.form = form_of(frame, table, at, question_at, pointers)

    def _add_up(self, frame: Frame, table: Table, segment: int, pointers: int, method: int) -> None:
        try:
            height, value = read_utxo(frame, table, segment, pointers)
        except NotUnderstood:
            self.totals[DROPPED] += 1
            return
        self._count(method, height, value)

    def _count(self, method: int, height: int, value: int) -> None:
        index = method - 1
        self.totals[index] += 1
        self.totals[3 + index] = (self.totals[3 + index] + max(value, 0)) & U64_MAX
        if index == 0 and height == UNCONFIRMED_HEIGHT:
            self.totals[UNCONFIRMED] += 1

    def _hand_on(self, frame: Frame, table: Table, data: int, segment: int, pointers: int) -> None:
        """Queue an event for the plugin as a call of the guard's own, without the capabilities in it."""
        if not self.plugin.open:
            return
        copy = frame if isinstance(frame, memoryview) else bytearray(frame)  # what is large lies here alone
        U32.pack_into(copy, data, self._new_id())
        with contextlib.suppress(NotUnderstood, IndexError, struct.error):
            for descriptor in capabilities(frame, table, segment, pointers + 8):
                U16.pack_into(copy, descriptor, NONE)
        self._send_to_plugin(copy, event=True)

    def _send_to_plugin(self, frame: Frame, event: bool = False) -> None:
        now = self.clock()
        if event and now < self.quiet_until and self.plugin.size < HELD_BYTES:
            if not self.plugin.size:
                self.held_until = now + HOLD_SECONDS
            self.plugin.queue(frame, event)
            return
        self.plugin.send(frame, event)
        if self.plugin.size > QUEUE_BYTES:
            self.totals[DROPPED] += self.plugin.drop_oldest()

    def _returned(self, frame: Frame, table: Table, segment: int, data: int, pointers: int) -> bool:
        """Learn a handler from the answer to a subscribing call; take the answers to the guard's own calls."""
        question, outcome = U32.unpack_from(frame, data)[0], U16.unpack_from(frame, data + 6)[0]
        self.unanswered.pop(question, None)
        if self.tip_wait is not None and question == self.tip_wait.question:
            self._tip_returned(self.tip_wait, frame, table, segment, data, pointers)
            return True
        if question >= OWN_IDS:
            self.node.send(finish_of(question))
            if self.will is not None and question == self.will[0]:
                if outcome == RESULTS:
                    self.will[1].due = self.clock() + DESTROY_SECONDS
                self.will = None
            return True
        subscription = self.asked.pop(question, None)
        if subscription is None:
            return False
        if outcome == RESULTS:
            for descriptor in capabilities(frame, table, segment, pointers):
                if U16.unpack_from(frame, descriptor)[0] in (SENDER_HOSTED, SENDER_PROMISE):
                    subscription.handler = U32.unpack_from(frame, descriptor + 4)[0]
        if subscription.handler is None or subscription not in self.subscriptions:
            self._forget(subscription)
            return False
        return subscription.finish != b""  # to a plugin that gave it up it would free the question's id

    def _tip_returned(
        self, wait: TipWait, frame: Frame, table: Table, segment: int, data: int, pointers: int
    ) -> None:
        """Repeat the wait for a new tip, at once or when the node's thread is free again.

        Any other answer is the plugin's, and ends the subscriptions: the node stops, or could not tell of it.
        """
        self.node.send(finish_of(wait.question))
        tip = reason = b""
        with contextlib.suppress(NotUnderstood, struct.error, IndexError):
            outcome = U16.unpack_from(frame, data + 6)[0]
            if outcome == RESULTS:
                tip = read_tip(frame, table, segment, pointers)
            elif outcome == EXCEPTION:
                reason = read_reason(frame, table, segment, pointers)
        if len(tip) == HASH_BYTES:
            wait.pause = RETRY_SECONDS
            self._wait_for_tip(wait, tip)
        elif THREAD_BUSY in reason:
            self.tip_wait_due = self.clock() + wait.pause
            wait.pause = min(2 * wait.pause, LONGEST_RETRY_SECONDS)
        else:
            self.tip_wait, self.ending_all, self.ending = None, True, True
            self.execute_will(self.clock())
            if wait.asked_by_plugin is not None:
                answer = bytearray(frame)
                U32.pack_into(answer, data, wait.asked_by_plugin)
                self._send_to_plugin(bytes(answer))

    def repeat_tip_wait(self, now: float) -> None:
        """Repeat the wait for a new tip if that is due."""
        if self.tip_wait is not None and self.tip_wait_due is not None and now >= self.tip_wait_due:
            self.tip_wait_due = None
            self._wait_for_tip(self.tip_wait, b"")

    def _wait_for_tip(self, wait: TipWait, tip: bytes) -> None:
        if self.plugin.open:
            question = self._new_id()
            self.node.send(wait.again(question, tip))

    def _forget(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
        finish, subscription.finish = subscription.finish, b""
        if finish:
            self.node.send(finish)

    def _ended(self, callback: int | None) -> None:
        """Forget the subscription whose callback the node has let go of, and release what was kept for it."""
        for subscription in self.subscriptions:
            if subscription.callback == callback:
                self._forget(subscription)
                break
        needed = self._needed()
        for capability in [capability for capability in self.withheld if capability not in needed]:
            self.node.send(release_of(capability, self.withheld.pop(capability)))

    # Frames from the plugin

    def take_from_plugin(self, frame: Frame) -> None:
        """Relay a frame to the node, unless it belongs to the guard; learn from it what the last will needs."""
        if not self.plugin.open:  # it has given up in the same breath
            return
        try:
            if self._learn(frame):
                return
        except (NotUnderstood, struct.error, IndexError):
            pass
        self.node.send(frame)

    def _learn(self, frame: Frame) -> bool:
        """Look at a frame of the plugin's; returns whether it must not reach the node."""
        table, kind, segment, at = message(frame)
        if kind == ABORT:  # the plugin gives up: to the node that would be a closed socket
            self.plugin.close()
            return True
        if kind == RETURN:
            question = U32.unpack_from(frame, struct_at(frame, table, segment, at, 8, 1)[1])[0]
            if question >= OWN_IDS:
                self._send_to_plugin(finish_of(question))
                return True
        elif kind == CALL:
            return self._called(frame, table, segment, at)
        elif kind == FINISH:
            question = U32.unpack_from(frame, struct_at(frame, table, segment, at, 4, 0)[1])[0]
            if question in self.taken_over:  # the node has never heard of it
                self.taken_over.discard(question)
                if self.tip_wait is not None and self.tip_wait.asked_by_plugin == question:
                    self.tip_wait.asked_by_plugin = None
                return True
            if question in self.asked:  # given up before it was answered
                self.asked[question].finish = frame
                return True
        elif kind == RELEASE:
            data = struct_at(frame, table, segment, at, 8, 0)[1]
            capability, count = struct.unpack_from("<II", frame, data)
            if capability in self._needed():
                self.withheld[capability] = self.withheld.get(capability, 0) + count
                return True
        return False

    def _called(self, frame: Frame, table: Table, segment: int, at: int) -> bool:
        """Learn from a call of the plugin's; take a wait for a new tip over."""
        question, method, interface, data, segment, pointers = read_call(frame, table, segment, at)
        if (interface, method) == (HANDLER, DISCONNECT) and self._end(
            read_target(frame, table, segment, pointers)
        ):
            self.taken_over.add(question)
            self._send_to_plugin(answer_to(question))
            return True
        if (interface, method) == (INIT, MAKE_MINING):
            self.unanswered[question] = self.clock() + LOADING_SECONDS
        elif (interface, method) not in EVENT_LOOP_CALLS | {(MINING, WAIT_TIP_CHANGED)}:
            self.unanswered[question] = math.inf
        waits = (interface, method) == (MINING, WAIT_TIP_CHANGED) and self.tip_wait is None
        if not waits and (interface, method) not in SUBSCRIBING:
            return False
        named = [
            struct.unpack_from("<HxxI", frame, descriptor)
            for descriptor in capabilities(frame, table, segment, pointers + 8)
        ]
        if waits:
            limit_at, tip_at = read_wait(frame, table, segment, pointers)
            if U64.unpack_from(frame, limit_at)[0]:  # not the default
                return False
            target = read_target(frame, table, segment, pointers)
            numbers = [number for _, number in named] + ([] if target is None else [target])
            self.tip_wait = TipWait(frame, question, numbers, (data, limit_at, tip_at))
            self.taken_over.add(question)
            self._wait_for_tip(self.tip_wait, b"")
            return True
        ids = {hosted: number for hosted, number in named}
        self.asked[question] = Subscription(ids.get(RECEIVER_HOSTED), ids.get(SENDER_HOSTED))
        self.subscriptions.append(self.asked[question])
        return False

    def _end(self, handler: int | None) -> bool:
        """End the subscription of a handler, as the plugin wishes; returns whether the plugin needs no more."""
        if handler is None:
            return False
        if self.will is not None and self.will[1].handler == handler:
            return True
        for subscription in self.subscriptions:
            if subscription.handler == handler:
                if subscription.thread is None:  # its id could not be read: only the plugin can
                    return False
                subscription.unwanted = self.ending = True
                return True
        return self.ending_all  # it has been ended already

    def _needed(self) -> set[int | None]:
        """Return the node's capabilities that the last will, or the wait for a new tip, calls or names."""
        needed = {number for each in self.subscriptions for number in (each.thread, each.handler)}
        if self.subscriptions and self.tip_wait is not None:
            needed.update(self.tip_wait.capabilities)
        return needed - {None}

    def _new_id(self) -> int:
        """Return a question id that neither side's RPC system uses."""
        self.next_id = OWN_IDS | (self.next_id + 1) % OWN_IDS
        return self.next_id

    # The last will

    def execute_will(self, now: float) -> None:
        """Disconnect the next handler; without one, and without the plugin, close the node's socket."""
        if self.will is not None or not self.node.open:
            return
        if not self.subscriptions:
            self.ending = self.ending_all  # then what is subscribed yet has to go, too
            if not self.plugin.open and self._may_close(now):
                self.node.close()
            return
        everything = self.ending_all or not self.plugin.open
        for subscription in reversed(self.subscriptions):
            if not (everything or subscription.unwanted):
                continue
            # One whose call is not answered, or whose ids could not be read, is waited for: the socket stays open.
            if now >= subscription.due and subscription.handler is not None and subscription.thread is not None:
                # If the node refuses (its thread was busy), or `destroy` does not come, it is asked again.
                subscription.due = now + RETRY_SECONDS
                question = self._new_id()
                self.will = question, subscription
                self.unanswered[question] = math.inf
                self.node.send(disconnect_of(question, subscription.handler, subscription.thread))
                return

    def _may_close(self, now: float) -> bool:
        """Say whether nothing is left to wait for, where the plugin has gone and nothing is subscribed."""
        if self.leave_by is None:
            self.leave_by = now + ANSWER_SECONDS
        return now >= self.leave_by or not (self.node.size or any(now < end for end in self.unanswered.values()))

    # The work

    def run(self) -> None:
        """Work until both sides are gone."""
        sides = {side.connection.fileno(): side for side in (self.node, self.plugin)}
        while self.node.open or self.plugin.open:
            now = self.clock()
            self.repeat_tip_wait(now)
            if self.ending or not self.plugin.open:
                self.execute_will(now)
            if not self.node.open and not self.plugin.size:
                self.plugin.close()  # everything that it had to be told is told
            for descriptor, event in self._wait(sides, now):
                side = sides[descriptor]
                if event & ~select.POLLOUT and side.open:
                    self._take(side)
                if event & select.POLLOUT and side.open:
                    side.write()

    def _take(self, side: Side) -> None:
        """Take what has come from one side."""
        whole, raw = side.receive()
        take = self.take_from_node if side is self.node else self.take_from_plugin
        for frame in whole:
            take(frame)
        if raw and side is self.node:
            self._send_to_plugin(raw)
        elif raw:  # no frames: to the node that would be a closed socket
            self.plugin.close()

    def _wait(self, sides: dict[int, Side], now: float) -> list[tuple[int, int]]:
        """Wait until a side has something for us, or takes something; not at all just after an event."""
        held_until = min(self.quiet_until, self.held_until) if self.plugin.size else 0.0
        for descriptor, side in sides.items():
            reading = side.open and (side is self.node or self.node.size < BACKLOG_BYTES)
            held = side is self.plugin and now < held_until
            watched = (select.POLLIN if reading else 0) | (select.POLLOUT if side.size and not held else 0)
            if not side.open or now < side.retry_at:
                watched = UNWATCHED
            if side.watched != watched:
                if watched == UNWATCHED:
                    self._poller.unregister(descriptor)
                else:
                    self._poller.register(descriptor, watched)
                side.watched = watched
        if not (self.node.open or self.plugin.open) or now < self.spin_until:
            until = min(self.spin_until, held_until) if held_until > now else self.spin_until
            while True:
                ready = self._poller.poll(0)
                if ready or self.clock() >= until:
                    return ready
        if now < held_until:
            readable, writable = (
                [descriptor for descriptor, side in sides.items() if side.watched > 0 and side.watched & event]
                for event in (select.POLLIN, select.POLLOUT)
            )
            select.select(readable, writable, [], held_until - now)
            return self._poller.poll(0)
        due = [side.retry_at for side in sides.values() if side.open]
        due += [] if self.tip_wait_due is None else [self.tip_wait_due]
        if (self.ending or not self.plugin.open) and self.will is None:
            due += [subscription.due for subscription in self.subscriptions]
            due += [end for end in self.unanswered.values() if end < math.inf]
            due += [] if self.leave_by is None else [self.leave_by]
        later = [moment for moment in due if moment > now]
        return self._poller.poll(1000 * (min(later) - now) + 1 if later else None)


def main(arguments: list[str]) -> None:
    """Run the guard on the file descriptors that it was started with."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    node, plugin, shared, spin, hand_on_utxo = map(int, arguments)
    sides = [socket.socket(fileno=os.dup(descriptor)) for descriptor in (node, plugin)]  # low numbers, for select
    for side, descriptor in zip(sides, (node, plugin), strict=True):
        side.setblocking(False)
        os.close(descriptor)
    with mmap.mmap(shared, SHARED_BYTES) as memory, memoryview(memory) as raw, raw.cast("Q") as totals:
        os.close(shared)
        os.chdir("/")
        sides[1].send(READY)
        Guard(sides[0], sides[1], totals, spin / 1e6, bool(hand_on_utxo)).run()
