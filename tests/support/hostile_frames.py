"""Frames that no well-behaved client sends: those that end its session, and those that the guard refuses."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from support.frames import (
    CHAIN,
    INIT,
    NO_PINS,
    NODE,
    ON_THREAD,
    POLL_THREAD,
    SUBSCRIBING,
    THREAD,
    THREAD_MAP_ID,
    TRACING,
    abort,
    answer,
    bootstrap,
    call,
    disembargo,
    finish,
    make_thread,
    on_thread,
    release,
    subscribe_chain,
    wait_tip,
)
from support.hostile_json import METHODS, OTHER_METHODS, PARAMETERS, URIS, USERS, requests
from support.layouts import Struct, frame_with, respread, tree_of
from support.strict_node import methods

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.guard.allowed import CALLS
from telegraf_bitcoin_ipc.guard.loop import PLUGIN_FRAME_BYTES
from telegraf_bitcoin_ipc.ipc import jsonrpc, schema
from telegraf_bitcoin_ipc.ipc.jsonrpc import USER

RPC = schema.load("stock").rpc.Rpc
Q = 50
"""The question that is asked."""

LARGEST = (1 << 32) - 1


class Ids(NamedTuple):
    """What a client holds of a node: its interfaces, and server threads; every id from 9999 on is of nothing."""

    root: int = 0
    thread_map: int = THREAD_MAP_ID
    chain: int = 4
    tracing: int = 5
    mining: int = 6
    node: int = 9
    subscribe: int = THREAD
    poll: int = POLL_THREAD
    tip: int = 13


def size_of(it: Ids, question: int = Q, thread: int | None = None) -> bytes:
    """Return a call that is allowed, on the thread for polls unless it is told another one."""
    return on_thread(question, NODE, "getMempoolSize", it.node, thread or it.poll)


def construct_of(question: int, of: int) -> bytes:
    """Return a call of Init.construct of what an open Bootstrap will give."""
    tree = tree_of(call(question, INIT, "construct"))
    tree.at(0).pointers[0] = Struct(struct.pack("<IHH", 0, 1, 0), [Struct(struct.pack("<Q", of), [None])])
    return frame_with(tree)


def with_word(frame: bytes, at: int, word: int) -> bytes:
    """Return a frame with another word at an offset."""
    return frame[:at] + struct.pack("<Q", word & (1 << 64) - 1) + frame[at + 8 :]


def endings(it: Ids) -> dict[str, list[bytes]]:
    """Return what ends a subscribed client's session, by what is wrong; the last frame does."""
    return {**_messages(it), **_questions(it), **_capabilities(it), **_subscriptions(it), **_layouts(it)}


SILENT = ("an Abort", "no frame at all", "a frame that is too large")
"""Of these no reason is logged."""


def _messages(it: Ids) -> dict[str, list[bytes]]:
    size = size_of(it)
    body = wire.Message.of(size).body.start
    named = tree_of(bootstrap(Q))
    named.at(0).pointers = [Struct(bytes(8), [])]
    kinds = (0, 5, 7, 9, 10, 11, 12, 13, 14, 15, 0xFFFF)
    flags = {
        "results to yourself": (6, 1),
        "results to a third party": (6, 2),
        "results to an unknown place": (6, 3),
        "a tail call": (16, 1),
        "a call only for its pipeline": (16, 4),
        "an unknown flag": (16, 8),
        "the last flag": (23, 128),
    }
    return {
        **{f"a message of kind {kind}": [wire.message_of(kind, 3, 3, 0, 0, 0, 0, 0, 0)] for kind in kinds},
        "a message of another level": [disembargo(it.node)],
        "an answer to the node": [answer(0)],
        "an answer to the node's last question": [answer(wire.OWN_IDS - 1)],
        "a Bootstrap of a name": [frame_with(named)],
        **{
            name: [size[: body + at] + bytes([size[body + at] | bit]) + size[body + at + 1 :]]
            for name, (at, bit) in flags.items()
        },
        "an Abort": [abort("no")],
    }


