"""Frames that no well-behaved client sends: the guard ends the session, and the node gets none of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from support.conversation import NO_TIP, TIP
from support.frames import (
    NODE,
    THREAD,
    THREAD_MAP,
    abort,
    answer,
    bootstrap,
    call,
    disembargo,
    done,
    finish,
    release,
    rpc,
    wait_tip,
)
from support.gated import Gated, ended, on_thread, opened, passes, refused
from support.guard import THREAD_MAP_ID
from support.layouts import Struct, frame_with, respread, tree_of

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.guard.loop import PLUGIN_FRAME_BYTES

NODE_ID = 9
SIZE = on_thread(7, NODE, "getMempoolSize", NODE_ID)


@pytest.fixture
def gated() -> Iterator[Gated]:
    """A client behind the guard's gate that has threads, every interface, and a wait for the next tip."""
    with opened() as conversation:
        yield conversation


# Messages


@pytest.mark.parametrize("kind", [0, 5, 7, 9, 10, 11, 12, 13, 14, 15, 0xFFFF])
def test_a_message_of_another_kind_ends_the_session(gated: Gated, kind: int) -> None:
    """Of the kinds of messages that a client has no use for, known ones or not, none passes."""
    ended(gated, wire.message_of(kind, 3, 3, 0, 0, 0, 0, 0, 0))


def test_a_disembargo_ends_the_session(gated: Gated) -> None:
    """A real message of another kind ends the session."""
    ended(gated, disembargo(NODE_ID))


@pytest.mark.parametrize("question", [0, 50, wire.OWN_IDS - 1])
def test_an_answer_to_the_nodes_questions_ends_the_session(gated: Gated, question: int) -> None:
    """The guard answers the node; an answer of the client's would be a second one."""
    gated.subscribed()
    ended(gated, answer(question))


@pytest.mark.parametrize("question", [wire.OWN_IDS, (1 << 32) - 1])
def test_an_answer_to_the_guard_stays_with_it(gated: Gated, question: int) -> None:
    """What the client answers to the guard's forwarded events, the node never hears."""
    gated.plugin.send(answer(question))
    assert gated.node.silent()
    assert gated.plugin.take() == finish(question)


def test_an_abort_is_the_clients_end(gated: Gated) -> None:
    """An Abort is not relayed: it closes the client's side alone."""
    gated.plugin.send(abort("no"))
    assert not gated.plugin.outbox.open
    assert not gated.node.outbox.frames


def test_a_bootstrap_of_a_name_ends_the_session(gated: Gated) -> None:
    """A Bootstrap asks for the node's one object, by no name."""
    message = rpc.Message.new_message()
    message.init("bootstrap").questionId = 5
    tree = tree_of(message.to_bytes())
    assert isinstance(tree, Struct)
    body = tree.pointers[0]
    assert isinstance(body, Struct)
    body.pointers = [Struct(bytes(8), [])]
    ended(gated, frame_with(tree, lambda: "near"))


@pytest.mark.parametrize(
    ("at", "value"),
    [(6, 1), (6, 2), (6, 3), (16, 1), (16, 4), (16, 8), (23, 128)],
    ids=["yourself", "third party", "unknown", "tail call", "only pipeline", "a bit", "the last bit"],
)
def test_results_are_for_the_caller(gated: Gated, at: int, value: int) -> None:
    """A Call whose results go elsewhere, stay with the node, or that has an unknown flag, ends the session."""
    frame = bytearray(SIZE)
    frame[wire.Message.of(SIZE).body.start + at] |= value
    ended(gated, bytes(frame))


# Questions


def test_a_question_has_an_id_of_its_own(gated: Gated) -> None:
    """The id of an open question cannot be used again before its answer and its Finish."""
    passes(gated, SIZE)
    ended(gated, wait_tip(7, TIP))


def test_an_id_is_free_after_answer_and_finish(gated: Gated) -> None:
    """After both, in either order, the id may be used again."""
    for _ in range(2):
        passes(gated, SIZE)
        gated.node.send(answer(7))
        passes(gated, finish(7))
    passes(gated, SIZE, finish(7))
    gated.node.send(answer(7))
    passes(gated, SIZE)


@pytest.mark.parametrize("question", [wire.OWN_IDS, wire.OWN_IDS + 1, (1 << 32) - 1])
def test_the_guards_own_ids_are_the_guards(gated: Gated, question: int) -> None:
    """A client's question cannot have an id that the guard may use."""
    ended(gated, bootstrap(question))


def test_a_question_is_finished_once(gated: Gated) -> None:
    """A node closes the connection at a Finish for no open question: it gets none."""
    passes(gated, SIZE, finish(7))
    ended(gated, finish(7))


def test_a_finish_of_nothing_ends_the_session(gated: Gated) -> None:
    """A Finish of a question that never was ends the session."""
    ended(gated, finish(7))


def test_a_refused_question_stays_with_the_guard(gated: Gated) -> None:
    """Neither the Finish of a refused question nor a second one reaches the node."""
    refused(gated, 7, on_thread(7, NODE, "startShutdown", NODE_ID))
    ended(gated, done(7))


