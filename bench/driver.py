"""A node in raw frames: serves subscribers on a Unix socket, and calls them back to back, as a node does.

As in a node, two threads take part in a call: one that needs the answer (validation, or the scheduler) and waits
for it, and one that serves the sockets. The first passes the call to the second, which writes it, sleeps in epoll
until the answer arrives, writes the `Finish`, and wakes the first. Neither polls busily, and both wait in the same
way for every subscriber. Calls are prepared frames; answers are compared with the expected frame, and parsed only
if they differ.
"""

import contextlib
import heapq
import os
import select
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from support import frames as speech
from support.processes import Failure, wait_until

from bench import frames
from bench.frames import Prepared, capability, results
from telegraf_bitcoin_ipc.guard import contract, stream, wire

T = TypeVar("T")

DEADLINE: Final = 60.0
"""Time limit in seconds for anything that is waited for."""

READ_BYTES: Final = 1 << 18
QUESTION: Final = 5
"""The question of each call: a node's RPC system takes the lowest free number, and asks one thing at a time."""

TIP_WAIT: Final = 0.5
"""Seconds after which a wait for a tip that has a limit returns: what the guard asks for."""

TIP: Final = {"hash": bytes(range(32)), "height": 900_000}
CHAIN, TRACE = "ChainNotifications", "UtxoCacheTrace"
SUBSCRIBING: Final = {CHAIN: (speech.CHAIN, "handleNotifications"), TRACE: (speech.TRACING, "traceUtxoCache")}
FIRST_THREAD, FIRST_HANDLER = 100, 200  # capabilities of ours
FINISH: Final = wire.finish_of(QUESTION)


def wait_for(condition: Callable[[], T], what: str) -> T:
    """Ask often until the condition holds; raises Failure."""
    return wait_until(condition, DEADLINE, what, pause=0.002)


def prepared_answers(json_answers: Mapping[str, Prepared]) -> dict[tuple[int, int] | str, Prepared]:
    """Return what is answered, by interface and method, and by JSON-RPC method."""
    number = {"result": 12_345}
    tables: list[tuple[Any, Mapping[str, Mapping[str, Any]]]] = [
        (speech.NODE, {f"getMempool{name}": number for name in ("Size", "DynamicUsage", "MaxUsage")}),
        (speech.NODE, {f"get{name}": number for name in ("NodeCount", "TotalBytesRecv", "TotalBytesSent")}),
        (speech.NODE, {"getHeaderTip": {"height": 900_000, "blockTime": frames.NOW, "result": True}}),
        (speech.NODE, {"getVerificationProgress": {"result": 0.99999}, "shutdownRequested": {"result": False}}),
        (speech.CHAIN, {"getHeight": {"result": 900_000, "hasResult": True}}),
        (speech.CHAIN, {"isInitialBlockDownload": {"result": False}}),
        (speech.MINING, {"waitTipChanged": {"result": TIP}}),
        (speech.SERVER_THREAD, {"getName": {"result": "b-bench-1"}}),
    ]
    made: dict[tuple[int, int] | str, Prepared] = {
        _key(interface, method): results(interface, method, **fields)
        for interface, methods in tables
        for method, fields in methods.items()
    }
    for ordinal, method in enumerate(("construct", "makeMining", "makeChain", "makeNode", "makeTracing"), start=1):
        made[_key(speech.INIT, method)] = capability(speech.INIT, method, ordinal)
    return made | dict(json_answers)


def _key(interface: Any, method: str) -> tuple[int, int]:
    return speech.interface_id(interface), speech.method_id(interface, method)


class Subscriber:
    """One connection: who is called on it, and what it said."""

    def __init__(self, connection: socket.socket) -> None:
        """Speak over a connected socket."""
        self.socket = connection
        self.cutter = stream.FrameSplitter()
        self.expected = b""  # its answer to QUESTION, when it is known
        self.callbacks: dict[str, int] = {}
        self.handlers: dict[int, tuple[str, int]] = {}  # by its id: the callback, and who ends it
        self.open = True
        self.threads = 0
        self.next_handler = FIRST_HANDLER