def _questions(it: Ids) -> dict[str, list[bytes]]:
    stop = on_thread(Q, NODE, "startShutdown", it.node, it.poll)
    unknown = tree_of(size_of(it))
    unknown.at(0, 0).data = struct.pack("<IHH", it.node, 2, 0)
    return {
        "an id in use": [size_of(it), bootstrap(Q)],
        **{f"question {number}": [bootstrap(number)] for number in (wire.OWN_IDS, wire.OWN_IDS + 1, LARGEST)},
        "a Finish of nothing": [finish(9999)],
        "a Finish twice": [bootstrap(Q), finish(Q), finish(Q)],
        "a Finish twice of a refused question": [stop, finish(Q), finish(Q)],
        "65 open questions": [bootstrap(number) for number in range(100, 164)],
        "9 server threads": [make_thread(number, target=it.thread_map) for number in range(100, 106)],
        "a call of an unknown kind of target": [frame_with(unknown)],
        "a call of the answer to no question": [construct_of(Q, 9999)],
    }


def _capabilities(it: Ids) -> dict[str, list[bytes]]:
    thread, node = ("receiverHosted", it.poll), ("receiverHosted", it.node)
    tables = (
        (),
        (("senderHosted", 7),),
        (("senderPromise", 7),),
        (("receiverHosted", it.root),),
        (node,),
        (("receiverHosted", 9999),),
        (thread, node),
        (thread, ("senderHosted", 7)),
        (thread, ("senderPromise", 7)),
    )

    def calls(table: Any, pins: Any = ON_THREAD, **fields: Any) -> list[bytes]:
        return [call(Q, NODE, "getMempoolSize", target=it.node, table=table, pins=pins, **fields)]

    return {
        **{
            f"a call of capability {target}": [on_thread(Q, NODE, "getMempoolSize", target, it.poll)]
            for target in (9999, 1 << 30, LARGEST)
        },
        "a call of what was released": [release(it.node), size_of(it)],
        "a Release twice": [release(it.node), release(it.node)],
        **{f"a Release of {count} references": [release(it.node, count)] for count in (0, 2, LARGEST)},
        "a Release of nothing": [release(9999)],
        **{
            f"a call with capabilities of kind {number}": calls(table, ON_THREAD if table else NO_PINS, context={})
            for number, table in enumerate(tables)
        },
        "a call without a context": calls((thread,), NO_PINS),
    }


def _subscriptions(it: Ids) -> dict[str, list[bytes]]:
    table = (("receiverHosted", it.subscribe), ("senderHosted", 7))
    more = (*table, ("receiverHosted", it.node))

    def subscribes(pins: Any, table: Any = table) -> list[bytes]:
        return [call(Q, CHAIN, "handleNotifications", target=it.chain, table=table, pins=pins, context={})]

    return {
        "a second subscription": [subscribe_chain(Q, thread=it.subscribe, callback=7, target=it.chain)],
        "a thread to call back on": subscribes({**SUBSCRIBING, (0, 1): 1}),
        "a second capability for the chain": subscribes(SUBSCRIBING, more),
        "a second capability for coins": [
            call(Q, TRACING, "traceUtxoCache", target=it.tracing, table=more, pins=SUBSCRIBING, context={})
        ],
        "no callback at all": [on_thread(Q, CHAIN, "handleNotifications", it.chain, it.subscribe)],
        **{
            f"a subscription with {pins}": subscribes(pins)
            for pins in ({(0, 0): 0}, {(0, 0): 0, (1,): 0}, {(0, 0): 0, (1,): 2}, {(1,): 1}, {})
        },
    }