@pytest.mark.parametrize(("capability", "count"), [(NODE_ID, 2), (NODE_ID, 0), (77, 1), (NODE_ID, (1 << 32) - 1)])
def test_a_release_of_too_many_ends_the_session(gated: Gated, capability: int, count: int) -> None:
    """A client releases what it holds, and no more."""
    ended(gated, release(capability, count))


# Bounds


def test_64_questions_may_be_open(gated: Gated) -> None:
    """More open questions than 64 end the session; the wait for the tip is one."""
    passes(gated, *(bootstrap(question) for question in range(63)))
    ended(gated, bootstrap(63))


def test_8_server_threads_may_be_made(gated: Gated) -> None:
    """A client gets 8 threads in its session, released ones included."""
    for question, thread in enumerate(range(20, 25)):
        passes(gated, call(question, THREAD_MAP, "makeThread", target=THREAD_MAP_ID, name="x"))
        gated.node.send(answer(question, table=[("senderHosted", thread)]))
        passes(gated, done(question), release(thread))
    ended(gated, call(7, THREAD_MAP, "makeThread", target=THREAD_MAP_ID, name="x"))


def test_64_capabilities_may_be_held(gated: Gated) -> None:
    """A client that keeps everything it is given, each an object in the node, is given 64 of them."""
    held = 9  # as every test begins
    for capability in range(100, 100 + 64 - held):
        passes(gated, on_thread(7, NODE, "getMempoolSize", NODE_ID))
        gated.node.send(answer(7, table=[("senderHosted", capability)]))
        passes(gated, done(7))
    ended(gated, SIZE)


@pytest.mark.parametrize("name", ["x" * 101, "x\ny", "\x1b[31m"])
def test_a_threads_name_is_short_and_printable(gated: Gated, name: str) -> None:
    """A thread's name is in the node's log."""
    refused(gated, 7, call(7, THREAD_MAP, "makeThread", target=THREAD_MAP_ID, name=name))


def test_a_frame_of_more_than_64_kib_ends_the_session(gated: Gated) -> None:
    """A frame that says it is larger is not waited for."""
    gated.plugin.send(struct.pack("<II", 0, PLUGIN_FRAME_BYTES // 8) + SIZE[8:])
    assert not gated.node.outbox.frames
    assert not gated.plugin.outbox.open


# Waits


def test_a_second_wait_without_a_limit_is_refused(gated: Gated) -> None:
    """The node's thread is waited for once; a second wait would occupy it until the next tip."""
    refused(gated, 7, wait_tip(7, TIP, thread=THREAD))


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -float("inf"), -1.0, -1e-300, 10_000.1, 1e308])
def test_a_wait_is_short_or_has_no_limit(gated: Gated, limit: float) -> None:
    """Any other limit than 0 to 10 seconds is refused."""
    refused(gated, 7, wait_tip(7, TIP, thread=THREAD, timeout=limit))


@pytest.mark.parametrize("limit", [0.0, -0.0, 1.0, 10_000.0])
def test_a_short_wait_passes(gated: Gated, limit: float) -> None:
    """A wait of up to 10 seconds passes as it is."""
    passes(gated, wait_tip(7, TIP, thread=THREAD, timeout=limit))


@pytest.mark.parametrize("tip", [b"", bytes(31), bytes(33)])
def test_a_tip_is_a_hash(gated: Gated, tip: bytes) -> None:
    """What the guard writes the next tip over has 32 bytes."""
    ended(gated, wait_tip(7, tip, thread=THREAD, timeout=1.0))


# Disconnects


def test_what_is_no_handler_is_not_disconnected(gated: Gated) -> None:
    """A disconnect of anything but a subscription's handler is refused."""
    refused(gated, 7, contract.disconnect_of(7, NODE_ID, THREAD))


def test_a_handler_is_disconnected_once(gated: Gated) -> None:
    """A second disconnect of a handler can hang the node's thread: it is refused."""
    gated.subscribed()
    gated.plugin.send(contract.disconnect_of(5, 22, THREAD))
    first = gated.node.take()
    assert wire.Message.of(first).body.imported_target() == 22
    assert gated.plugin.take() == wire.answer_to(5)
    refused(gated, 6, contract.disconnect_of(6, 22, THREAD))


# Layouts


@pytest.mark.parametrize("place", ["far", "double far"])
def test_a_frame_of_several_segments_ends_the_session(gated: Gated, place: str) -> None:
    """A client's frames are small enough for one segment."""
    ended(gated, respread(SIZE, place))  # type: ignore[arg-type]


def _with_words(frame: bytes, **words: int) -> bytes:
    changed = bytearray(frame)
    for at, word in words.items():
        struct.pack_into("<Q", changed, 8 + 8 * int(at[1:]), word)
    return bytes(changed)


