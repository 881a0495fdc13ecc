"""The guard's process: two sockets, what waits to be written to them, and when to look at them.

Arguments of `main`: NODE_FD PLUGIN_FD SHARED_FD SPIN_MICROSECONDS FORWARD_UTXO (file descriptors; 1 as the last to
forward UTXO events, too). Writes an Answer to the plugin when it is ready.
"""

import contextlib
import errno
import mmap
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable

from .contract import SHARED_BYTES
from .gate import Gate
from .hello import Answer
from .relay import Relay
from .stream import FRAME_BYTES, READ_BYTES, BufferPool, FrameSplitter
from .wire import Frame

QUEUE_BYTES = 32 << 20  # events waiting for the plugin; a block is at most 4 MB
KEPT_BYTES = QUEUE_BYTES // 32 * 31  # once that is reached: many go at once, because each search takes time
BACKLOG_BYTES = 1 << 20  # waiting for either side, before no more is read from the plugin
# The work that an event begins in the plugin is not to compete with the node's: it waits for the end of a burst.
QUIET_SECONDS = 0.0003  # without another event of the node's
HOLD_SECONDS = 0.005  # at most, altogether
HELD_BYTES = 1 << 20
PLUGIN_FRAME_BYTES = 64 << 10  # the largest frame that a plugin may send
BUSY_READS = 64  # of the node's socket, before anything else gets its turn
RETRY_SECONDS = 0.01  # after the system could not send or receive

PEER_IS_GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN}
UNWATCHED = -1

Received = tuple[list[bytes] | list[memoryview], bytes]  # the frames that are complete, and what is no frame
NOTHING: Received = [], b""


class Side:
    """One of the two sockets: the frames that come from it, and what waits to be written to it."""

    def __init__(self, connection: socket.socket, buffers: BufferPool, most: int = FRAME_BYTES) -> None:
        """Use a connected socket, which does not block, for frames of at most `most` bytes."""
        self.connection = connection
        self.open = True
        self.buffers = buffers
        self.frames = FrameSplitter(buffers, most)
        self.size = 0  # bytes that wait
        self.retry_at = 0.0  # not to be looked at before: the system could not send or receive
        self.watched = UNWATCHED
        self._waiting: deque[tuple[Frame, bool]] = deque()  # a frame, and whether it is an event
        self._begun = 0  # bytes of the first frame that are written
        self._stream = bytearray(min(READ_BYTES, most))
        self.burst: Callable[[bytearray, int, float], int] | None = None  # gets a read before it is split
        self._between = True  # frames.between after the last read

    def send(self, frame: Frame, event: bool = False) -> int:
        """Queue a frame, and write what is taken now; without effect when the side is closed."""
        if not self.open:
            return 0
        if self._waiting:
            self.queue(frame, event)
            self.write()
            return 0
        written = 0
        try:
            written = self.connection.send(frame)
        except OSError as error:
            self._failed(error)
            if not self.open:
                return 0
        if written == len(frame):
            self.buffers.give_back(frame)
            return 0
        self._begun = written
        self.size -= written
        self.queue(frame, event)
        return 0

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
                    self.buffers.give_back(frame)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """Close the side if the peer is gone; anything else, as a lack of memory (ENOBUFS, ENOMEM), passes."""
        if error.errno in PEER_IS_GONE:
            self.close()
        elif not isinstance(error, BlockingIOError):
            self._pause()

    def _pause(self) -> None:
        self.retry_at = time.monotonic() + RETRY_SECONDS

    def receive(self, now: float) -> Received:
        """Return what has come, except what `burst` took. Closes the side at its end."""
        frames = self.frames
        if frames.starved and not frames.relieve():
            self._pause()
            return NOTHING
        room = None if self._between else frames.room()
        try:
            size = self.connection.recv_into(self._stream if room is None else room)
        except OSError as error:
            self._failed(error)
            return NOTHING
        if not size:
            self.close()
            return NOTHING
        if room is not None:
            frame = frames.fill(size)
            received: Received = [] if frame is None else [frame], b""
        else:
            taken = self.burst(self._stream, size, now) if self.burst is not None and self._between else 0
            if taken == size:
                return NOTHING
            received = frames.feed(memoryview(self._stream)[taken:size])
        self._between = frames.between
        return received

    def close(self) -> None:
        """Close the socket, and forget what waits for it."""
        self.open = False
        self.size = self._begun = 0
        self._waiting.clear()
        self.connection.close()


class PluginSide(Side):
    """The plugin's socket: events for it are held back during a burst, and bounded."""

    held_until = 0.0

    def send(self, frame: Frame, event: bool = False) -> int:
        """Queue a frame, and write unless it is an event to be held; returns how many events were dropped."""
        if event and self.open and self.size < HELD_BYTES:
            if not self.size:
                self.held_until = time.monotonic() + HOLD_SECONDS
            self.queue(frame, event)
            return 0
        super().send(frame, event)
        return self._drop_oldest() if self.size > QUEUE_BYTES else 0

    def _drop_oldest(self) -> int:
        """Drop events until no more than KEPT_BYTES wait; what is no event, or begun, or the newest, stays."""
        kept: deque[tuple[Frame, bool]] = deque()
        dropped = 0
        while len(self._waiting) > 1 and self.size > KEPT_BYTES:
            frame, event = self._waiting.popleft()
            if event and (kept or not self._begun):
                self.size -= len(frame)
                dropped += 1
            else:
                kept.append((frame, event))
        self._waiting.extendleft(reversed(kept))
        return dropped