def _layouts(it: Ids) -> dict[str, list[bytes]]:
    size = size_of(it)
    body = wire.Message.of(size).body
    words = len(size) // 8 - 1
    root, list_at = wire.U64.unpack_from(size, 8)[0], body.struct(wire.PARAMS).pointers_at + 8
    tag_at = body.capabilities(wire.PARAMS)[0].start - 8
    tag, of_list = wire.U64.unpack_from(size, tag_at)[0], wire.U64.unpack_from(size, list_at)[0]
    pad = root - (words << 2) & 0xFFFFFFFF | root & ~0xFFFFFFFF
    return {
        "far parts": [respread(size, "far")],
        "parts behind two far pointers": [respread(size, "double far")],
        "a far pointer in its own segment": [
            struct.pack("<IIQ", 0, words + 1, 2 | words << 3) + size[16:] + struct.pack("<Q", pad)
        ],
        **{f"a table whose tag is of type {kind}": [with_word(size, tag_at, tag | kind)] for kind in (1, 2, 3)},
        **{
            f"a table of {more} more words": [with_word(size, list_at, of_list + (more << 35))]
            for more in (-1, 1, 2, 1000, 1 << 20)
        },
        **{
            f"a segment of {short} words": [struct.pack("<II", 0, short) + size[8 : 8 + 8 * short]]
            for short in (0, 1, 2, 5)
        },
        **{
            f"a tip of {length} bytes": [wait_tip(Q, bytes(length), thread=it.poll, target=it.mining, timeout=1.0)]
            for length in (0, 31, 33)
        },
        **{f"a method {method!r}": [by_node(it, method)] for method in OTHER_METHODS},
        "no frame at all": [b"\xff" * 64],
        "a frame that is too large": [struct.pack("<II", 0, PLUGIN_FRAME_BYTES // 8) + size[8:]],
    }


def by_node(it: Ids, command: str = "uptime", params: str = "[]", uri: str = "") -> bytes:
    """Return a call of Node.executeRpc."""
    return on_thread(Q, NODE, "executeRpc", it.node, it.poll, command=command, params=params, uri=uri)


def by_rpc(it: Ids, request: str = jsonrpc.request("uptime", []), uri: str = "", user: str = USER) -> bytes:
    """Return a call of Rpc.executeRpc."""
    return on_thread(Q, RPC, "executeRpc", it.node, it.poll, request=request, uri=uri, user=user)


def refusals(it: Ids) -> Mapping[str, bytes]:
    """Return calls that the guard refuses, and after which it goes on, by what is wrong."""
    return dict([*_of_methods(it), *_of_fields(it), *_of_json_rpc(it)])


def _of_methods(it: Ids) -> Iterator[tuple[str, bytes]]:
    """Every method of every interface in the schema that is not listed, and more."""
    known = {interface for interface, _ in methods()}
    unknown = [(interface, method) for interface in known for method in (100, 0xFFFF)]
    for asked in (*methods(), *unknown, (0, 42), (1, 42), ((1 << 64) - 1, 42)):
        if asked not in CALLS:
            yield f"method {asked}", wire.call_on_thread(Q, it.node, *asked, it.poll)


def _of_fields(it: Ids) -> Iterator[tuple[str, bytes]]:
    for name in ("x" * 101, "x\ny", "\x1b[31m"):
        yield f"a thread named {name!r}", make_thread(Q, target=it.thread_map, name=name)
    for limit in (float("nan"), float("inf"), -float("inf"), -1.0, -1e-300, 10_000.1, 1e308):
        wait = wait_tip(Q, bytes(32), thread=it.poll, target=it.mining, timeout=limit)
        yield f"a wait for a tip of {limit} ms", wait
    yield "a disconnect of no handler", contract.disconnect_of(Q, it.node, it.poll)


def _of_json_rpc(it: Ids) -> Iterator[tuple[str, bytes]]:
    for method in METHODS:
        yield f"method {method!r} of a node", by_node(it, method)
    for method in (*METHODS, *OTHER_METHODS):
        yield f"method {method!r} in a request", by_rpc(it, jsonrpc.request(method, []))
    for name, request in requests("uptime").items():
        yield f"a request: {name}", by_rpc(it, request)
    for params in PARAMETERS:
        yield f"parameters {params}", by_node(it, params=params)
    for uri in URIS:
        yield f"uri {uri} of a node", by_node(it, uri=uri)
        yield f"uri {uri} in a request", by_rpc(it, uri=uri)
    for user in USERS:
        yield f"user {user!r}", by_rpc(it, user=user)