def test_a_far_pointer_into_its_own_segment_ends_the_session(gated: Gated) -> None:
    """A far pointer in a frame of one segment is one that no builder makes."""
    words = len(SIZE) // 8 - 1
    root = struct.unpack_from("<Q", SIZE, 8)[0]
    pad = root - (words << 2) & 0xFFFFFFFF | root & ~0xFFFFFFFF
    far = struct.pack("<II", 0, words + 1) + struct.pack("<Q", 2 | words << 3) + SIZE[16:] + struct.pack("<Q", pad)
    assert wire.Message.of(far).body.call() == wire.Message.of(SIZE).body.call(), "the guard could read it"
    ended(gated, far)


def _overlapping(frame: bytes, source: int, target: int) -> bytes:
    """Return a frame in which the pointer at a word leads to another word."""
    word = struct.unpack_from("<Q", frame, 8 + 8 * source)[0]
    return _with_words(frame, **{f"w{source}": word & ~0xFFFFFFFC | (target - source - 1 & 0x3FFFFFFF) << 2})


def test_what_the_guard_writes_to_overlaps_nothing() -> None:
    """A wait's time limit, which the guard fills in, cannot be made to lie where the Call's target is."""
    with Gated() as gated:
        gated.introduced()
        wait = wait_tip(7, NO_TIP)
        message = wire.Message.of(wait)
        call_, given = message.body, contract.parameters(message.body)
        target = call_.struct(wire.TARGET)
        for name, place in {"limit": given.start, "tip": given.data_range(1)[0]}.items():
            pointer_at = {
                "limit": call_.struct(wire.PARAMS).pointers_at,
                "tip": given.pointers_at + 8,
            }[name]
            for over in (call_.start, call_.start + 8, call_.start + 16, target.start, place - 8):
                hostile = _overlapping(wait, pointer_at // 8 - 1, over // 8 - 1)
                with opened() as other:
                    ended(other, hostile)


def test_lists_that_overlap_end_the_session(gated: Gated) -> None:
    """A struct or list that lies on another one, or a pointer to what holds it, is not followed."""
    words = len(SIZE) // 8 - 1
    for source in range(1, words):
        for target in range(words):
            frame = _overlapping(SIZE, source, target)
            if frame != SIZE and struct.unpack_from("<Q", SIZE, 8 + 8 * source)[0] not in (0, 3):
                with opened() as other:
                    other.plugin.send(frame)
                    assert not [each for each in other.node.outbox.frames if each != frame]


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_the_table_is_a_list_of_structs(gated: Gated, kind: int) -> None:
    """The tag of the table of capabilities is that of a struct: Cap'n Proto reads no other, and hangs up."""
    table = wire.Message.of(SIZE).body.capabilities(wire.PARAMS)[0].start - 8
    (tag,) = struct.unpack_from("<Q", SIZE, table)
    ended(gated, _with_words(SIZE, **{f"w{table // 8 - 1}": tag | kind}))


@pytest.mark.parametrize("more", [-1, 1, 2, 1000, 1 << 20])
def test_a_size_that_lies_ends_the_session(gated: Gated, more: int) -> None:
    """A list of more words than its tag says, or than there are, is not read."""
    message = wire.Message.of(SIZE)
    at = message.body.struct(wire.PARAMS).pointers_at + 8
    (word,) = struct.unpack_from("<Q", SIZE, at)
    ended(gated, _with_words(SIZE, **{f"w{at // 8 - 1}": word + (more << 35) & (1 << 64) - 1}))


@pytest.mark.parametrize("words", [0, 1, 2, 5])
def test_a_frame_that_is_cut_short_ends_the_session(gated: Gated, words: int) -> None:
    """A frame whose segment ends before its message does is not read."""
    ended(gated, struct.pack("<II", 0, words) + SIZE[8 : 8 + 8 * words])


def test_bytes_that_nobody_points_to_change_nothing(gated: Gated) -> None:
    """Bytes behind the message, within its segment, are read by nobody."""
    passes(gated, struct.pack("<II", 0, len(SIZE) // 8 + 1) + SIZE[8:] + b"\xee" * 16)


def test_frames_in_one_write_are_judged_one_by_one(gated: Gated) -> None:
    """What comes before a frame that ends the session has passed; what comes after it has not."""
    gated.plugin.send(SIZE + finish(77) + bootstrap(8))
    assert list(gated.node.outbox.frames) == [SIZE]
    assert not gated.plugin.outbox.open


def test_the_end_of_a_session_is_in_good_order(gated: Gated) -> None:
    """A subscribed client whose session is ended leaves a node without subscribers."""
    gated.subscribed()
    ended(gated, finish(77))
    for handler, callback in ((22, 2), (21, 1)):
        frame = gated.node.take()
        question = wire.Message.of(frame).body.u32(0)
        assert frame == contract.disconnect_of(question, handler, THREAD)
        interface = contract.UTXO_CACHE_TRACE if callback == 2 else contract.CHAIN_NOTIFICATIONS
        gated.node.send(wire.call_on_thread(900, callback, interface, contract.DESTROY, 1), answer(question))
        assert gated.node.take() == wire.answer_to(900)
        gated.node.send(finish(900))
        assert gated.node.take() == finish(question)
    assert gated.node.at_the_end()
