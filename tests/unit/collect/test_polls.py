"""Polls: one value that fails costs no other, and says so once; labels, running totals, once per tip."""

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count

import pytest

from telegraf_bitcoin_ipc.collect.dialect import RPC, Call, Source
from telegraf_bitcoin_ipc.collect.polls import Poller
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Number, Value
from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable, PartlyFailed

NOW = 1_700_000_000.5


def source_of(method: str, *metrics: str, once_per_tip: bool = False) -> Source:
    """Return a source whose call gives the values of some metrics."""
    return Source(Call(RPC, method, once_per_tip=once_per_tip), dict.fromkeys(metrics, lambda said: None))


@dataclass
class FakeNode:
    """A node that answers as `answers` says; a source that is not there fails, one that is in `partly` in part."""

    answers: dict[str, dict[str, Value]] = field(default_factory=dict)
    partly: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def read(self, source: Source) -> dict[str, Value]:
        self.asked.append(source.name)
        if source.name not in self.answers:
            raise CallFailed(f"{source.name}: no answer within 10 seconds")
        if source.name in self.partly:
            raise PartlyFailed(f"{source.name}: the answer is malformed", self.answers[source.name])
        return self.answers[source.name]


class FakeClock:
    """A clock by which each look takes half a second."""

    def __init__(self) -> None:
        self.monotonic: Callable[[], float] = count(100, 0.5).__next__
        self.time: Callable[[], float] = lambda: NOW


HEIGHT = source_of("Chain.getHeight", "chain_height")
HEADERS = source_of("Node.getHeaderTip", "header_height")
BOTH = source_of("Node.both", "mempool_size", "mempool_bytes")
CONFIRMED = source_of("Node.confirmed", "mempool_tx_confirmed_total")
NETWORKS = source_of("getpeerinfo", "connections_by_network")
BYTES = source_of("getpeerinfo", "p2p_bytes_recv_total")
TIPS = source_of("getchaintips", "chain_tips", once_per_tip=True)
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

    def __init__(self, *groups: str, sources: Iterable[Source] = SOURCES) -> None:
        self.store = Store(groups)
        self._poller = Poller(self.store, FakeClock())
        self._sources = tuple(sources)

    def poll(self, node: FakeNode, tip: Hashable = None) -> dict[str, Value]:
        """Poll once, with that tip."""
        return asyncio.run(self._poller.poll(node, self._sources, lambda known: tip))

    def begin_session(self) -> None:
        """Begin with another node, or the same one again."""
        self.store.end_session()
        self._poller.begin_session()

    def tagged(self, metric: str) -> dict[str, Number]:
        """The values of a metric by its tag, those that are 0 left out."""
        return {tags[0][1]: value for name, tags, value in self.store.samples() if name == metric and value}

    @property
    def values(self) -> dict[str, Number]:
        """The values without tags."""
        return {name: value for name, tags, value in self.store.samples() if not tags}

    @property
    def errors(self) -> dict[str, Number]:
        """The failed polls by method; 0 for one that was asked and has not failed."""
        return {tags[0][1]: value for name, tags, value in self.store.samples() if name == "poll_errors_total"}


@pytest.fixture
def polled(caplog: pytest.LogCaptureFixture) -> Polled:
    """Return a poller that has not polled yet; all it logs is kept."""
    caplog.set_level(logging.DEBUG, logger="telegraf_bitcoin_ipc.collect.polls")
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
    problem = "Chain.getHeight fails: Chain.getHeight: no answer within 10 seconds"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", problem),
        ("DEBUG", problem),
        ("DEBUG", problem),
        ("INFO", "Chain.getHeight works again"),
        ("WARNING", problem),
    ]


def test_source_that_fails_in_part(polled: Polled, node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    """A value that cannot be read is absent, counted and warned of once; those of the same call are there."""
    polled.poll(node)
    node.partly.add("Node.both")
    node.answers["Node.both"] = {"mempool_size": 7}
    for failures in (1, 2):
        assert polled.poll(node) == {"chain_height": 120, "header_height": 121, "mempool_size": 7}
        assert polled.values["mempool_size"] == 7
        assert "mempool_bytes" not in polled.values
        assert polled.errors["Node.both"] == failures
    node.partly.clear()
    polled.poll(node)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Node.both fails: Node.both: the answer is malformed"),
        ("DEBUG", "Node.both fails: Node.both: the answer is malformed"),
        ("INFO", "Node.both works again"),
    ]


def test_a_part_is_an_answer(polled: Polled) -> None:
    """A node that answers in part only is up."""
    polled.poll(FakeNode({"Node.both": {"mempool_size": 7}}, partly={"Node.both"}))
    assert polled.values["up"] == 1


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
        async def read(self, source: Source) -> dict[str, Value]:
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


def test_labelled_values() -> None:
    """Values by network are shown as the last answer has them: a network without peers any more is gone."""
    polled, node = Polled("peers", sources=[NETWORKS]), FakeNode()
    node.answers["getpeerinfo"] = {"connections_by_network": {"ipv4": 3, "onion": 2}}
    polled.poll(node)
    assert polled.tagged("connections_by_network") == {"ipv4": 3, "onion": 2}
    node.answers["getpeerinfo"] = {"connections_by_network": {"ipv4": 4}}
    polled.poll(node)
    assert polled.tagged("connections_by_network") == {"ipv4": 4}
    del node.answers["getpeerinfo"]
    polled.poll(node)
    assert polled.tagged("connections_by_network") == {}