class Node:
    """A node with prepared answers; `answers` may be changed between two polls."""

    def __init__(self, path: Path) -> None:
        """Listen on a socket at that path."""
        self.path = path
        self.events = frames.events()
        self.answers = prepared_answers(frames.json_answers(frames.prepared_model()))
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._wake = os.eventfd(0)
        self._poller = select.epoll()
        for descriptor in (self._listening.fileno(), self._wake):
            self._poller.register(descriptor, select.EPOLLIN)
        self._subscribers: dict[int, Subscriber] = {}
        self._accepted: list[Subscriber] = []
        self._posted: tuple[Subscriber, bytes] | None = None
        self._answered = threading.Lock()
        self._answered.acquire()
        self._tips: list[tuple[float, int, Subscriber, bytes]] = []
        self._failure: BaseException | None = None
        self._stopping = False
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._thread = threading.Thread(target=self._run, name="event loop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(DEADLINE)
        for subscriber in self._subscribers.values():
            subscriber.socket.close()
        self._listening.close()
        self._poller.close()
        os.close(self._wake)

    def accepted(self) -> Subscriber:
        """Return the next subscriber that connects."""
        wait_for(lambda: self._accepted or self._failure, "a connection")
        self._check()
        return self._accepted.pop(0)

    # Calls, from the thread that measures

    def call(self, subscriber: Subscriber, frame: bytes) -> None:
        """Call a subscriber and wait for its answer."""
        self._posted = (subscriber, frame)
        os.eventfd_write(self._wake, 1)
        if not self._answered.acquire(timeout=DEADLINE):
            raise Failure("a call was not answered")
        self._check()

    def burst(self, subscriber: Subscriber, calls: Iterable[bytes]) -> list[int]:
        """Make calls back to back; returns the moments: of the beginning and of each answer, in nanoseconds."""
        now, call = time.perf_counter_ns, self.call
        moments = [now()]
        for frame in calls:
            call(subscriber, frame)
            moments.append(now())
        return moments

    def paced(self, subscriber: Subscriber, calls: Sequence[bytes], rate: float) -> list[int]:
        """Make calls at a rate (per second), late ones at once; returns how long each took, in nanoseconds."""
        begin, took = time.perf_counter_ns(), []
        for number, frame in enumerate(calls):
            early = begin + number * 1e9 / rate - time.perf_counter_ns()
            if early > 0:
                time.sleep(early / 1e9)
            start = time.perf_counter_ns()
            self.call(subscriber, frame)
            took.append(time.perf_counter_ns() - start)
        return took

    def coins(self, subscriber: Subscriber, count: int) -> list[bytes]:
        """Return UTXO events for a subscriber."""
        made = (self.events["add"], self.events["spend"])
        return frames.coins(made, subscriber.callbacks.get(TRACE, 0), QUESTION, count)

    def event(self, subscriber: Subscriber, method: str) -> bytes:
        """Return a chain notification for a subscriber."""
        return self.events[method].to(QUESTION, subscriber.callbacks.get(CHAIN, 0))

    # The event loop

    def _check(self) -> None:
        if self._failure is not None:
            raise Failure("the node's event loop failed") from self._failure

    def _run(self) -> None:
        try:
            while not self._stopping:
                timeout = -1.0
                if self._tips:
                    timeout = max(self._tips[0][0] - time.monotonic(), 0.0)
                for descriptor, _ in self._poller.poll(timeout):
                    self._serve(descriptor)
                while self._tips and self._tips[0][0] <= time.monotonic():
                    _, _, subscriber, frame = heapq.heappop(self._tips)
                    self._send(subscriber, frame)
        except BaseException as error:
            self._failure = error
            traceback.print_exc()  # who waits for a subscriber that waits for this would not learn of it
            with contextlib.suppress(RuntimeError):
                self._answered.release()

    def _serve(self, descriptor: int) -> None:
        if descriptor == self._wake:
            os.eventfd_read(descriptor)
            if self._posted is not None:
                subscriber, frame = self._posted
                self._posted = None
                subscriber.socket.sendall(frame)
            return
        if descriptor == self._listening.fileno():
            connection, _ = self._listening.accept()
            subscriber = self._subscribers[connection.fileno()] = Subscriber(connection)
            self._accepted.append(subscriber)
            self._poller.register(connection.fileno(), select.EPOLLIN)
            return
        subscriber = self._subscribers[descriptor]
        try:
            size = subscriber.socket.recv_into(self._buffer)
        except ConnectionResetError:
            size = 0
        if size and size == len(subscriber.expected) and self._view[:size] == subscriber.expected:
            subscriber.socket.send(FINISH)
            self._answered.release()
        elif size:
            for frame in subscriber.cutter.feed(bytes(self._view[:size]))[0]:
                self._take(subscriber, frame)
        else:
            self._poller.unregister(descriptor)
            del self._subscribers[descriptor]
            self._tips = [each for each in self._tips if each[2] is not subscriber]
            heapq.heapify(self._tips)
            subscriber.open = False
            subscriber.socket.close()

    def _send(self, subscriber: Subscriber, frame: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            subscriber.socket.sendall(frame)

    def _take(self, subscriber: Subscriber, frame: bytes) -> None:
        message = wire.Message.of(frame)
        kind = message.kind
        if kind == wire.BOOTSTRAP:
            self._send(subscriber, frames.bootstrap_answer(0).to(message.body.u32(0)))
        elif kind == wire.CALL:
            self._called(subscriber, message.body)
        elif kind == wire.RETURN:
            self._returned(subscriber, frame, message.body)
        elif kind == wire.ABORT:
            raise Failure(f"the subscriber gave up: {frame!r}")

    def _returned(self, subscriber: Subscriber, frame: bytes, answer: wire.Struct) -> None:
        question = answer.u32(0)
        if answer.u16(6) != wire.RESULTS:
            raise Failure(f"a callback failed: {frame!r}")
        self._send(subscriber, wire.finish_of(question))
        if question == QUESTION:
            subscriber.expected = frame
            self._answered.release()
        else:  # destroy: its question is that of the disconnect, and OWN_IDS more
            self._send(subscriber, wire.answer_to(question - wire.OWN_IDS))

    def _called(self, subscriber: Subscriber, call: wire.Struct) -> None:
        question, method, interface = call.call()
        key: tuple[int, int] | str = (interface, method)
        if key == _EXECUTE_RPC:
            key = contract.parameters(call).data(1)[:-1].decode()  # command
        if key in contract.SUBSCRIBING:
            self._subscribe(subscriber, CHAIN if interface == contract.CHAIN else TRACE, call)
        elif key == (contract.HANDLER, contract.DISCONNECT):
            name, callback = subscriber.handlers[call.imported_target() or 0]
            destroy = self.events[f"destroy {name}"].to(question + wire.OWN_IDS, callback)
            self._send(subscriber, destroy)
        elif key == _MAKE_THREAD:
            subscriber.threads += 1
            made = capability(speech.THREAD_MAP, "makeThread", FIRST_THREAD + subscriber.threads)
            self._send(subscriber, made.to(question))
        elif key == (contract.MINING, contract.WAIT_TIP_CHANGED):
            known = contract.parameters(call).data(1) == TIP["hash"]
            due = time.monotonic() + (TIP_WAIT if known else 0.0)
            heapq.heappush(self._tips, (due, question, subscriber, self.answers[key].to(question)))
        else:
            self._send(subscriber, self.answers[key].to(question))

    def _subscribe(self, subscriber: Subscriber, name: str, call: wire.Struct) -> None:
        (callback,) = [each.u32(4) for each in call.capabilities(wire.PARAMS) if each.u16(0) == wire.SENDER_HOSTED]
        handler = subscriber.next_handler = subscriber.next_handler + 1
        subscriber.handlers[handler] = (name, callback)
        interface, method = SUBSCRIBING[name]
        self._send(subscriber, capability(interface, method, handler).to(call.u32(0)))
        subscriber.callbacks[name] = callback


_EXECUTE_RPC: Final = _key(speech.NODE, "executeRpc")
_MAKE_THREAD: Final = _key(speech.THREAD_MAP, "makeThread")
