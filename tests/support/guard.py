"""The guard as a process between two sockets, and pycapnp's frames to drive it with, in any number of segments."""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Protocol, Self

import capnp

from telegraf_bitcoin_ipc.guard.contract import READY, SHARED_BYTES, TOTALS
from telegraf_bitcoin_ipc.ipc import guard_process, schema

DEADLINE = 120.0
"""Seconds for whatever has to happen, on a machine that is busy with other things."""

_CAPNP = Path(capnp.__file__).parent
rpc: Any = capnp.load(str(_CAPNP / "rpc.capnp"), imports=[str(_CAPNP.parent)])
"""The RPC protocol, as pycapnp ships it."""

contract: Any = schema.load("tracing")
CHAIN = contract.chain.Chain
CHAIN_NOTIFICATIONS = contract.chain.ChainNotifications
UTXO_CACHE_TRACE = contract.tracing.UtxoCacheTrace
TRACING = contract.tracing.Tracing
INIT = contract.init.Init
MINING = contract.mining.Mining
HANDLER = contract.handler.Handler
NODE = contract.node.Node
SERVER_THREAD, THREAD_MAP = contract.proxy.Thread, contract.proxy.ThreadMap


# Messages as trees: what a message says, however it lies in its segments.


@dataclass
class Struct:
    """A struct: whole words of data, and what its pointers point to."""

    data: bytes
    pointers: list[Tree]


@dataclass
class Plain:
    """A list without pointers: its elements' size code, their count, their bytes."""

    code: int
    count: int
    data: bytes


@dataclass
class Structs:
    """A list of structs: words of data and pointers of each, and the structs."""

    data_words: int
    pointer_words: int
    items: list[Struct]


@dataclass
class Pointers:
    """A list of pointers."""

    items: list[Tree]


@dataclass
class Capability:
    """A capability: its place in the Payload's table."""

    index: int


Tree = Struct | Plain | Structs | Pointers | Capability | None
Place = Literal["near", "far", "double far"]
Choice = Callable[[], Place]

_LIST_BITS = (0, 1, 8, 16, 32, 64)