def _to_stderr(text: str) -> None:
    """Write a line on stderr, which is a file: it holds up nothing, but can be full."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


class Loop:
    """Moves frames between two sockets and a Relay until both sides are gone."""

    def __init__(
        self,
        node: socket.socket,
        plugin: socket.socket,
        totals: memoryview,
        spin: float,
        forward_utxo: bool,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], None] = _to_stderr,
        loaded: Callable[[], bool] = lambda: True,
    ) -> None:
        """Use two sockets, which do not block; poll busily for `spin` seconds after a UTXO event.

        `log` gets a sentence about what the plugin was refused. For `loaded` see Gate; a plugin whose own guard
        this is looks itself.
        """
        buffers = BufferPool()
        self.node, self.plugin = Side(node, buffers), PluginSide(plugin, buffers, PLUGIN_FRAME_BYTES)
        self.gate = Gate(self.plugin, totals, log, loaded)
        self.relay = Relay(self.node, self.gate, totals, forward_utxo)
        self.node.burst = self.relay.from_burst
        self.spin = spin
        self.clock = clock
        self._sides: dict[int, Side] = {node.fileno(): self.node, plugin.fileno(): self.plugin}
        self._only_node = [(node.fileno(), select.POLLIN)]
        self._poller = select.poll()

    def run(self) -> None:
        """Work until both sides are gone."""
        while self.node.open or self.plugin.open:
            now = self.clock()
            due = self.relay.tick(now)
            if not self.node.open and not self.plugin.size:
                self.plugin.close()  # everything for it has been sent
            self._watch(now)
            for descriptor, event in self._ready(now, due):
                side = self._sides[descriptor]
                if event & ~select.POLLOUT and side.open:
                    self._take(side)
                if event & select.POLLOUT and side.open:
                    side.write()

    def _take(self, side: Side) -> None:
        """Take what has come from one side."""
        now = self.clock()
        whole, raw = side.receive(now)
        if side is self.node:
            for frame in whole:
                self.relay.from_node(frame, now)
            if raw:
                self.relay.to_plugin(raw)
            return
        for frame in whole:
            for admitted in self.gate.admitted(frame):
                self.relay.from_plugin(admitted, now)
        if raw:  # to the node that would be a closed socket
            self.plugin.close()

    def _held_until(self) -> float:
        """Return until when events are held back for the plugin."""
        return min(self.relay.last_event + QUIET_SECONDS, self.plugin.held_until) if self.plugin.size else 0.0

    def _watch(self, now: float) -> None:
        """Register with the poller what each side is to be watched for."""
        held = now < self._held_until()
        behind = max(self.node.size, self.plugin.size) >= BACKLOG_BYTES
        for descriptor, side in self._sides.items():
            reading = side.open and (side is self.node or not behind)
            writing = side.size and not (held and side is self.plugin)
            watched = (select.POLLIN if reading else 0) | (select.POLLOUT if writing else 0)
            if not side.open or now < side.retry_at:
                watched = UNWATCHED
            if side.watched != watched:
                if watched == UNWATCHED:
                    self._poller.unregister(descriptor)
                else:
                    self._poller.register(descriptor, watched)
                side.watched = watched

    def _ready(self, now: float, due: float | None) -> list[tuple[int, int]]:
        """Wait until a side has something for us, or takes something; busily just after a UTXO event."""
        if now < self.relay.last_coin + self.spin:
            return self._busy()
        if now < (held_until := self._held_until()):
            readable, writable = (
                [
                    descriptor
                    for descriptor, side in self._sides.items()
                    if side.watched > 0 and side.watched & event
                ]
                for event in (select.POLLIN, select.POLLOUT)
            )
            select.select(readable, writable, [], held_until - now)  # a poll's time limit is in milliseconds
            return self._poller.poll(0)
        moments = [side.retry_at for side in self._sides.values() if side.open and side.retry_at > now]
        moments += [] if due is None else [due]
        if not (self.node.open or self.plugin.open):
            return []
        return self._poller.poll(1000 * (min(moments) - now) + 1 if moments else None)

    def _busy(self) -> list[tuple[int, int]]:
        """Take what comes from the node until its events no longer come back to back.

        It asks the poller, over and over, because a read that finds nothing takes three times as long. The rest of
        the loop gets its turn after BUSY_READS reads.
        """
        relay, poll, clock = self.relay, self._poller.poll, self.clock
        for _ in range(BUSY_READS):
            until, held_until = relay.last_coin + self.spin, self._held_until()
            if held_until > clock():
                until = min(until, held_until)
            while not (ready := poll(0)):
                if clock() >= until:
                    return ready
            if ready != self._only_node:
                return ready
            self._take(self.node)
            if not self.node.open:
                break
        return []


def main(arguments: list[str]) -> None:
    """Run the guard on the file descriptors that it was started with."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    node, plugin, shared, spin, forward_utxo = map(int, arguments)
    sides = [socket.socket(fileno=os.dup(descriptor)) for descriptor in (node, plugin)]  # low numbers, for select
    for side, descriptor in zip(sides, (node, plugin), strict=True):
        side.setblocking(False)
        os.close(descriptor)
    with mmap.mmap(shared, SHARED_BYTES) as memory, memoryview(memory) as raw, raw.cast("Q") as totals:
        os.close(shared)
        os.chdir("/")
        with contextlib.suppress(OSError):  # the plugin may have gone meanwhile
            sides[1].send(Answer().packet())
        Loop(sides[0], sides[1], totals, spin / 1e6, bool(forward_utxo)).run()
