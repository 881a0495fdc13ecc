"""Polls: one value that fails costs no other, and says so once."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

import pytest

from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable
from telegraf_bitcoin_ipc.polls import Poller
from telegraf_bitcoin_ipc.store import Number, Store

NOW = 1_700_000_000.5


@dataclass(frozen=True)
class FakeSource:
    """A call that gives the values of some metrics."""

    name: str
    values: Mapping[str, object]


@dataclass
class FakeNode:
    """A node that answers as `answers` says; a source that is not there fails."""

    answers: dict[str, dict[str, Number | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def read(self, source: FakeSource) -> dict[str, Number | None]:
        self.asked.append(source.name)
        if source.name not in self.answers:
            raise CallFailed(f"{source.name}: no answer within 10 seconds")
        return self.answers[source.name]


class FakeClock:
    """A clock by which each look takes half a second."""

    def __init__(self) -> None:
        self.monotonic: Callable[[], float] = count(100, 0.5).__next__
        self.time: Callable[[], float] = lambda: NOW


HEIGHT = FakeSource("Chain.getHeight", {"chain_height": None})
HEADERS = FakeSource("Node.getHeaderTip", {"header_height": None})
BOTH = FakeSource("Node.both", {"mempool_size": None, "mempool_bytes": None})
CONFIRMED = FakeSource("Node.confirmed", {"mempool_tx_confirmed_total": None})
SOURCES = (HEIGHT, HEADERS, BOTH, CONFIRMED)


@pytest.fixture
def node() -> FakeNode:
    """Return a node that answers everything."""
    return FakeNode(
        {
            "Chain.getHeight": {"chain_height": 120},
            "Node.getHeaderTip": {"header_height": 121},
            "Node.both": {"mempool_size": 0, "mempool_bytes": 1024},
        }
    )


class Polled:
    """A poller, its store and what can be seen of them."""

    def __init__(self) -> None:
        self.store = Store()
        self._poller = Poller(self.store, FakeClock())

    def poll(self, node: FakeNode) -> dict[str, Number]:
        """Poll once."""
        return asyncio.run(self._poller.poll(node, SOURCES))

    @property
    def values(self) -> dict[str, Number]:
        """The values without tags."""
        return {name: value for name, tags, value in self.store.samples() if not tags}

    @property
    def errors(self) -> dict[str, Number]:
        """The failed polls by method."""
        return {tags[0][1]: value for name, tags, value in self.store.samples() if name == "poll_errors_total"}


@pytest.fixture
def polled(caplog: pytest.LogCaptureFixture) -> Polled:
    """Return a poller that has not polled yet; all it logs is kept."""
    caplog.set_level(logging.DEBUG, logger="telegraf_bitcoin_ipc.polls")
    return Polled()


def test_values(polled: Polled, node: FakeNode) -> None:
    """Everything the node told is there, an empty mempool as 0, with the time and the duration of the poll."""
    told = {"chain_height": 120, "header_height": 121, "mempool_size": 0, "mempool_bytes": 1024}
    assert polled.poll(node) == told
    assert polled.values == told | {
        "up": 1,
        "poll_duration_seconds": 0.5,
        "last_poll_timestamp_seconds": NOW,
    }


def test_value_that_the_node_does_not_have(polled: Polled, node: FakeNode) -> None:
    """Where the node says that there is no value, the metric is absent, and nothing has failed."""
    polled.poll(node)
    node.answers["Chain.getHeight"] = {"chain_height": None}
    assert "chain_height" not in polled.poll(node)
    assert "chain_height" not in polled.values
    assert polled.values["up"] == 1
    assert polled.errors["Chain.getHeight"] == 0


def test_source_that_fails(polled: Polled, node: FakeNode) -> None:
    """A call that fails makes its own values absent instead of stale, and leaves the others alone."""
    polled.poll(node)
    del node.answers["Node.both"]
    node.answers["Node.getHeaderTip"] = {"header_height": 122}
    assert polled.poll(node) == {"chain_height": 120, "header_height": 122}
    assert {"mempool_size", "mempool_bytes"}.isdisjoint(polled.values)
    assert polled.values["header_height"] == 122
    assert polled.values["up"] == 1


def test_errors_are_counted(polled: Polled, node: FakeNode) -> None:
    """Each method has a count of its failures, which begins at 0 with its first poll."""
    polled.poll(node)
    assert polled.errors == {"Chain.getHeight": 0, "Node.getHeaderTip": 0, "Node.both": 0}
    del node.answers["Node.both"]
    polled.poll(node)
    polled.poll(node)
    assert polled.errors == {"Chain.getHeight": 0, "Node.getHeaderTip": 0, "Node.both": 2}


def test_warned_once(polled: Polled, node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    """A failing value is one warning per outage, then debug, and an info when it is back."""
    answer = node.answers.pop("Chain.getHeight")
    for _ in range(3):
        polled.poll(node)
    node.answers["Chain.getHeight"] = answer
    polled.poll(node)
    polled.poll(node)
    del node.answers["Chain.getHeight"]
    polled.poll(node)
    problem = "Chain.getHeight cannot be polled: Chain.getHeight: no answer within 10 seconds"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", problem),
        ("DEBUG", problem),
        ("DEBUG", problem),
        ("INFO", "Chain.getHeight can be polled again"),
        ("WARNING", problem),
    ]


def test_one_answer_is_enough(polled: Polled, node: FakeNode) -> None:
    """A node of whose calls all but one fail is up."""
    assert polled.poll(FakeNode({"Node.getHeaderTip": node.answers["Node.getHeaderTip"]}))
    assert polled.values["up"] == 1


def test_up_is_0_when_nothing_answers(polled: Polled) -> None:
    """A node that answers no question at all is not up, even while the connection stands."""
    assert polled.poll(FakeNode()) == {}
    assert polled.values["up"] == 0


def test_lost_node_ends_the_poll(polled: Polled, node: FakeNode) -> None:
    """A lost connection is not taken for one failing value after another."""

    class Lost(FakeNode):
        async def read(self, source: FakeSource) -> dict[str, Number | None]:
            if source is HEADERS:
                raise NodeUnavailable("the node closed the connection")
            return await super().read(source)

    lost = Lost(node.answers)
    with pytest.raises(NodeUnavailable):
        polled.poll(lost)
    assert lost.asked == ["Chain.getHeight"]
    assert polled.errors["Node.getHeaderTip"] == 0


def test_unwanted_source_is_not_asked(polled: Polled, node: FakeNode) -> None:
    """The node is spared a call whose only metrics are of a group that is off."""
    polled.poll(node)
    assert node.asked == ["Chain.getHeight", "Node.getHeaderTip", "Node.both"]
    assert "Node.confirmed" not in polled.errors
