"""The guard's frames as pycapnp reads them, and pycapnp's as the guard reads them."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable

import pytest
from support.frames import (
    CHAIN_NOTIFICATIONS,
    HANDLER,
    MINING,
    TRACING,
    UTXO_CACHE_TRACE,
    abort,
    answer,
    bootstrap,
    call,
    destroy,
    disembargo,
    failure,
    finish,
    handler_for,
    interface_id,
    method_id,
    reading,
    release,
    rpc,
    subscribe_chain,
    subscribe_utxo,
    tip_is,
    transaction,
    utxo,
    wait_tip,
)
from support.layouts import Place, frame_with, respread, tree_of

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.guard.stream import (
    BUFFER_BYTES,
    BUFFER_STEP,
    FRAME_BYTES,
    READ_BYTES,
    BufferPool,
    FrameSplitter,
)

LIMIT = 0xFFFFFFFF
TIP = bytes(range(100, 132))
PLACES: tuple[Place, ...] = ("near", "far", "double far")
Spread = Callable[[bytes], bytes]


@pytest.fixture(params=[*PLACES, "mixed"])
def spread(request: pytest.FixtureRequest) -> Spread:
    """Lay a message out in one segment, or in many."""
    if request.param == "mixed":
        rng = random.Random(1)
        return lambda frame: frame_with(tree_of(frame), lambda: rng.choice(PLACES))
    return lambda frame: respread(frame, request.param)


# What it writes


@pytest.mark.parametrize("question", [0, 1, 12345, LIMIT])
def test_an_answer_is_empty_and_releases_the_parameters(question: int) -> None:
    """An answer has the question's id, no content, no capabilities, and releases those of the call."""
    with reading(wire.answer_to(question)) as message:
        assert message.which() == "return"
        body = getattr(message, "return")
        assert (body.answerId, body.releaseParamCaps, body.noFinishNeeded) == (question, True, False)
        assert body.which() == "results"
        assert len(body.results.capTable) == 0
    assert tree_of(wire.answer_to(question)) == tree_of(answer(question))


@pytest.mark.parametrize("question", [0, 7, wire.OWN_IDS + 1, LIMIT])
def test_a_finish_is_what_pycapnp_would_write(question: int) -> None:
    """A finish names its question and releases the results' capabilities."""
    with reading(wire.finish_of(question)) as message:
        assert message.to_dict() == {
            "finish": {
                "questionId": question,
                "releaseResultCaps": True,
                "requireEarlyCancellationWorkaround": True,
            }
        }
    assert wire.finish_of(question) == finish(question)


@pytest.mark.parametrize(("capability", "count"), [(0, 1), (5, 2), (LIMIT, LIMIT)])
def test_a_release_is_what_pycapnp_would_write(capability: int, count: int) -> None:
    """A release names its capability and how many references."""
    with reading(wire.release_of(capability, count)) as message:
        assert message.to_dict() == {"release": {"id": capability, "referenceCount": count}}
    assert wire.release_of(capability, count) == release(capability, count)


@pytest.mark.parametrize(("question", "handler", "thread"), [(wire.OWN_IDS, 5, 9), (LIMIT, 0, LIMIT)])
def test_a_disconnect_is_a_call_on_the_handler_with_a_thread(question: int, handler: int, thread: int) -> None:
    """A disconnect has the handler as its target and the server thread as its context's only capability."""
    frame = contract.disconnect_of(question, handler, thread)
    with reading(frame) as message:
        body = message.call
        assert message.which() == "call"
        assert (body.questionId, body.interfaceId) == (question, interface_id(HANDLER))
        assert body.methodId == method_id(HANDLER, "disconnect")
        assert (body.target.which(), body.target.importedCap) == ("importedCap", handler)
        assert body.sendResultsTo.which() == "caller"
        assert not body.allowThirdPartyTailCall
        assert not body.noPromisePipelining
        assert not body.onlyPromisePipeline
        (descriptor,) = body.params.capTable
        assert (descriptor.which(), descriptor.receiverHosted) == ("receiverHosted", thread)
    expected = tree_of(
        call(
            question,
            HANDLER,
            "disconnect",
            target=handler,
            table=(("receiverHosted", thread),),
            pins={(0, 0): 0},
            context={},
        )
    )
    assert tree_of(frame) == expected, "every word that pycapnp writes, capability pointers too"