def test_tip_is_told_what_is_known_by_then() -> None:
    """What is asked once per tip can depend on what the same poll found before it."""
    seen: list[Mapping[str, Value]] = []

    def tip(known: Mapping[str, Value]) -> Hashable:
        seen.append(dict(known))
        return known["chain_height"]

    poller = Poller(Store(["chain"]), FakeClock())
    answers: dict[str, dict[str, Value]] = {
        "Chain.getHeight": {"chain_height": 7},
        "getchaintips": {"chain_tips": {"active": 1}},
    }
    known = asyncio.run(poller.poll(FakeNode(answers), [HEIGHT, TIPS], tip))
    assert seen == [{"chain_height": 7}]
    assert known == {"chain_height": 7, "chain_tips": {"active": 1}}


@pytest.fixture
def tips() -> FakeNode:
    """Return a node with one chain tip."""
    return FakeNode({"getchaintips": {"chain_tips": {"active": 1}}})


def test_once_per_tip(tips: FakeNode) -> None:
    """What changes with the tip only is asked once for each tip, and shown all the while."""
    polled = Polled("chain", sources=[TIPS])
    for tip in (1, 1, 1, 2, 2, 1):
        polled.poll(tips, tip)
        assert polled.tagged("chain_tips") == {"active": 1}
    assert len(tips.asked) == 3


def test_not_without_a_tip(tips: FakeNode) -> None:
    """While there is no tip to speak of (blocks are downloaded) it is not asked, and counts as no failure."""
    polled = Polled("chain", sources=[TIPS])
    polled.poll(tips)
    assert (tips.asked, polled.errors) == ([], {})


def test_failure_is_asked_again_at_the_same_tip(tips: FakeNode) -> None:
    """A call that failed is not left out until the next tip."""
    polled, answers = Polled("chain", sources=[TIPS]), tips.answers
    tips.answers = {}
    polled.poll(tips, 1)
    tips.answers = answers
    polled.poll(tips, 1)
    polled.poll(tips, 1)
    assert len(tips.asked) == 2
    assert polled.tagged("chain_tips") == {"active": 1}


def test_new_session_asks_again_at_the_same_tip(tips: FakeNode) -> None:
    """What the last session's node told is not taken for known in the next."""
    polled = Polled("chain", sources=[TIPS])
    polled.poll(tips, 1)
    polled.begin_session()
    assert polled.tagged("chain_tips") == {}
    polled.poll(tips, 1)
    assert polled.tagged("chain_tips") == {"active": 1}


class Peers(FakeNode):
    """A node whose peers have sent bytes of `tx` and `inv`."""

    def __init__(self) -> None:
        super().__init__()
        self.polled = Polled("peers", sources=[BYTES])

    def received(self, **by_peer: tuple[int, int]) -> dict[str, Number]:
        """Return the counts after a poll at which each peer (named p<id>) has sent so much, ever."""
        totals = {
            (int(peer[1:]), message): number
            for peer, numbers in by_peer.items()
            for message, number in zip(("tx", "inv"), numbers, strict=True)
        }
        self.answers["getpeerinfo"] = {"p2p_bytes_recv_total": totals}
        self.polled.poll(self)
        return self.polled.tagged("p2p_bytes_recv_total")


def test_first_look_counts_nothing() -> None:
    """What came before the plugin looked is not counted as if it had come at once; the series begin at 0."""
    peers = Peers()
    assert peers.received(p0=(500, 70)) == {}
    samples = [sample for sample in peers.polled.store.samples() if sample.name == "p2p_bytes_recv_total"]
    assert {value for _, _, value in samples} == {0}
    assert ("message", "tx") in {tag for _, tags, _ in samples for tag in tags}


def test_increase_is_counted() -> None:
    """From the first look on every byte counts, by message, over all peers."""
    peers = Peers()
    peers.received(p0=(500, 70), p1=(10, 0))
    assert peers.received(p0=(600, 70), p1=(11, 5)) == {"tx": 101, "inv": 5}
    assert peers.received(p0=(600, 71), p1=(11, 5)) == {"tx": 101, "inv": 6}


def test_new_peer_counts_whole() -> None:
    """A peer that has come since the last look brings all its bytes with it."""
    peers = Peers()
    peers.received(p0=(500, 70))
    assert peers.received(p0=(500, 70), p1=(40, 2)) == {"tx": 40, "inv": 2}


def test_leaving_peer_takes_nothing_away() -> None:
    """The counter never falls, and a peer of another id is another peer."""
    peers = Peers()
    peers.received(p0=(0, 0))
    peers.received(p0=(500, 70))
    assert peers.received(p1=(1, 0)) == {"tx": 501, "inv": 70}


def test_totals_that_fall_count_nothing() -> None:
    """Should the node ever count backwards, the counter stays where it is."""
    peers = Peers()
    peers.received(p0=(500, 70))
    assert peers.received(p0=(400, 71)) == {"inv": 1}


def test_first_look_without_peers() -> None:
    """Where there was no peer at the first look, the first one that comes counts whole."""
    peers = Peers()
    assert peers.received() == {}
    assert peers.received(p0=(500, 70)) == {"tx": 500, "inv": 70}
    assert peers.received() == {"tx": 500, "inv": 70}


def test_failed_look_counts_later() -> None:
    """What came while the node did not answer counts at the next look, once, and what was counted stays."""
    peers = Peers()
    peers.received(p0=(500, 0))
    del peers.answers["getpeerinfo"]
    peers.polled.poll(peers)
    assert peers.received(p0=(510, 0)) == {"tx": 10}


def test_first_look_of_each_session() -> None:
    """After a restart of the node peers have their ids anew: what is found first counts as nothing again."""
    peers = Peers()
    peers.received(p0=(500, 70))
    peers.received(p0=(510, 70))
    peers.polled.begin_session()
    assert peers.received(p0=(5000, 0)) == {"tx": 10}
    assert peers.received(p0=(5001, 0)) == {"tx": 11}
