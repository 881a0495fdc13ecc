"""The real guard as a process, with the node's side and the plugin's side both played by the test."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import groupby, pairwise, takewhile
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.conversation import (
    CHAIN_HANDLER,
    TRACE_HANDLER,
    ask_node,
    disconnected,
    handed,
    left,
    let_go,
    still_answers,
)
from support.frames import (
    CHAIN_NOTIFICATIONS,
    INIT,
    answer,
    call,
    done,
    event,
    finish,
    handler_for,
    question_of,
    subscribe_chain,
    tip_is,
    transaction,
    utxo,
)
from support.gated import Gated
from support.guard import WAIT, RunningGuard
from support.processes import state
from support.properties import examples
from support.recorded import recorded

from telegraf_bitcoin_ipc.guard import contract, wire

MEGABYTE = 1 << 20
UNREAD_BYTES = 32 * MEGABYTE


@pytest.fixture
def guarded() -> Iterator[RunningGuard]:
    """A guard, which ends with the test; where it did not fail, by itself."""
    with RunningGuard() as running:
        yield running


def test_what_is_no_stream_of_frames_passes_to_the_plugin(guarded: RunningGuard) -> None:
    """From where the node's bytes are no frames, they pass as they come."""
    guarded.node.send(answer(1), b"\xff" * 24, answer(2))
    assert guarded.plugin.take() == answer(1)
    assert guarded.plugin.exactly(24) == b"\xff" * 24
    assert guarded.plugin.take() == answer(2)


