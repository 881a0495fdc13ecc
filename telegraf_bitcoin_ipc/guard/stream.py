"""Frames of a stream: splits bytes into Cap'n Proto frames, with reused memory for large ones; where frames go."""

import mmap
import struct

from .wire import Frame

BUFFER_BYTES = 5 << 20  # of memory kept for the next large frame
BUFFER_STEP = 1 << 20
FRAME_BYTES = 72 << 20  # a message of 64 MiB, the usual limit of readers, and its header
SEGMENTS = 512  # the usual limit of readers, too
READ_BYTES = 256 << 10

TYPE_CHECKING = False  # as in typing, whose import would take a fifth of the guard's start
if TYPE_CHECKING:
    from typing import Protocol

    class Outbox(Protocol):
        """Where frames for one side go."""

        @property
        def open(self) -> bool:
            """Whether the side is there."""

        @property
        def size(self) -> int:
            """Bytes that wait."""

        def send(self, frame: Frame, event: bool = False) -> int:
            """Send a frame in its turn; returns how many events were dropped to make room. No effect if closed."""

        def close(self) -> None:
            """Close the side; what waits for it is forgotten."""


def new_mapping(size: int) -> mmap.mmap:
    """Return new memory from the system, which takes it back when it is no longer used. Raises OSError."""
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class BufferPool:
    """Memory for large frames. A frame's memory is reused once it is sent: new memory takes longer."""

    def __init__(self) -> None:
        """Begin empty."""
        self._spare: mmap.mmap | None = None

    def take(self, size: int) -> memoryview:
        """Return a buffer of that many bytes, from the heap if mapping is refused. Raises MemoryError."""
        spare, self._spare = self._spare, None
        if spare is None or len(spare) < size:
            try:
                spare = new_mapping(-(-size // BUFFER_STEP) * BUFFER_STEP)
            except OSError:
                return memoryview(bytearray(size))
        return memoryview(spare)[:size]

    def give_back(self, frame: Frame) -> None:
        """Keep the memory of a frame that is no longer needed, if it is a mapping of ours and not too large."""
        if isinstance(frame, memoryview) and isinstance(frame.obj, mmap.mmap) and len(frame.obj) <= BUFFER_BYTES:
            self._spare = frame.obj


class FrameSplitter:
    """Splits a stream into frames, however it arrives."""

    def __init__(self, buffers: BufferPool | None = None, most: int = FRAME_BYTES) -> None:
        """Begin with an empty stream; large frames, up to `most` bytes, are gathered in `buffers`."""
        self._buffers = buffers or BufferPool()
        self._most = most
        self._rest = bytearray()
        self._needed = 8
        self._raw = False
        # A frame larger than one read, and how many of its bytes have arrived.
        self._large: memoryview | None = None
        self._filled = 0
        # The size of a large frame for which there was no memory; nothing may be fed until `relieve`.
        self.starved = 0

    @property
    def between(self) -> bool:
        """Whether the next byte begins a frame."""
        return not (self._rest or self._raw or self.starved) and self._large is None

    def relieve(self) -> bool:
        """Try again to get memory for a large frame; returns whether that worked."""
        part, needed, self._rest, self.starved = self._rest, self.starved, bytearray(), 0
        self._keep(part, needed)
        return not self.starved

    def room(self) -> memoryview | None:
        """Return where the rest of a large frame is to be read to, for `fill`; None if there is none."""
        return self._large[self._filled :] if self._large is not None else None

    def fill(self, size: int) -> memoryview | None:
        """Count bytes read into the room; returns the frame when it is complete."""
        self._filled += size
        if self._large is None or self._filled < len(self._large):
            return None
        frame, self._large = self._large, None
        return frame

    def feed(self, data: Frame) -> tuple[list[bytes], bytes]:
        """Return the frames that are complete now, and the bytes from where the stream is no frames."""
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
                self._keep(data[at:], needed)
                break
            frames.append(bytes(data if needed == size else data[at : at + needed]))
            at += needed
        return frames, b""

    def _keep(self, part: Frame, needed: int) -> None:
        """Keep the beginning of a frame: a large one in a buffer of its own."""
        if needed > READ_BYTES:
            try:
                self._large, self._filled = self._buffers.take(needed), len(part)
            except MemoryError:
                self.starved = needed
            else:
                self._large[: len(part)] = part
                return
        self._rest += part
        self._needed = needed

    def _length(self, data: Frame, at: int, size: int) -> int | None:
        """Return how many bytes a frame takes, at least; None if that is more than a reader would take."""
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
        return int(length) if length <= self._most else None
