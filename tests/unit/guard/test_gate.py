"""Which calls pass the guard: those of the list, of what the client holds, on its own threads."""

from __future__ import annotations

import struct

import pytest
from support.conversation import CHAIN_HANDLER, TIP, destroyed, disconnected
from support.frames import (
    INIT,
    NODE,
    THREAD,
    THREAD_MAP_ID,
    answer,
    bootstrap,
    call,
    done,
    failure,
    finish,
    gives,
    handler_for,
    make_thread,
    on_thread,
    release,
    subscribe_chain,
    subscribe_utxo,
    transaction,
    wait_tip,
)
from support.gated import Gated, ended, passes, refused
from support.hostile_frames import Ids, construct_of, size_of
from support.layouts import Struct, Structs, frame_with, tree_of
from support.recorded import DIALECTS, recorded

from telegraf_bitcoin_ipc.guard import allowed, wire

IDS = Ids()
CHAIN_ID, MINING_ID = IDS.chain, IDS.mining


def test_real_sessions_pass_and_call_the_whole_list() -> None:
    """A session with each kind of node is refused nothing; together they call all that is allowed, and no more."""
    called = set()
    for dialect in DIALECTS:
        assert recorded(dialect).log == ()
        for frame in recorded(dialect).client:
            message = wire.Message.of(frame)
            if message.kind == wire.CALL:
                _, method, interface = message.body.call()
                called.add((interface, method))
    assert called == set(allowed.CALLS)


# Targets and capabilities


def test_a_callback_is_no_capability_of_the_clients(gated: Gated) -> None:
    """The capabilities that come with an event are the guard's to release: the client gets and holds none."""
    gated.subscribed()
    gated.node.send(transaction(50, callback=1))
    gated.node.take()
    ended(gated, on_thread(7, NODE, "getMempoolSize", 71, THREAD))


def test_a_call_of_an_open_bootstrap_passes(gated: Gated) -> None:
    """A client may call what its Bootstrap will give before that has come, and not after its Finish."""
    passes(gated, bootstrap(5), construct_of(6, 5))
    gated.node.send(gives(5, 0))
    passes(gated, construct_of(8, 5), done(5))
    ended(gated, construct_of(9, 5))


def test_a_call_of_another_answer_is_refused(gated: Gated) -> None:
    """A call of what another question will give, or of a part, is refused: whether it is allowed is not known."""
    passes(gated, bootstrap(4), on_thread(5, INIT, "makeNode", 0, THREAD))
    refused(gated, 6, construct_of(6, 5))
    tree = tree_of(construct_of(6, 4))
    tree.at(0, 0, 0).pointers = [Structs(1, 0, [Struct(struct.pack("<HHI", 1, 0, 0), [])])]
    refused(gated, 6, frame_with(tree))


# Subscriptions


def test_a_refused_subscription_does_not_make_room(gated: Gated) -> None:
    """That the guard refuses a subscribing call says nothing of the subscription that stands."""
    gated.subscribed()
    passes(gated, make_thread(5))
    tree, target = tree_of(subscribe_chain(6, callback=9)), tree_of(construct_of(6, 5)).at(0, 0)
    tree.at(0).pointers[0] = target
    refused(gated, 6, frame_with(tree))
    ended(gated, subscribe_chain(7, callback=9))


def test_a_subscription_that_the_node_refused_may_be_asked_for_again(gated: Gated) -> None:
    """After the node's exception the same subscription may be made, with the same callback."""
    gated.exchanged(subscribe_chain(5), failure(5, "no"))
    passes(gated, subscribe_chain(5))


def test_two_subscriptions_have_two_callbacks(gated: Gated) -> None:
    """With the same callback twice nobody could say which subscription has ended."""
    passes(gated, subscribe_chain(5, callback=1))
    gated.node.send(handler_for(5, CHAIN_HANDLER))
    ended(gated, subscribe_utxo(6, callback=1))


def test_a_subscription_needs_a_wait_for_the_nodes_stop() -> None:
    """A node that stops with a subscriber aborts, so whoever subscribes must wait for the tip without a limit."""
    with Gated() as gated:
        gated.introduced()
        refused(gated, 5, subscribe_chain(5))
        refused(gated, 6, subscribe_utxo(6))


def test_the_thread_of_a_subscription_is_kept_free(gated: Gated) -> None:
    """No other call runs on it: the node gives its subscribers some hundredths of a second when it stops."""
    gated.subscribed()
    refused(gated, 7, size_of(IDS, 7, THREAD))
    refused(gated, 8, wait_tip(8, TIP, thread=THREAD, timeout=10_000))


def test_one_call_at_a_time_on_a_thread(gated: Gated) -> None:
    """A call on a thread that has not answered the one before is refused, as older nodes do themselves."""
    passes(gated, size_of(IDS, 5))
    refused(gated, 6, size_of(IDS, 6))
    refused(gated, 7, size_of(IDS, 7, IDS.tip))  # it waits for the tip
    gated.node.send(answer(5))
    passes(gated, finish(5), size_of(IDS, 6))


# What the guard needs of the client's is not let go of


@pytest.mark.parametrize("how", ["release", "finish"])
def test_a_subscriptions_thread_and_handler_stay(how: str) -> None:
    """However the client lets go of threads, handler and Mining, the node keeps what the guard will call."""
    with Gated() as gated:
        for asked, given in (
            (bootstrap(1), gives(1, 0)),
            (call(2, INIT, "construct"), gives(2, THREAD_MAP_ID, CHAIN_ID, MINING_ID)),
            (make_thread(3), gives(3, THREAD)),
            (make_thread(4), gives(4, IDS.tip)),
        ):
            passes(gated, asked)
            gated.node.send(given)
        gated.waits()
        passes(gated, subscribe_chain(5))
        gated.node.send(handler_for(5, CHAIN_HANDLER))
        if how == "release":
            gated.plugin.send(*map(release, (THREAD, CHAIN_HANDLER, IDS.tip, MINING_ID, CHAIN_ID)))
            assert list(gated.node.outbox.frames) == [release(CHAIN_ID)]
        else:
            gated.plugin.send(finish(3), finish(5), finish(4), finish(2))
            kept = [done(3), done(5), done(4), done(2), release(THREAD_MAP_ID), release(CHAIN_ID)]
            assert list(gated.node.outbox.frames) == kept
        gated.node.outbox.frames.clear()
        gated.plugin.close()
        question = disconnected(gated, CHAIN_HANDLER)
        destroyed(gated, CHAIN_HANDLER)
        assert set(gated.node.outbox.frames) == {release(THREAD), release(CHAIN_HANDLER)}
        gated.node.outbox.frames.clear()
        gated.node.send(answer(question))
        assert gated.node.take() == wire.finish_of(question)


def test_a_finish_that_releases_what_was_released_ends_the_session() -> None:
    """A Finish that lets go of the answer's capabilities names none that the client has released itself."""
    with Gated() as gated:
        passes(gated, bootstrap(1))
        gated.node.send(gives(1, 0))
        passes(gated, release(0))
        ended(gated, finish(1))