def test_ids_are_those_of_the_contract() -> None:
    """The ids and ordinals in the guard are those of the schema and of rpc.capnp."""
    assert interface_id(CHAIN_NOTIFICATIONS) == contract.CHAIN_NOTIFICATIONS
    assert interface_id(UTXO_CACHE_TRACE) == contract.UTXO_CACHE_TRACE
    assert interface_id(HANDLER) == contract.HANDLER
    assert method_id(HANDLER, "disconnect") == contract.DISCONNECT
    assert (interface_id(MINING), method_id(MINING, "waitTipChanged")) == (
        contract.MINING,
        contract.WAIT_TIP_CHANGED,
    )
    assert (interface_id(TRACING), method_id(TRACING, "traceUtxoCache")) == (
        contract.TRACING,
        contract.TRACE_UTXO_CACHE,
    )
    for interface in (CHAIN_NOTIFICATIONS, UTXO_CACHE_TRACE):
        assert method_id(interface, "destroy") == contract.DESTROY
    assert tuple(method_id(UTXO_CACHE_TRACE, name) for name in contract.TOTALS[:3]) == contract.UTXO_METHODS
    by_ordinal = {each.name: each.discriminantValue for each in rpc.Message.schema.node.struct.fields}
    names = ("abort", "call", "return", "finish", "release", "bootstrap")
    kinds = (wire.ABORT, wire.CALL, wire.RETURN, wire.FINISH, wire.RELEASE, wire.BOOTSTRAP)
    assert tuple(by_ordinal[name] for name in names) == kinds


# What it reads


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
    """Question, method, interface and target of a call are read, and point into the frame."""
    frame = spread(transaction(0xABCDEF, callback=77))
    body = wire.Message.of(frame).body
    assert body.call() == (0xABCDEF, 1, interface_id(CHAIN_NOTIFICATIONS))
    assert (body.u32(0), body.u16(4), body.u64(8)) == body.call()
    assert struct.unpack_from("<IH", frame, body.start) == (0xABCDEF, 1)
    assert body.imported_target() == 77


def test_a_target_that_is_promised_is_no_capability() -> None:
    """A call on the result of another call has no capability for its target."""
    message = rpc.Message.new_message()
    message.init("call").target.init("promisedAnswer").questionId = 3
    frame = message.to_bytes()
    assert wire.Message.of(frame).body.imported_target() is None


def test_capabilities_are_found_in_calls_and_answers(spread: Spread) -> None:
    """The offsets are those of the descriptors, in the order of the table."""
    frame = spread(subscribe_chain(1, thread=8, callback=9))
    found = wire.Message.of(frame).body.capabilities(wire.PARAMS)
    assert [struct.unpack_from("<HxxI", frame, each.start) for each in found] == [
        (wire.RECEIVER_HOSTED, 8),
        (wire.SENDER_HOSTED, 9),
    ]
    frame = spread(handler_for(1, 41))
    (descriptor,) = wire.Message.of(frame).body.capabilities(0)
    assert (descriptor.u16(0), descriptor.u32(4)) == (wire.SENDER_HOSTED, 41)


def test_no_table_is_no_capabilities(spread: Spread) -> None:
    """A payload without a table, with an empty one, and no payload at all have no capabilities."""
    empty = rpc.Message.new_message()
    empty.init("return").init("results").init("capTable", 0)
    for frame in (utxo(1, "add"), answer(1), empty.to_bytes()):
        laid_out = spread(frame)
        message = wire.Message.of(laid_out)
        assert message.body.capabilities(wire.PARAMS if message.kind == wire.CALL else 0) == []
    no_payload = rpc.Message.new_message()
    no_payload.init("call")
    assert wire.Message.of(no_payload.to_bytes()).body.capabilities(wire.PARAMS) == []


@pytest.mark.parametrize(
    ("height", "value"),
    [(0, 0), (contract.UNCONFIRMED_HEIGHT, 21_000_000 * 10**8), (LIMIT, -1), (840_000, 2**63 - 1), (1, -(2**63))],
)
def test_a_coin_is_read_from_any_layout(spread: Spread, height: int, value: int) -> None:
    """Height and value of a UTXO event are read as they were written, whatever their signs."""
    frame = spread(utxo(1, "spend", height=height, value=value))
    assert contract.read_utxo(wire.Message.of(frame).body) == (height, value)