def test_who_asks_and_does_not_read(guarded: RunningGuard) -> None:
    """No more is read from a plugin that leaves its answers unread: they would take all memory. Then all come."""
    asked = b"".join(call(number, INIT, "makeEcho") + done(number) for number in range(1, 33))
    plugin = guarded.plugin
    plugin.socket.setblocking(False)
    sent = 0
    while sent < UNREAD_BYTES:
        with suppress(BlockingIOError):
            sent += plugin.socket.send(asked[sent % len(asked) :])
            continue
        if state(Path(f"/proc/{guarded.process.pid}")) == "S" and not writable(plugin.socket):
            break
    assert sent < UNREAD_BYTES
    plugin.socket.setblocking(True)
    rest = Thread(target=plugin.socket.sendall, args=(asked[sent % len(asked) :],))
    rest.start()
    for number in range(32 * -(-sent // len(asked))):
        assert question_of(guarded.plugin.take()) == number % 32 + 1
    rest.join()
    assert guarded.node.silent()
    guarded.stderr.seek(0)
    assert guarded.stderr.read().decode().count("refused: ") == 1
    guarded.stderr.truncate(0)


def writable(connection: socket.socket) -> bool:
    """Whether something can be sent now."""
    return bool(select.select([], [connection], [], 0)[1])


def block(data: bytes) -> bytes:
    """Return a `blockConnected`."""
    return event(5, CHAIN_NOTIFICATIONS, "blockConnected", 1, role={}, block={"data": data})


def test_blocks_that_wait_are_not_mixed_up(guarded: RunningGuard) -> None:
    """Blocks of any size arrive as they were sent: while others wait for the plugin, and when none does.

    One of 48 MiB is larger than everything that may wait.
    """
    sent = [block(os.urandom(size)) for size in (2 * MEGABYTE, MEGABYTE, 3 * MEGABYTE, MEGABYTE // 2)]
    for together in (sent, sent, *([each] for each in sent), [block(os.urandom(MEGABYTE) * 48)]):
        for each in together:
            guarded.node.send(each, finish(5))
            assert guarded.node.take() == wire.answer_to(5)
        for each in together:
            handed(guarded, each)
    assert guarded.totals()["events_dropped"] == 0


def test_it_is_added_up_before_it_is_answered(guarded: RunningGuard) -> None:
    """At the moment of an answer its event is in the totals, burst or not."""
    for number in range(500):
        guarded.node.send(utxo(number, "spend", value=3))
        assert guarded.node.take() == wire.answer_to(number)
        assert guarded.totals()["spend"] == number + 1
    assert guarded.totals()["spend_value"] == 1500


def test_a_plugin_that_never_reads_costs_only_events(guarded: RunningGuard) -> None:
    """Every event is answered; the oldest are dropped and counted, answers never, and the order stays."""
    count, size = 48, MEGABYTE
    for number in range(count):
        tx = struct.pack("<I", number) + bytes(size)
        guarded.node.send(transaction(number, tx), answer(1000 + number))
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.send(answer(9999), transaction(count, struct.pack("<I", count)))
    assert guarded.node.take() == wire.answer_to(count)
    events, answers = list[int](), list[int]()
    while count not in events:
        message = wire.Message.of(guarded.plugin.take())
        if message.kind == wire.CALL:
            events += struct.unpack_from("<I", contract.parameters(message.body).data(1))
        else:
            answers.append(message.body.u32(0))
    assert events.pop() == count
    assert answers == [*range(1000, 1000 + count), 9999], "what is no event is never dropped"
    assert events == sorted(events)
    dropped = guarded.totals()["events_dropped"]
    assert 10 <= dropped < count - 28, "32 MiB wait in the guard, and some in the socket"
    assert len(events) + dropped == count
    assert events[-20:] == list(range(count - 20, count)), "the newest are kept"


def test_what_the_plugin_said_last_reaches_the_node(guarded: RunningGuard) -> None:
    """The plugin's frames before its end are relayed, however it ended."""
    guarded.waits()
    guarded.plugin.send(ask_node(1), subscribe_chain(2))
    guarded.plugin.close()
    assert guarded.node.take() == ask_node(1)
    assert guarded.node.take() == subscribe_chain(2)
    guarded.node.send(answer(1), handler_for(2, CHAIN_HANDLER))
    left(guarded, CHAIN_HANDLER)


def test_a_plugin_that_says_what_is_no_frame_is_at_its_end(guarded: RunningGuard) -> None:
    """It does not reach the node: teardown begins, as after an abort."""
    guarded.subscribed()
    guarded.plugin.send(b"\xff" * 24)
    left(guarded, TRACE_HANDLER, CHAIN_HANDLER)
    assert guarded.plugin.at_the_end()


def test_signals_are_ignored(guarded: RunningGuard) -> None:
    """What ends other programs does not end this one: it goes on, and tears down."""
    guarded.subscribed()
    for question, number in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)):
        os.kill(guarded.process.pid, number)
        still_answers(guarded, 50 + question)
    guarded.plugin.send(ask_node(3))
    assert guarded.node.take() == ask_node(3)
    guarded.node.send(answer(3))
    guarded.plugin.close()
    left(guarded, TRACE_HANDLER, CHAIN_HANDLER)


def test_queued_events_reach_the_plugin_after_the_nodes_end(guarded: RunningGuard) -> None:
    """What waits for the plugin when the node goes is delivered whole, then the stream ends, then the guard."""
    events = [transaction(number, bytes([number]) * MEGABYTE) for number in range(8)]
    for number, each in enumerate(events):
        guarded.node.send(each)
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.close()
    for each in events:
        handed(guarded, each)
    assert guarded.plugin.at_the_end()
    guarded.ends()


def test_the_end_of_both_is_the_guards(guarded: RunningGuard) -> None:
    """A subscription does not hold the guard when the node has gone, nor a plugin that does not read."""
    guarded.subscribed()
    guarded.node.send(*(transaction(number, bytes(MEGABYTE)) for number in range(4)))
    for number in range(4):
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.close()
    guarded.plugin.close()
    guarded.ends()


def test_a_node_that_stops_is_left_by_a_plugin_that_does_not_read(guarded: RunningGuard) -> None:
    """When the node begins to stop its subscriptions are ended at once, whatever the plugin is doing."""
    guarded.subscribed()
    question = guarded.waiting
    for number in range(100, 104):
        guarded.node.send(transaction(number, bytes(MEGABYTE)))
        assert guarded.node.take() == wire.answer_to(number)
    guarded.node.send(tip_is(question, None))
    assert guarded.node.take() == wire.finish_of(question)
    for handler in (TRACE_HANDLER, CHAIN_HANDLER):
        let_go(guarded, disconnected(guarded, handler), handler)
    guarded.node.close()
    for _ in range(4):
        assert len(guarded.plugin.take()) > MEGABYTE
    rest = [guarded.plugin.take() for _ in range(3)]
    assert tip_is(WAIT, None) in rest, "beside both callbacks' `destroy`"
    assert guarded.plugin.at_the_end()
    guarded.ends()


# A real conversation


@cache
def turns() -> tuple[tuple[bool, bytes], ...]:
    """Return a recorded session: whether it was the node that spoke, and what it said before the other one did.

    How it ends is left out: the guard ends subscriptions by itself, when it works.
    """
    frames = list(takewhile(lambda each: not _disconnects(each[1]), recorded("tracing").said))
    grouped = groupby(frames, lambda each: each[0])
    return tuple((is_node, b"".join(frame for _, frame in said)) for is_node, said in grouped)


def _disconnects(frame: bytes) -> bool:
    message = wire.Message.of(frame)
    return message.kind == wire.CALL and message.body.call()[:0:-1] == (contract.HANDLER, contract.DISCONNECT)


@pytest.mark.parametrize("forward_utxo", [False, True])
@examples(12)
@given(cuts=st.lists(st.integers(0, 1 << 17), max_size=30))
def test_any_cut_of_a_session_is_the_same(forward_utxo: bool, cuts: list[int]) -> None:
    """The real process makes of a session in pieces what a Relay in memory makes of it whole."""
    told = Gated(forward_utxo=forward_utxo)
    told.introduced()
    with RunningGuard(forward_utxo=forward_utxo) as running:
        for is_node, said in turns():
            (told.node if is_node else told.plugin).send(said)
            places = sorted({0, len(said), *(cut % (len(said) + 1) for cut in cuts)})
            for start, end in pairwise(places):
                (running.node if is_node else running.plugin).send(said[start:end])
            for side, player in ((running.node, told.node), (running.plugin, told.plugin)):
                expected = b"".join(player.outbox.frames)
                player.outbox.frames.clear()
                assert side.exactly(len(expected)) == expected
        assert running.totals() == told.totals()
    assert told.totals()["add"], "it has events"
