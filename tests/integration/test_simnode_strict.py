"""The simulated node is as strict as a real one: what harms a real node harms it, with the same status."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from support.nodes import Plugin, SimulatedNode, StartNode
from support.processes import START_SECONDS, wait_until
from support.scene import connections
from support.subscriber import Misbehaviour, Subscriber

Begin = Callable[..., tuple[SimulatedNode, Subscriber]]

ABORTED = 134
LOST_IN_CALL = "IPC client method call interrupted by disconnect."

DIALECTS = ("tracing", "stock-chain")
"""Two nodes with chain notifications, of IPC libraries that treat subscribers differently (7 and 13)."""


@pytest.fixture
def begin(start_node: StartNode, start_subscriber: Callable[..., Subscriber]) -> Begin:
    """Start a node and a subscriber of its chain notifications, or of another kind, and wait for it."""

    def begin(
        *options: str, kind: str = "chain", misbehaviour: Misbehaviour = "", dialect: str = "tracing"
    ) -> tuple[SimulatedNode, Subscriber]:
        node = start_node("--dialect", dialect, *options)
        subscriber = start_subscriber(kind, misbehaviour, dialect=dialect)
        subscriber.logged("ready")
        return node, subscriber

    return begin


def dies(node: SimulatedNode, message: str = "") -> None:
    """The node aborts with a real node's words."""
    assert node.wait() == ABORTED
    assert message in node.stderr


@pytest.mark.parametrize("kind", ["chain", "utxo_cache"])
def test_a_killed_subscriber_takes_it_along(begin: Begin, kind: str) -> None:
    """A subscriber that dies aborts the node with status 134 and a real node's words."""
    node, subscriber = begin(kind=kind)
    subscriber.kill()
    dies(node, LOST_IN_CALL)


def test_an_idle_subscriber_may_be_killed(begin: Begin) -> None:
    """A node of the kind `stock-chain` forgets a subscriber that dies while nothing happens."""
    node, subscriber = begin(dialect="stock-chain")
    subscriber.kill()
    wait_until(lambda: connections(node) == 0, START_SECONDS, "the node saw its end")
    node.do("block")
    assert node.stop() == 0
    assert not node.lines("unsubscribed")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_subscriber_killed_in_a_callback_takes_it_along(begin: Begin, dialect: str) -> None:
    """A subscriber that dies with an event unanswered aborts every node."""
    node, subscriber = begin(dialect=dialect)
    subscriber.freeze()
    node.begin("accept")
    node.says("accept")
    subscriber.kill()
    dies(node, LOST_IN_CALL)


def test_a_killed_client_without_subscription_does_no_harm(begin: Begin) -> None:
    """A client that only looked may die as it likes."""
    node, subscriber = begin(kind="none")
    subscriber.kill()
    node.do("block")
    assert node.stop() == 0


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("misbehaviour", ["raise", "missing"])
def test_a_chain_callback_that_fails_aborts_it(begin: Begin, misbehaviour: Misbehaviour, dialect: str) -> None:
    """A ChainNotifications method that raises, or is not there, aborts the node."""
    node, _ = begin(misbehaviour=misbehaviour, dialect=dialect)
    node.begin("block")
    dies(node)


def test_a_utxo_callback_that_fails_only_fails_the_block(begin: Begin) -> None:
    """A UtxoCacheTrace method that raises makes the block's connection fail, and the node lives."""
    node, _ = begin(kind="utxo_cache", misbehaviour="raise")
    node.do("block")
    assert node.lines("validation_failed")
    assert node.running


def test_a_stopped_subscriber_freezes_it(begin: Begin) -> None:
    """While a subscriber does not answer nothing goes on, and afterwards everything does."""
    node, subscriber = begin(kind="utxo_cache")
    subscriber.freeze()
    node.begin("block")
    assert not node.lines("block")
    subscriber.send(signal.SIGCONT)
    node.says("block")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stopped_subscriber_holds_up_validation(begin: Begin, dialect: str) -> None:
    """Ten notifications may wait for a subscriber that does not answer; then nothing goes on until it does."""
    node, subscriber = begin(dialect=dialect)
    subscriber.freeze()
    node.begin("accept", count=10)
    node.says("accept")
    node.begin("accept", count=2)
    assert len(node.lines("accept")) == 1
    subscriber.send(signal.SIGCONT)
    node.says("accept", 2)
    node.says("settled", 2)


def test_leaving_before_destroy_is_answered_aborts_it(begin: Begin) -> None:
    """Handler.disconnect alone is not enough: who closes before destroy was answered aborts the node."""
    node, _ = begin(misbehaviour="leave early")
    dies(node)