def template_of(frame: bytes) -> contract.EventTemplate | None:
    """What the guard learns from a UTXO event."""
    return contract.EventTemplate.learn(wire.Message.of(frame))


@pytest.mark.parametrize("action", ["add", "spend", "uncache"])
@pytest.mark.parametrize("value", [0, -1, 21 * 10**14])
def test_an_event_like_the_last_is_read_the_same_without_parsing(action: str, value: int) -> None:
    """What is read by the form of another event is what parsing would have read."""
    template = template_of(utxo(1, "add"))
    assert template is not None
    frame = utxo(LIMIT, action, height=contract.UNCONFIRMED_HEIGHT, value=value)
    method = method_id(UTXO_CACHE_TRACE, action)
    assert template.read(frame) == (LIMIT, method, contract.UNCONFIRMED_HEIGHT, value)


def test_a_frame_that_is_otherwise_made_is_not_taken_for_an_event() -> None:
    """Whatever bit leads to the coin, or says what a frame is: where it is another, the frame is parsed."""
    frame = utxo(1, "add")
    template = template_of(frame)
    assert template is not None
    known = {*range(template.question_at, template.method_end)}
    for place in range(template.coin_at):
        other = bytearray(frame)
        other[place] ^= 1
        assert (template.read(bytes(other)) is None) == (place not in known)
    assert template.read(frame + bytes(8)) is None
    assert template.read(frame[:-8]) is None


@pytest.mark.parametrize("place", ["far", "double far"])
def test_no_form_is_learned_from_several_segments(place: Place) -> None:
    """An event whose parts lie apart is parsed, each time."""
    assert template_of(respread(utxo(1, "add"), place)) is None


@pytest.mark.parametrize("cut", [9, READ_BYTES, READ_BYTES + 13])
def test_a_large_frame_arrives_whole_however_it_is_cut(cut: int) -> None:
    """A block that takes many reads is the frame that was sent, and so is what comes right behind it."""
    large, small = transaction(1, random.Random(1).randbytes(3 * READ_BYTES)), finish(2)
    frames, whole = FrameSplitter(), list[bytes]()
    stream = small + large + small
    for start in range(0, len(stream), cut):
        whole += frames.feed(stream[start : start + cut])[0]
    assert [bytes(frame) for frame in whole] == [small, large, small]


def test_memory_is_used_again_when_it_is_free() -> None:
    """A frame's memory is another's as soon as it was given back, not before; what is too much is not kept."""
    memory = BufferPool()
    first, second = memory.take(BUFFER_STEP), memory.take(BUFFER_STEP)
    assert first.obj is not second.obj
    memory.give_back(first)
    assert memory.take(100).obj is first.obj
    memory.give_back(second)
    assert memory.take(BUFFER_STEP + 1).obj is not second.obj, "it is too small"
    huge = memory.take(BUFFER_BYTES + 1)
    memory.give_back(huge)
    memory.give_back(b"a small frame, which never was its")
    assert memory.take(1).obj is not huge.obj


def test_a_large_frame_is_read_into_its_room() -> None:
    """What is read straight into the room of a large frame makes the frame that was sent."""
    large = transaction(1, random.Random(2).randbytes(2 * READ_BYTES))
    frames = FrameSplitter()
    assert frames.room() is None
    assert frames.feed(large[:100]) == ([], b"")
    room = frames.room()
    assert room is not None
    room[:] = large[100:]
    frame = frames.fill(len(room))
    assert frame is not None
    assert bytes(frame) == large
    assert frames.room() is None


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


def test_a_wait_without_a_tip_is_not_understood() -> None:
    """A waitTipChanged call whose tip is no hash is not the guard's."""
    for tip in (b"", TIP[:31], TIP + b"x"):
        body = wire.Message.of(wait_tip(1, tip)).body
        with pytest.raises(wire.Malformed):
            contract.read_wait(body)