def tree_of(frame: bytes) -> Tree:
    """Return what a message says, in however many segments."""
    count = struct.unpack_from("<I", frame)[0] + 1
    starts = [4 * (count + 2) // 8 * 8]
    for words in struct.unpack_from(f"<{count}I", frame, 4):
        starts.append(starts[-1] + 8 * words)
    assert starts[-1] == len(frame)
    return _tree_at(frame, starts, starts[0])


def _tree_at(frame: bytes, starts: Sequence[int], at: int) -> Tree:
    low, high = struct.unpack_from("<II", frame, at)
    if low == high == 0:
        return None
    if low & 3 == 2:
        at, double = starts[high] + (low & ~7), low & 4
        low, high = struct.unpack_from("<II", frame, at)
        if double:
            start = starts[high] + (low & ~7)
            low, high = struct.unpack_from("<II", frame, at + 8)
        else:
            start = _target(frame, at)
    else:
        start = _target(frame, at)
    if low & 3 == 3:
        return Capability(high)
    if low & 3 == 0:
        return _struct_at(frame, starts, start, high & 0xFFFF, high >> 16)
    assert low & 3 == 1, "a far pointer to a far pointer"
    code, size = high & 7, high >> 3
    if code == 6:
        return Pointers([_tree_at(frame, starts, start + 8 * index) for index in range(size)])
    if code != 7:
        return Plain(code, size, frame[start : start + (size * _LIST_BITS[code] + 7) // 8])
    tag_low, tag_high = struct.unpack_from("<II", frame, start)
    data, pointers = tag_high & 0xFFFF, tag_high >> 16
    places = [start + 8 + 8 * (data + pointers) * index for index in range(tag_low >> 2)]
    return Structs(data, pointers, [_struct_at(frame, starts, place, data, pointers) for place in places])


def _target(frame: bytes, at: int) -> int:
    offset: int = struct.unpack_from("<i", frame, at)[0] >> 2
    return at + 8 + 8 * offset


def _struct_at(frame: bytes, starts: Sequence[int], start: int, data: int, pointers: int) -> Struct:
    end = start + 8 * data
    return Struct(frame[start:end], [_tree_at(frame, starts, end + 8 * index) for index in range(pointers)])


def frame_with(tree: Tree, choose: Choice) -> bytes:
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
    place = choose()
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
        word = 2 | pad << 0 | where << 32  # in words << 3: the same as in bytes
    else:
        segments.append(bytearray(b"\xdd" * 16) + struct.pack("<QQ", 2 | start | where << 32, description))
        word = 2 | 4 | 16 | (len(segments) - 1) << 32
    struct.pack_into("<Q", segments[segment], at, word)
    for offset, child in children:
        _write(segments, where, start + offset, child, choose)


def _offset(distance: int) -> int:
    return (distance // 8) << 2 & 0xFFFFFFFF


def _laid_out(tree: Struct | Plain | Structs | Pointers) -> tuple[int, bytes, list[tuple[int, Tree]]]:
    """Return the describing word without its offset, the body, and the places of the pointers in it."""
    if isinstance(tree, Struct):
        words = len(tree.data) // 8
        size = words << 32 | len(tree.pointers) << 48
        return size, *_structs([tree], words, 0)
    if isinstance(tree, Plain):
        padding = bytes(-len(tree.data) % 8)
        return 1 | tree.code << 32 | tree.count << 35, tree.data + padding, []
    if isinstance(tree, Pointers):
        places = [(8 * index, child) for index, child in enumerate(tree.items)]
        return 1 | 6 << 32 | len(tree.items) << 35, bytes(8 * len(tree.items)), places
    tag = len(tree.items) << 2 | tree.data_words << 32 | tree.pointer_words << 48
    body, places = _structs(tree.items, tree.data_words, 8)
    return 1 | 7 << 32 | (len(body) // 8) << 35, struct.pack("<Q", tag) + body, places


def _structs(items: Sequence[Struct], data_words: int, at: int) -> tuple[bytes, list[tuple[int, Tree]]]:
    body, places = b"", []
    for item in items:
        body += item.data
        places += [(at + len(body) + 8 * index, child) for index, child in enumerate(item.pointers)]
        body += bytes(8 * len(item.pointers))
    return body, places


def respread(frame: bytes, place: Place) -> bytes:
    """Return the same message with everything near, far, or double far."""
    return frame_with(tree_of(frame), lambda: place)


# Frames, by pycapnp


@contextmanager
def reading(frame: bytes) -> Iterator[Any]:
    """Read a frame with pycapnp."""
    with rpc.Message.from_bytes(frame) as message:
        yield message


def interface_id(interface: Any) -> int:
    """The id of an interface of the contract."""
    number: int = interface.schema.node.id
    return number


def method_id(interface: Any, name: str) -> int:
    """The ordinal of a method of the contract."""
    return [method.name for method in interface.schema.node.interface.methods].index(name)


def _parameters(struct_schema: Any, fields: Mapping[str, Any]) -> Any:
    builder = capnp.lib.capnp._MallocMessageBuilder()
    root = builder.init_root(struct_schema)
    for name, value in fields.items():
        setattr(root, name, value)
    return root


Table = Sequence[tuple[str, int]]
"""A Payload's capTable: kinds of descriptor (senderHosted, ...) and their ids."""

Pins = Mapping[tuple[int, ...], int]
"""Where capabilities are in a Payload's content (pointers' numbers), and their places in the table."""

NO_PINS: Pins = MappingProxyType({})

IN_CONTEXT: Pins = {(0, 0): 0, (0, 1): 1}
"""A node's callback: both threads of the context."""

SUBSCRIBING: Pins = {(0, 0): 0, (1,): 1}
"""A subscribing call: the context's thread, and the callback."""


def _with_payload(message: Any, payload: Any, content: Any, table: Table, pins: Pins, at: int) -> bytes:
    """Fill a Payload, the pointer number `at` of the message's body, and return the frame."""
    if content is not None:
        payload.content = content
    if table:
        descriptors = payload.init("capTable", len(table))
        for descriptor, (kind, number) in zip(descriptors, table, strict=True):
            setattr(descriptor, kind, number)
    frame: bytes = message.to_bytes()
    if not pins:
        return frame
    tree = tree_of(frame)
    for path, index in pins.items():
        place: Any = tree
        for step in (0, at, 0, *path[:-1]):
            place = place.pointers[step]
        place.pointers[path[-1]] = Capability(index)
    return frame_with(tree, lambda: "near")


def call(
    question: int,
    interface: Any,
    method: str,
    *,
    target: int = 0,
    table: Table = (),
    pins: Pins = NO_PINS,
    **fields: Any,
) -> bytes:
    """Return a Call of a method of the contract."""
    message = rpc.Message.new_message()
    body = message.init("call")
    body.questionId = question
    body.target.importedCap = target
    body.interfaceId = interface_id(interface)
    body.methodId = method_id(interface, method)
    content = _parameters(interface.schema.methods[method].param_type, fields)
    return _with_payload(message, body.init("params"), content, table, pins, 1)


def answer(
    question: int,
    interface: Any = None,
    method: str = "",
    *,
    table: Table = (),
    pins: Pins = NO_PINS,
    **fields: Any,
) -> bytes:
    """Return a Return with results; without an interface, of no method in particular."""
    message = rpc.Message.new_message()
    body = message.init("return")
    body.answerId = question
    content = None
    if interface is not None:
        content = _parameters(interface.schema.methods[method].result_type, fields)
    return _with_payload(message, body.init("results"), content, table, pins, 0)


def failure(question: int, reason: str) -> bytes:
    """Return a Return with an exception."""
    return _built("return", answerId=question, exception={"reason": reason})


def finish(question: int) -> bytes:
    """Return a Finish."""
    return _built("finish", questionId=question)


def release(capability: int, count: int = 1) -> bytes:
    """Return a Release."""
    return _built("release", id=capability, referenceCount=count)


def bootstrap(question: int) -> bytes:
    """Return a Bootstrap."""
    return _built("bootstrap", questionId=question)


def disembargo(target: int) -> bytes:
    """Return a Disembargo, which a guard knows nothing of."""
    return _built("disembargo", target={"importedCap": target}, context={"senderLoopback": target})


def abort(reason: str) -> bytes:
    """Return an Abort."""
    return _built("abort", reason=reason)


def _built(kind: str, **fields: Any) -> bytes:
    frame: bytes = rpc.Message.new_message(**{kind: fields}).to_bytes()
    return frame


# What a node and a plugin say to each other

THREAD, CALLBACK_THREAD = 11, 12
NODE_TABLE: Table = (("senderHosted", 71), ("receiverHosted", 72))


def transaction(question: int, tx: bytes = b"tx", *, callback: int = 1) -> bytes:
    """The node's call of transactionAddedToMempool, with a context as a real node's."""
    return call(
        question,
        CHAIN_NOTIFICATIONS,
        "transactionAddedToMempool",
        target=callback,
        table=NODE_TABLE,
        pins=IN_CONTEXT,
        context={},
        tx=tx,
    )


def utxo(question: int, action: str, *, height: int = 7, value: int = 0, callback: int = 2) -> bytes:
    """The node's call of a method of UtxoCacheTrace."""
    info = {"outpointHash": bytes(range(32)), "outpointN": 3, "height": height, "value": value}
    return call(question, UTXO_CACHE_TRACE, action, target=callback, utxoInfo=info)


def destroy(question: int, interface: Any, callback: int) -> bytes:
    """The node's last call of a callback."""
    return call(question, interface, "destroy", target=callback, table=NODE_TABLE, pins=IN_CONTEXT, context={})


def subscribe_chain(question: int, *, thread: int = THREAD, callback: int = 1, target: int = 4) -> bytes:
    """The plugin's call of handleNotifications."""
    table = (("receiverHosted", thread), ("senderHosted", callback))
    return call(question, CHAIN, "handleNotifications", target=target, table=table, pins=SUBSCRIBING, context={})


def subscribe_utxo(question: int, *, thread: int = THREAD, callback: int = 2, target: int = 5) -> bytes:
    """The plugin's call of traceUtxoCache."""
    table = (("receiverHosted", thread), ("senderHosted", callback))
    return call(question, TRACING, "traceUtxoCache", target=target, table=table, pins=SUBSCRIBING, context={})


def handler_for(question: int, handler: int) -> bytes:
    """The node's answer to a subscribing call."""
    return answer(question, CHAIN, "handleNotifications", table=(("senderHosted", handler),), pins={(0,): 0})


def wait_tip(
    question: int, tip: bytes, *, thread: int = 13, target: int = 6, timeout: float | None = None
) -> bytes:
    """The plugin's call of waitTipChanged; without a time limit it waits for ever."""
    limit = {} if timeout is None else {"timeout": timeout}
    return call(
        question,
        MINING,
        "waitTipChanged",
        target=target,
        table=(("receiverHosted", thread),),
        pins={(0, 0): 0},
        context={},
        currentTip=tip,
        **limit,
    )


def tip_is(question: int, tip: bytes | None) -> bytes:
    """The node's answer to waitTipChanged; None is its answer when it begins to stop."""
    if tip is None:
        return answer(question, MINING, "waitTipChanged")
    return answer(question, MINING, "waitTipChanged", result={"hash": tip, "height": 5})


# The process


class Side:
    """What the guard takes for the node, or for the plugin: a socket on which everything has a deadline."""

    def __init__(self, ours: socket.socket) -> None:
        """Speak over a connected socket."""
        self.socket = ours
        ours.settimeout(DEADLINE)

    def send(self, *frames: bytes) -> None:
        """Send frames as one write."""
        self.socket.sendall(b"".join(frames))

    def take(self) -> bytes:
        """Return the next frame."""
        head = self._exactly(8)
        count, words = struct.unpack("<II", head)
        if count:
            head += self._exactly((4 * (count + 2) + 7 & ~7) - 8)
            words = sum(struct.unpack_from(f"<{count + 1}I", head, 4))
        return head + self._exactly(8 * words)

    def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self.socket.recv(min(size - len(data), 1 << 20))
            assert more, f"the guard closed after {len(data)} of {size} bytes"
            data += more
        return bytes(data)

    def at_the_end(self) -> bool:
        """Wait for the guard's next byte or its end; whether it was its end."""
        return self.socket.recv(1) == b""

    def silent(self) -> bool:
        """Whether nothing has come until now, not even an end."""
        return not select.select([self.socket], [], [], 0)[0]

    def close(self) -> None:
        """Close it, as a process that ends does."""
        self.socket.close()


class Mouth(Protocol):
    """A side as the test plays it."""

    def send(self, *frames: bytes) -> None:
        """Say frames."""

    def take(self) -> bytes:
        """Return the next frame that this side gets."""

    def exactly(self, size: int) -> bytes:
        """Return the next bytes that this side gets."""

    def silent(self) -> bool:
        """Whether nothing has come until now."""

    def at_the_end(self) -> bool:
        """Wait for the next frame or the end; whether it was the end."""

    def close(self) -> None:
        """Go."""


class Guarded:
    """A guard between a node and a plugin, both played by the test: a process, or in memory."""

    node: Mouth
    plugin: Mouth

    def ends(self) -> None:
        """It ends by itself, in good order."""

    def subscribed(self, *, chain: int = 21, trace: int = 22) -> None:
        """Subscribe to both, as a plugin does; the handlers get those ids. Questions 1 and 2 are used."""
        for ask, question, handler in ((subscribe_chain, 1, chain), (subscribe_utxo, 2, trace)):
            self.plugin.send(ask(question))
            self.node.take()
            self.node.send(handler_for(question, handler))
            assert self.plugin.take() == handler_for(question, handler)
            self.plugin.send(finish(question))
            assert self.node.take() == finish(question)


@dataclass
class RunningGuard(Guarded):
    """The real guard as a process; `node` and `plugin` are its two sides, both played by the test."""

    forward_utxo: bool = False
    spin: int = 0
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            ours, its = zip(*(socket.socketpair() for _ in range(2)), strict=True)
            shared = os.memfd_create("guard-test", os.MFD_CLOEXEC)
            os.ftruncate(shared, SHARED_BYTES)
            self.memory = mmap.mmap(shared, SHARED_BYTES)
            stack.callback(self.memory.close)
            self.stderr = stack.enter_context(tempfile.TemporaryFile())
            self.node, self.plugin = map(Side, ours)
            stack.callback(self.node.close)
            stack.callback(self.plugin.close)
            descriptors = [*(side.fileno() for side in its), shared]
            try:
                self.process = subprocess.Popen(
                    guard_process.command(*descriptors, self.spin, int(self.forward_utxo)),
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self.stderr,
                    start_new_session=True,
                )
            finally:
                for side in its:
                    side.close()
                os.close(shared)
            stack.callback(self._end)
            assert self.plugin.exactly(1) == READY
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self.node.close()
                self.plugin.close()
                self.ends()

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ends(self) -> None:
        """Wait for its end by itself, in good order."""
        status = self.process.wait(DEADLINE)
        self.stderr.seek(0)
        said = self.stderr.read().decode()
        assert (status, said) == (0, "")

    def totals(self) -> dict[str, int]:
        """What it has added up."""
        numbers = struct.unpack(f"={len(TOTALS)}Q", self.memory[:])
        return dict(zip(TOTALS, numbers, strict=True))
