"""The frames of a node and of a plugin, made and read by pycapnp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import capnp
from support.layouts import Capability, frame_with, tree_of

from telegraf_bitcoin_ipc.guard import wire
from telegraf_bitcoin_ipc.ipc import schema

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


Table = Sequence[tuple[str, int]]
"""A Payload's capTable: kinds of descriptor (senderHosted, ...) and their ids."""

Pins = Mapping[tuple[int, ...], int]
"""Where capabilities are in a Payload's content (pointers' numbers; none: it is one), and their table's places."""

NO_PINS: Pins = MappingProxyType({})

ON_THREAD: Pins = {(0, 0): 0}
"""A call: the context's thread."""

IN_CONTEXT: Pins = {**ON_THREAD, (0, 1): 1}
"""A node's callback: both threads of the context."""

SUBSCRIBING: Pins = {**ON_THREAD, (1,): 1}
"""A subscribing call: the context's thread, and the callback."""


def _with_payload(
    message: Any, at: int, payload: Any, kind: Any, fields: Mapping[str, Any], table: Table, pins: Pins
) -> bytes:
    """Fill a Payload, the pointer number `at` of the message's body, and return the frame."""
    if kind is not None:
        content = payload.content.as_struct(kind)
        for name, value in fields.items():
            setattr(content, name, value)
    if table:
        descriptors = payload.init("capTable", len(table))
        for descriptor, (hosted, number) in zip(descriptors, table, strict=True):
            setattr(descriptor, hosted, number)
    frame: bytes = message.to_bytes()
    if not pins:
        return frame
    tree = tree_of(frame)
    for path, index in pins.items():
        steps = (0, at, 0, *path)
        tree.at(*steps[:-1]).pointers[steps[-1]] = Capability(index)
    return frame_with(tree)


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
    kind = interface.schema.methods[method].param_type
    return _with_payload(message, 1, body.init("params"), kind, fields, table, pins)


def on_thread(question: int, interface: Any, method: str, target: int, thread: int, **fields: Any) -> bytes:
    """Return a Call whose only capability is its server thread."""
    table = (("receiverHosted", thread),)
    return call(question, interface, method, target=target, table=table, pins=ON_THREAD, context={}, **fields)


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
    kind = None if interface is None else interface.schema.methods[method].result_type
    return _with_payload(message, 0, body.init("results"), kind, fields, table, pins)


def failure(question: int, reason: str, kind: str = "failed") -> bytes:
    """Return a Return with an exception."""
    return _built("return", answerId=question, exception={"reason": reason, "type": kind})


def finish(question: int) -> bytes:
    """Return a Finish that lets go of what the answer gave."""
    return _built("finish", questionId=question)


def done(question: int) -> bytes:
    """Return a Finish that keeps what the answer gave, as a client's."""
    return _built("finish", questionId=question, releaseResultCaps=False)


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


def question_of(frame: bytes) -> int:
    """Read the id in a Bootstrap, Call, Return or Finish."""
    return wire.Message.of(frame).body.u32(0)


# What a node and a plugin say to each other

THREAD, POLL_THREAD = 11, 12
"""Server threads of the plugin's: of its subscriptions, and of its polls."""

THREAD_MAP_ID = 3
"""The node's ThreadMap, as a capability."""

NODE_TABLE: Table = (("senderHosted", 71), ("receiverHosted", 72))


def gives(question: int, *capabilities: int) -> bytes:
    """The node's answer that gives the plugin capabilities."""
    return answer(question, table=[("senderHosted", each) for each in capabilities])


def make_thread(question: int, *, target: int = THREAD_MAP_ID, name: str = "x") -> bytes:
    """The plugin's call of makeThread."""
    return call(question, THREAD_MAP, "makeThread", target=target, name=name)


def event(question: int, interface: Any, method: str, callback: int, **fields: Any) -> bytes:
    """The node's call of a callback, with a context as a real node's."""
    return call(
        question, interface, method, target=callback, table=NODE_TABLE, pins=IN_CONTEXT, context={}, **fields
    )


def transaction(question: int, tx: bytes = b"tx", *, callback: int = 1) -> bytes:
    """The node's call of transactionAddedToMempool."""
    return event(question, CHAIN_NOTIFICATIONS, "transactionAddedToMempool", callback, tx=tx)


def utxo(question: int, action: str, *, height: int = 7, value: int = 0, callback: int = 2) -> bytes:
    """The node's call of a method of UtxoCacheTrace, which has no context."""
    info = {"outpointHash": bytes(range(32)), "outpointN": 3, "height": height, "value": value}
    return call(question, UTXO_CACHE_TRACE, action, target=callback, utxoInfo=info)


def destroy(question: int, interface: Any, callback: int) -> bytes:
    """The node's last call of a callback."""
    return event(question, interface, "destroy", callback)


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
    return on_thread(question, MINING, "waitTipChanged", target, thread, currentTip=tip, **limit)


def tip_is(question: int, tip: bytes | None) -> bytes:
    """The node's answer to waitTipChanged; None is its answer when it begins to stop."""
    result: dict[str, Any] = {} if tip is None else {"result": {"hash": tip, "height": 5}}
    return answer(question, MINING, "waitTipChanged", **result)