def test_the_layouts_say_the_same(spread: Spread) -> None:
    """A message that is laid out anew says what it said, to the test's own reader, too."""
    for frame in (transaction(1), wait_tip(2, TIP), handler_for(3, 4), utxo(5, "add")):
        assert tree_of(spread(frame)) == tree_of(frame)


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


def test_data_is_read_from_any_layout(spread: Spread) -> None:
    """Bytes are found where they are, and no pointer is no bytes."""
    for tx in (b"", b"x", b"0123456789"):
        frame = spread(transaction(1, tx))
        assert contract.parameters(wire.Message.of(frame).body).data(1) == tx


def test_what_is_no_data_is_not_understood() -> None:
    """A struct, or a list of other elements, where bytes should be is refused."""
    message = wire.Message.of(destroy(1, CHAIN_NOTIFICATIONS, 2))
    with pytest.raises(wire.Malformed):
        message.data(0)
    payload = message.body.struct(wire.PARAMS)
    with pytest.raises(wire.Malformed):
        payload.data(wire.CAP_TABLE)  # a list of structs
    with pytest.raises(wire.Malformed):
        payload.structs(wire.CONTENT)


def test_reads_outside_of_a_struct_are_refused() -> None:
    """What a struct's data or pointers do not hold is Malformed, not what lies behind them."""
    body = wire.Message.of(finish(1)).body
    for read in (body.u16, body.u32, body.u64):
        with pytest.raises(wire.Malformed):
            read(7)
    for follow in (body.struct, body.structs, body.data):
        with pytest.raises(wire.Malformed):
            follow(body.pointers)


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


# Cutting a stream


def _cut(stream: bytes, *sizes: int) -> tuple[list[bytes], bytes]:
    frames, whole, rest = FrameSplitter(), [], b""
    at = 0
    for size in (*sizes, len(stream)):
        some, raw = frames.feed(stream[at : at + size])
        whole += some
        rest += raw
        at += size
    return whole, rest


FRAMES = (
    transaction(1, b"x" * 100),
    respread(transaction(2), "far"),
    respread(utxo(3, "add"), "double far"),
    wire.frame_of(),
    answer(4),
    destroy(5, UTXO_CACHE_TRACE, 1),
    subscribe_utxo(6),
)


def test_one_byte_at_a_time_gives_the_same_frames() -> None:
    """However finely a stream is cut, its frames come whole and in their order."""
    stream = b"".join(FRAMES)
    assert _cut(stream) == (list(FRAMES), b"")
    assert _cut(stream, *[1] * len(stream)) == (list(FRAMES), b"")
    for at in range(len(stream)):
        assert _cut(stream, at) == (list(FRAMES), b"")


def test_what_is_not_complete_waits() -> None:
    """Without its last byte a frame does not come."""
    for frame in FRAMES:
        assert _cut(frame[:-1]) == ([], b"")


@pytest.mark.parametrize("count", [512, 513, LIMIT])
def test_too_many_segments_are_no_frame(count: int) -> None:
    """From where a header says more segments than readers take, the stream is forwarded as it is, for ever."""
    head = struct.pack("<II", count, 0)
    assert _cut(FRAMES[0] + head + FRAMES[1]) == ([FRAMES[0]], head + FRAMES[1])
    frames = FrameSplitter()
    assert frames.feed(head) == ([], head)
    assert frames.feed(FRAMES[0]) == ([], FRAMES[0])


def test_a_frame_that_is_too_large_is_none() -> None:
    """The largest frame is waited for; one word more, in one segment or in two, is no frame."""
    words = (FRAME_BYTES - 8) // 8
    largest = struct.pack("<II", 0, words)
    assert FrameSplitter().feed(largest) == ([], b"")
    for head in (struct.pack("<II", 0, words + 1), struct.pack("<IIII", 1, words, 1, 0)):
        assert FrameSplitter().feed(head) == ([], head)


def test_a_failure_is_read_as_one() -> None:
    """An answer's outcome is where the guard looks for it, and not that of results."""
    message = wire.Message.of(failure(9, "thread busy"))
    assert (message.kind, message.body.u32(0), message.body.u16(6)) == (wire.RETURN, 9, wire.EXCEPTION)
    assert contract.read_reason(message.body).rstrip(b"\0") == b"thread busy"
    assert wire.RESULTS == 0