def disconnected_twice(node: SimulatedNode, start_subscriber: Callable[..., Subscriber], *how: str) -> Subscriber:
    """Start a subscriber whose second disconnect comes while the first is under way."""
    node.do("hang", method="Handler.disconnect")
    subscriber = start_subscriber(*how)
    node.wait_until(lambda: node.do("refuse")["calls"].get("Handler.disconnect") == 2, "both calls")
    node.do("heal", method="Handler.disconnect")
    return subscriber


def test_two_calls_at_once_on_a_thread_are_one_too_many(
    start_node: StartNode, start_subscriber: Callable[..., Subscriber]
) -> None:
    """The second of two disconnects at once fails with `thread busy` and leaves its subscription standing."""
    node = start_node()
    disconnected_twice(node, start_subscriber, "both", "two at once").logged("thread busy")
    node.says("unsubscribed", 1)
    assert len(node.lines("unsubscribed")) == 1


def test_a_subscription_that_is_ended_twice_at_once_never_ends(
    start_node: StartNode, start_subscriber: Callable[..., Subscriber]
) -> None:
    """A second disconnect of a handler, while the first is under way, hangs the thread until the node aborts."""
    node = start_node()
    disconnected_twice(node, start_subscriber, "chain", "twice")
    node.says("unsubscribed")
    node.begin_stop()
    dies(node)


def test_told_to_stop_while_subscribed_it_aborts(begin: Begin) -> None:
    """A node that is told to stop with a subscriber that does not go aborts in its shutdown."""
    node, _ = begin("--patience", "0")
    node.begin_stop()
    dies(node, "terminate called without an active exception")


def test_told_to_stop_with_an_idle_subscriber_it_ends(begin: Begin) -> None:
    """A node of the kind `stock-chain` ends with status 0, whoever is still subscribed."""
    node, _ = begin("--patience", "0", dialect="stock-chain")
    assert node.stop() == 0
    assert not node.lines("abort")


def test_a_stopped_subscriber_holds_up_the_stop(begin: Begin) -> None:
    """The last notification of a node that stops is waited for as any other, until the subscriber goes on."""
    node, subscriber = begin("--patience", "0", dialect="stock-chain")
    subscriber.freeze()
    node.begin_stop()
    node.says("stopping")
    assert not node.lines("stopped")
    subscriber.send(signal.SIGCONT)
    assert node.wait() == 0
    assert node.lines("stopped")[0]["delivered"] == {"chainStateFlushed": 1}


def test_with_patience_it_waits_for_a_slow_subscriber(begin: Begin) -> None:
    """Told to stop, with --patience it lets a subscriber leave that does so late, and ends with status 0."""
    node, subscriber = begin(misbehaviour="brake")
    subscriber.freeze()
    node.begin_stop()
    node.says("stopping")
    subscriber.stop()
    assert node.wait() == 0
    assert not node.lines("abort")


def test_a_lenient_node_only_says_so(begin: Begin) -> None:
    """With --lenient it goes on where a real node aborts, and reports it."""
    node, subscriber = begin("--lenient")
    subscriber.kill()
    assert not node.says("abort")["strict"]
    node.do("block")
    assert node.stop() == 0


def test_a_seed_makes_two_runs_the_same(start_node: StartNode) -> None:
    """With a seed the node does the same to the byte, whatever the time of day."""

    def life() -> list[object]:
        node.do("accept", count=5)
        node.do("block")
        node.do("reorg", depth=2)
        return list(node.lines())

    node = start_node("--seed", "42")
    first = life()
    node.stop()
    node.start()
    assert life() == first


def test_a_steady_life_has_all_that_was_asked_for(
    start_node: StartNode, start_plugin: Callable[..., Plugin]
) -> None:
    """Without a script there are transactions, blocks, reorganisations and one burst, at the given rates."""
    options = ["--block-interval", "0.1", "--tx-rate", "50", "--reorg-every", "3", "--utxo-burst", "300"]
    node = start_node(*options, script=False)
    start_plugin()
    node.wait_until(lambda: node.totals["delivered"].get("blockDisconnected", 0) >= 2, "a reorganisation")
    node.says("accept", 3)
    node.says("flush")
    node.wait_until(lambda: node.totals["delivered"].get("add", 0) >= 300, "the burst")


def test_initial_block_download_ends(start_node: StartNode) -> None:
    """--ibd S puts the headers far ahead and ends after S seconds."""
    node = start_node("--ibd", "1", "--block-interval", "0.1", script=False)
    during = node.says("listening")
    assert during["ibd"], "its time begins after that line"
    assert during["headers"] > during["height"]
    after = node.says("ibd_over")
    assert not after["ibd"]
    assert after["headers"] == after["height"]
