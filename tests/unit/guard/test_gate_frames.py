"""Frames that no well-behaved client sends: the guard ends the session, or refuses, and the node gets none."""

from __future__ import annotations

import struct

import pytest
from support.conversation import CHAIN_HANDLER, NO_TIP, TIP, TRACE_HANDLER, left
from support.frames import THREAD, answer, bootstrap, finish, gives, make_thread, release, wait_tip
from support.gated import Gated, ended, opened, passes, refused
from support.hostile_frames import SILENT, Ids, Q, endings, refusals, size_of, with_word
from support.layouts import frame_with, tree_of

from telegraf_bitcoin_ipc.guard import contract, wire

IDS = Ids()
SIZE = size_of(IDS)


def test_what_ends_a_session() -> None:
    """A frame that no client sends, and a node might close the connection at, ends the session with a reason."""
    for name, (*before, last) in endings(IDS).items():
        with opened() as gated:
            gated.subscribed()
            gated.plugin.send(*before)
            assert gated.plugin.outbox.open, name
            gated.node.outbox.frames.clear()
            gated.plugin.send(last)
            assert last not in gated.node.outbox.frames, name
            assert not gated.plugin.outbox.open, name
            assert len(gated.log) - any("refused" in line for line in gated.log) == (name not in SILENT), name


def test_what_is_refused(gated: Gated) -> None:
    """A call that is not allowed gets an exception; of it, and of its Finish, nothing reaches the node."""
    rows = refusals(IDS)
    for name, frame in rows.items():
        refused(gated, Q, frame, of=name)
    assert gated.totals()["calls_refused"] == len(rows) > 300


def test_each_refused_method_is_logged_once(gated: Gated) -> None:
    """The log has one line for a method, however often it is called, and a limit."""
    for method in (9, 9, *range(100, 200)):
        refused(gated, 7, wire.call_on_thread(7, IDS.node, contract.NODE, method, THREAD))
    assert len(gated.log) == len(set(gated.log)) == 32
    assert gated.log[0] == "refused: method 9 of interface 0xece87a85e7d7c91d"


@pytest.mark.parametrize("question", [wire.OWN_IDS, (1 << 32) - 1])
def test_an_answer_to_the_guard_stays_with_it(gated: Gated, question: int) -> None:
    """What the client answers to the guard's forwarded events, the node never hears."""
    gated.plugin.send(answer(question))
    assert gated.node.silent()
    assert gated.plugin.take() == finish(question)


def test_an_id_is_free_after_answer_and_finish(gated: Gated) -> None:
    """After both, in either order, the id may be used again."""
    for _ in range(2):
        gated.exchanged(SIZE, answer(Q))
    passes(gated, SIZE)
    gated.plugin.send(finish(Q))
    gated.node.send(answer(Q))
    assert gated.node.take() == finish(Q)
    passes(gated, SIZE)


def test_what_a_call_that_was_given_up_gives_is_let_go(gated: Gated) -> None:
    """A Finish before the answer lets go of its capabilities, whatever it says: the client never held them."""
    passes(gated, SIZE)
    gated.plugin.send(wire.finish_of(Q, keep=True))
    gated.node.send(gives(Q, 77))
    assert gated.node.take() == finish(Q)
    ended(gated, release(77))


def test_a_finish_that_the_node_does_not_need_stays_with_the_guard(gated: Gated) -> None:
    """Where the node's answer says that it needs none, the first is not relayed, and a second one is too many."""
    passes(gated, SIZE)
    given = tree_of(answer(Q))
    given.at(0).data = struct.pack("<IBxHQ", Q, 2, 0, 0)  # noFinishNeeded
    gated.node.send(frame_with(given))
    gated.plugin.send(finish(Q))
    assert gated.node.silent()
    ended(gated, finish(Q))


def test_a_capability_that_was_given_twice_is_released_twice(gated: Gated) -> None:
    """After one Release the client still holds it."""
    gated.exchanged(SIZE, gives(Q, IDS.node))
    passes(gated, release(IDS.node), SIZE)


def test_64_capabilities_may_be_held(gated: Gated) -> None:
    """A client that keeps everything it is given, each an object in the node, is given 64 of them."""
    held = 9  # as every test begins
    for capability in range(100, 100 + 64 - held):
        gated.exchanged(SIZE, gives(Q, capability))
    ended(gated, SIZE)


def test_8_server_threads_may_be_made(gated: Gated) -> None:
    """Each is a thread of the node's: one that was released counts as well."""
    made = 3  # as every test begins
    for thread in range(100, 100 + 8 - made):
        gated.exchanged(make_thread(Q), gives(Q, thread))
        passes(gated, release(thread))
    ended(gated, make_thread(Q))


def test_a_second_wait_without_a_limit_is_refused(gated: Gated) -> None:
    """The node's thread is waited for once; a second wait would occupy it until the next tip."""
    refused(gated, 7, wait_tip(7, TIP, thread=THREAD))


@pytest.mark.parametrize("limit", [0.0, -0.0, 1.0, 10_000.0])
def test_a_short_wait_passes(gated: Gated, limit: float) -> None:
    """A wait of up to 10 seconds passes as it is."""
    passes(gated, wait_tip(7, TIP, thread=THREAD, timeout=limit))


def test_a_handler_is_disconnected_once(gated: Gated) -> None:
    """A second disconnect of a handler can hang the node's thread: it is refused."""
    gated.subscribed()
    gated.plugin.send(contract.disconnect_of(5, TRACE_HANDLER, THREAD))
    assert wire.Message.of(gated.node.take()).body.imported_target() == TRACE_HANDLER
    assert gated.plugin.take() == wire.answer_to(5)
    refused(gated, 6, contract.disconnect_of(6, TRACE_HANDLER, THREAD))


# Layouts


def _overlapping(frame: bytes, source: int, target: int) -> bytes:
    """Return a frame in which the pointer at a word leads to another word."""
    (word,) = struct.unpack_from("<Q", frame, 8 + 8 * source)
    return with_word(frame, 8 + 8 * source, word & ~0xFFFFFFFC | (target - source - 1 & 0x3FFFFFFF) << 2)


def test_what_the_guard_writes_to_overlaps_nothing() -> None:
    """A wait's time limit and tip, which the guard fills in, cannot be made to lie where the Call's target is."""
    wait = wait_tip(7, NO_TIP)
    body = wire.Message.of(wait).body
    given = contract.parameters(body)
    limit = body.struct(wire.PARAMS).pointers_at, given.start
    tip = given.pointers_at + 8, given.data_range(1)[0]
    for pointer_at, place in (limit, tip):
        for over in (body.start, body.start + 8, body.start + 16, body.struct(wire.TARGET).start, place - 8):
            with opened() as gated:
                ended(gated, _overlapping(wait, pointer_at // 8 - 1, over // 8 - 1))


def test_lists_that_overlap_end_the_session() -> None:
    """A struct or list that lies on another one, or a pointer to what holds it, is not followed."""
    words = len(SIZE) // 8 - 1
    for source in range(1, words):
        for target in range(words):
            frame = _overlapping(SIZE, source, target)
            if frame != SIZE and struct.unpack_from("<Q", SIZE, 8 + 8 * source)[0] not in (0, 3):
                with opened() as gated:
                    gated.plugin.send(frame)
                    assert not [each for each in gated.node.outbox.frames if each != frame]


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
    left(gated, TRACE_HANDLER, CHAIN_HANDLER)
