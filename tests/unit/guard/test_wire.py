"""The guard's frames as pycapnp reads them, and any frame in any layout as the guard reads it."""

from __future__ import annotations

import struct

import pytest
from support.frames import (
    CHAIN_NOTIFICATIONS,
    HANDLER,
    abort,
    answer,
    bootstrap,
    destroy,
    disembargo,
    done,
    finish,
    handler_for,
    interface_id,
    on_thread,
    reading,
    release,
    rpc,
    subscribe_chain,
    transaction,
    utxo,
)
from support.hostile_frames import construct_of
from support.layouts import PLACES, Place, Spread, respread, tree_of

from telegraf_bitcoin_ipc.guard import contract, wire

LIMIT = 0xFFFFFFFF


@pytest.mark.parametrize("number", [0, 1, 12345, wire.OWN_IDS + 1, LIMIT])
def test_what_the_guard_writes_is_what_pycapnp_would(number: int) -> None:
    """Answers, Finishes, Releases and disconnects have the words of rpc.capnp, pointers too."""
    for made, expected in (
        (wire.answer_to(number), answer(number)),
        (wire.finish_of(number), finish(number)),
        (wire.finish_of(number, keep=True), done(number)),
        (wire.release_of(number, 2), release(number, 2)),
        (wire.release_of(2, number), release(2, number)),
        (contract.disconnect_of(number, 5, 9), on_thread(number, HANDLER, "disconnect", 5, 9)),
        (contract.disconnect_of(5, number, LIMIT), on_thread(5, HANDLER, "disconnect", number, LIMIT)),
    ):
        assert tree_of(made) == tree_of(expected)


def test_the_kind_of_each_message_is_read(spread: Spread) -> None:
    """The kind of every message that either side sends is read from any layout."""
    frames = {
        wire.ABORT: abort("no"),
        wire.CALL: transaction(1),
        wire.RETURN: answer(1),
        wire.FINISH: finish(1),
        wire.RELEASE: release(1),
        wire.BOOTSTRAP: bootstrap(1),
        13: disembargo(1),
    }
    for kind, frame in frames.items():
        laid_out = spread(frame)
        with reading(laid_out) as message, reading(frame) as original:
            assert message.which() == original.which(), "the layout is one that pycapnp reads"
        assert wire.Message.of(laid_out).kind == kind


def test_a_call_is_read_from_any_layout(spread: Spread) -> None:
    """Question, method, interface and target of a call are read, and point into the frame; so is its data."""
    for tx in (b"", b"x", b"0123456789"):
        frame = spread(transaction(0xABCDEF, tx, callback=77))
        body = wire.Message.of(frame).body
        assert body.call() == (0xABCDEF, 1, interface_id(CHAIN_NOTIFICATIONS))
        assert (body.u32(0), body.u16(4), body.u64(8)) == body.call()
        assert struct.unpack_from("<IH", frame, body.start) == (0xABCDEF, 1)
        assert body.imported_target() == 77
        assert contract.parameters(body).data(1) == tx
    assert wire.Message.of(construct_of(1, 3)).body.imported_target() is None, "a promised one is no capability"


def test_capabilities_are_found_in_calls_and_answers(spread: Spread) -> None:
    """The descriptors come in the order of the table; without a table, or a payload, there are none."""
    empty, no_payload = rpc.Message.new_message(), rpc.Message.new_message()
    empty.init("return").init("results").init("capTable", 0)
    no_payload.init("call")
    subscribing = [(wire.RECEIVER_HOSTED, 8), (wire.SENDER_HOSTED, 9)]
    for frame, payload, expected in (
        (subscribe_chain(1, thread=8, callback=9), wire.PARAMS, subscribing),
        (handler_for(1, 41), 0, [(wire.SENDER_HOSTED, 41)]),
        (utxo(1, "add"), wire.PARAMS, []),
        (answer(1), 0, []),
        (empty.to_bytes(), 0, []),
        (no_payload.to_bytes(), wire.PARAMS, []),
    ):
        found = wire.Message.of(spread(frame)).body.capabilities(payload)
        assert [(each.u16(0), each.u32(4)) for each in found] == expected


def test_what_is_not_where_it_should_be_is_malformed() -> None:
    """A struct or a list of others where bytes should be, a list where a struct should be, and what is outside."""
    message = wire.Message.of(destroy(1, CHAIN_NOTIFICATIONS, 2))
    payload, finished = message.body.struct(wire.PARAMS), wire.Message.of(finish(1)).body
    for read, at in (
        (message.data, 0),
        (payload.data, wire.CAP_TABLE),
        (payload.structs, wire.CONTENT),
        *((read, 7) for read in (finished.u16, finished.u32, finished.u64)),
        *((follow, finished.pointers) for follow in (finished.struct, finished.structs, finished.data)),
    ):
        with pytest.raises(wire.Malformed):
            read(at)


@pytest.mark.parametrize("place", PLACES)
def test_a_message_that_is_cut_short_is_not_understood(place: Place) -> None:
    """With its last segment's words gone, a message's pointers lead nowhere, and the reader says so."""
    frame = respread(transaction(1, b"tx" * 50), place)
    count = struct.unpack_from("<I", frame)[0] + 1
    lengths = struct.unpack_from(f"<{count}I", frame, 4)
    header = len(frame) - 8 * sum(lengths)
    for index, length in enumerate(lengths):
        cut = bytearray(frame)
        struct.pack_into("<I", cut, 4 + 4 * index, 0)
        start = header + 8 * sum(lengths[:index])
        del cut[start : start + 8 * length]
        with pytest.raises(wire.Malformed):
            _read_all(bytes(cut))


def _read_all(frame: bytes) -> None:
    body = wire.Message.of(frame).body
    body.call()
    body.imported_target()
    body.capabilities(wire.PARAMS)
    content = contract.parameters(body)
    content.data(1)
    content.struct(0)


def test_a_pointer_that_goes_round_ends() -> None:
    """A far pointer to another far pointer, or to itself, is refused instead of followed."""
    itself = wire.frame_of(2 | 0 << 3)
    with pytest.raises(wire.Malformed):
        wire.Message.of(itself)
    nowhere = wire.frame_of(2 | 0 << 3 | 9 << 32)
    with pytest.raises(wire.Malformed):
        wire.Message.of(nowhere)
