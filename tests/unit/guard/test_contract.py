"""What the guard knows of Bitcoin Core's interfaces, against the schema and pycapnp's frames."""

from __future__ import annotations

import struct
import sys

import pytest
from support.frames import (
    CHAIN_NOTIFICATIONS,
    HANDLER,
    MINING,
    TRACING,
    UTXO_CACHE_TRACE,
    answer,
    failure,
    interface_id,
    method_id,
    rpc,
    tip_is,
    utxo,
    wait_tip,
)
from support.layouts import Spread, respread

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.guard import utxo as utxo_events

LIMIT = 0xFFFFFFFF
TIP = bytes(range(100, 132))


def test_ids_are_those_of_the_contract() -> None:
    """The ids and ordinals in the guard are those of the schema and of rpc.capnp."""
    assert interface_id(CHAIN_NOTIFICATIONS) == contract.CHAIN_NOTIFICATIONS
    assert interface_id(UTXO_CACHE_TRACE) == contract.UTXO_CACHE_TRACE
    for interface, method, expected in (
        (HANDLER, "disconnect", (contract.HANDLER, contract.DISCONNECT)),
        (MINING, "waitTipChanged", (contract.MINING, contract.WAIT_TIP_CHANGED)),
        (TRACING, "traceUtxoCache", (contract.TRACING, contract.TRACE_UTXO_CACHE)),
    ):
        assert (interface_id(interface), method_id(interface, method)) == expected
    for interface in (CHAIN_NOTIFICATIONS, UTXO_CACHE_TRACE):
        assert method_id(interface, "destroy") == contract.DESTROY
    assert tuple(method_id(UTXO_CACHE_TRACE, name) for name in contract.TOTALS[:3]) == contract.UTXO_METHODS
    by_ordinal = {each.name: each.discriminantValue for each in rpc.Message.schema.node.struct.fields}
    names = ("abort", "call", "return", "finish", "release", "bootstrap")
    kinds = (wire.ABORT, wire.CALL, wire.RETURN, wire.FINISH, wire.RELEASE, wire.BOOTSTRAP)
    assert tuple(by_ordinal[name] for name in names) == kinds


@pytest.mark.parametrize(
    ("height", "value"),
    [
        (0, 0),
        (utxo_events.UNCONFIRMED_HEIGHT, 21_000_000 * 10**8),
        (LIMIT, -1),
        (840_000, 2**63 - 1),
        (1, -(2**63)),
    ],
)
def test_a_coin_is_read_from_any_layout(spread: Spread, height: int, value: int) -> None:
    """Height and value of a UTXO event are read as they were written, whatever their signs."""
    frame = spread(utxo(1, "spend", height=height, value=value))
    assert utxo_events.read_utxo(wire.Message.of(frame).body) == (height, value)


def template_of(frame: bytes) -> utxo_events.EventTemplate:
    """What the guard learns from a UTXO event."""
    template = utxo_events.EventTemplate.learn(wire.Message.of(frame))
    assert template is not None
    return template


@pytest.mark.parametrize("action", ["add", "spend", "uncache"])
@pytest.mark.parametrize("value", [0, -1, 21 * 10**14])
def test_an_event_like_the_last_is_read_the_same_without_parsing(action: str, value: int) -> None:
    """What is read by the form of another event is what parsing would have read."""
    template = template_of(utxo(1, "add"))
    frame = utxo(LIMIT, action, height=utxo_events.UNCONFIRMED_HEIGHT, value=value)
    method = method_id(UTXO_CACHE_TRACE, action)
    read = template.read(bytearray(b"before" + frame + b"behind"), 6, 6 + len(frame))
    assert read == (LIMIT, method, utxo_events.UNCONFIRMED_HEIGHT, value)


def test_a_frame_that_is_otherwise_made_is_not_taken_for_an_event() -> None:
    """Whatever bit leads to the coin, or says what a frame is: where it is another, the frame is parsed."""
    frame = utxo(1, "add")
    template = template_of(frame)
    call = wire.Message.of(frame).body
    question_and_method = {*range(call.start, call.start + 6)}
    for place in range(contract.parameters(call).struct(0).start):
        other = bytearray(frame)
        other[place] ^= 1
        assert (template.read(other, 0, len(other)) is None) == (place not in question_and_method)
    assert template.read(bytearray(frame), 0, len(frame) - 1) is None
    for apart in (respread(frame, "far"), respread(frame, "double far")):
        assert utxo_events.EventTemplate.learn(wire.Message.of(apart)) is None, "its parts lie apart: it is parsed"


def test_a_wait_for_the_tip_is_read_from_any_layout(spread: Spread) -> None:
    """Time limit and tip of a waitTipChanged call are found, and a limit of its own shows."""
    for limit in (None, 250.0):
        frame = spread(wait_tip(1, TIP, timeout=limit))
        limit_at, tip_at = contract.read_wait(wire.Message.of(frame).body)
        assert frame[tip_at : tip_at + 32] == TIP
        stored = struct.unpack_from("<Q", frame, limit_at)[0]
        read = struct.unpack("<d", struct.pack("<Q", stored ^ contract.NO_LIMIT))[0]
        assert read == (sys.float_info.max if limit is None else limit)
        assert (stored == 0) == (limit is None)
    for tip in (b"", TIP[:31], TIP + b"x"):
        with pytest.raises(wire.Malformed):  # it is no hash: the wait is not the guard's
            contract.read_wait(wire.Message.of(spread(wait_tip(1, tip))).body)


def test_the_tip_of_an_answer_is_read_from_any_layout(spread: Spread) -> None:
    """The hash of an answer is read, and what is not there is no bytes."""
    for frame, expected in (
        (tip_is(1, TIP), TIP),
        (tip_is(1, None), b""),
        (answer(1, MINING, "waitTipChanged", result={"height": 3}), b""),
        (answer(1), b""),
        (wire.answer_to(1), b""),
    ):
        assert contract.read_tip(wire.Message.of(spread(frame)).body) == expected


def test_a_failure_is_read_as_one() -> None:
    """An answer's outcome is where the guard looks for it, and not that of results."""
    message = wire.Message.of(failure(9, "thread busy"))
    assert (message.kind, message.body.u32(0), message.body.u16(6)) == (wire.RETURN, 9, wire.EXCEPTION)
    assert contract.read_reason(message.body).rstrip(b"\0") == b"thread busy"
    assert wire.RESULTS == 0
