"""Polls: one value that fails costs no other, and says so once; labels, running totals, once per tip."""

import asyncio
import logging
from collections.abc import Callable, Iterable
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


class Polled:
    """A poller, its store, and the node that it polls.

    The node gives the `answers`, by source: one that is not there fails, and one that lacks a metric in part.
    """

    def __init__(self, *groups: str, sources: Iterable[Source] = SOURCES) -> None:
        self.store = Store(groups)
        self._poller = Poller(self.store, FakeClock())
        self._sources = tuple(sources)
        self.answers: dict[str, dict[str, Value]] = {}
        self.asked: list[str] = []
        self.lost = False
        self.tip: str | None = None

    async def read(self, source: Source) -> dict[str, Value]:
        """Answer as the node."""
        if self.lost:
            raise NodeUnavailable("the node closed the connection")
        self.asked.append(source.name)
        answer = self.answers.get(source.name)
        if answer is None:
            raise CallFailed(f"{source.name}: no answer within 10 seconds")
        if answer.keys() < source.values.keys():
            raise PartlyFailed(f"{source.name}: the answer is malformed", answer)
        return answer

    def poll(self) -> dict[str, Value]:
        """Poll once, with the node's tip: the height that the poll has found, unless it is said."""
        return asyncio.run(
            self._poller.poll(self, self._sources, lambda known: known.get("chain_height", self.tip))
        )

    def begin_session(self) -> None:
        """Begin with another node, or the same one again."""
        self.store.end_session()
        self._poller.begin_session()

    def tagged(self, metric: str) -> dict[str, Number]:
        """The values of a metric by its tag."""
        return {tags[0][1]: value for name, tags, value in self.store.samples() if name == metric}

    @property
    def values(self) -> dict[str, Number]:
        """The values without tags."""
        return {name: value for name, tags, value in self.store.samples() if not tags}

    @property
    def errors(self) -> dict[str, Number]:
        """The failed polls by method; 0 for one that was asked and has not failed."""
        return self.tagged("poll_errors_total")


@pytest.fixture
def polled(caplog: pytest.LogCaptureFixture) -> Polled:
    """Return a poller that has not polled yet, of a node that answers everything; all it logs is kept."""
    caplog.set_level(logging.DEBUG, logger="telegraf_bitcoin_ipc.collect.polls")
    polled = Polled()
    polled.answers = {
        "Chain.getHeight": {"chain_height": 120},
        "Node.getHeaderTip": {"header_height": 121},
        "Node.both": {"mempool_size": 0, "mempool_bytes": 1024},
    }
    return polled


def test_values(polled: Polled) -> None:
    """Everything the node told is there, an empty mempool as 0, with the time and the duration of the poll.

    Each method has a count of its failures, which begins at 0. A group that is off costs the node no call.
    """
    told = {"chain_height": 120, "header_height": 121, "mempool_size": 0, "mempool_bytes": 1024}
    assert polled.poll() == told
    assert polled.values == told | {
        "up": 1,
        "poll_duration_seconds": 0.5,
        "last_poll_timestamp_seconds": NOW,
    }
    assert polled.asked == ["Chain.getHeight", "Node.getHeaderTip", "Node.both"]
    assert polled.errors == dict.fromkeys(polled.asked, 0)


def test_value_that_the_node_does_not_have(polled: Polled) -> None:
    """Where the node says that there is no value, the metric is absent, and nothing has failed."""
    polled.poll()
    polled.answers["Chain.getHeight"] = {"chain_height": None}
    assert "chain_height" not in polled.poll()
    assert "chain_height" not in polled.values
    assert polled.values["up"] == 1
    assert polled.errors["Chain.getHeight"] == 0


@pytest.mark.parametrize(
    ("part", "why"), [({}, "no answer within 10 seconds"), ({"mempool_size": 7}, "the answer is malformed")]
)
def test_source_that_fails(
    polled: Polled, part: dict[str, Value], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that fails, or a part of it, makes its own values absent instead of stale, and no other.

    It is counted each time, and is one warning per outage, then debug, and an info when it is back.
    """
    polled.poll()
    answer = polled.answers.pop("Node.both")
    if part:
        polled.answers["Node.both"] = part
    polled.answers["Node.getHeaderTip"] = {"header_height": 122}
    for failures in (1, 2, 3):
        told = {"chain_height": 120, "header_height": 122, **part}
        assert polled.poll() == told
        assert polled.values.items() >= told.items()
        assert {"mempool_size", "mempool_bytes"} & polled.values.keys() == part.keys()
        assert polled.errors == {"Chain.getHeight": 0, "Node.getHeaderTip": 0, "Node.both": failures}
    polled.answers["Node.both"] = answer
    polled.poll()
    polled.poll()
    del polled.answers["Node.both"]
    polled.poll()
    problem = f"Node.both fails: Node.both: {why}"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", problem),
        ("DEBUG", problem),
        ("DEBUG", problem),
        ("INFO", "Node.both works again"),
        ("WARNING", "Node.both fails: Node.both: no answer within 10 seconds"),
    ]


@pytest.mark.parametrize(
    ("answers", "up"),
    [({}, 0), ({"Node.getHeaderTip": {"header_height": 1}}, 1), ({"Node.both": {"mempool_size": 7}}, 1)],
)
def test_up(polled: Polled, answers: dict[str, dict[str, Value]], up: int) -> None:
    """One answer, or a part of one, is enough; a node that answers no question is not up, though connected."""
    polled.answers = answers
    polled.poll()
    assert polled.values["up"] == up


def test_lost_node_ends_the_poll(polled: Polled) -> None:
    """A lost connection is not taken for one failing value after another."""
    polled.poll()
    polled.lost = True
    with pytest.raises(NodeUnavailable):
        polled.poll()
    assert set(polled.errors.values()) == {0}
    assert polled.values["up"] == 1, "the session's end says that it is down"


def test_labelled_values() -> None:
    """Values by network are shown as the last answer has them: a network without peers any more is gone."""
    polled = Polled("peers", sources=[NETWORKS])
    for said in ({"ipv4": 3, "onion": 2}, {"ipv4": 4}, {}):
        polled.answers = {"getpeerinfo": {"connections_by_network": said}} if said else {}
        polled.poll()
        assert polled.tagged("connections_by_network") == said


def test_tip_is_told_what_is_known_by_then() -> None:
    """What is asked once per tip can depend on what the same poll found before it."""
    polled = Polled("chain", sources=[HEIGHT, TIPS])
    polled.answers["getchaintips"] = {"chain_tips": {"active": 1}}
    for height in (7, 7, 8):
        polled.answers["Chain.getHeight"] = {"chain_height": height}
        polled.poll()
    assert polled.asked == [HEIGHT.name, TIPS.name, HEIGHT.name, HEIGHT.name, TIPS.name]


@pytest.mark.parametrize(
    ("story", "calls"),
    [
        # What changes with the tip only is asked once for each tip, and shown all the while.
        ("1 1 1 2 2 1", 3),
        # While there is no tip to speak of (blocks are downloaded) it is not asked.
        ("none none", 0),
        # A call that failed is not left out until the next tip.
        ("fails 1 works 1 1", 2),
        # What the last session's node told is not taken for known in the next.
        ("1 restart 1", 2),
    ],
)
def test_once_per_tip(story: str, calls: int) -> None:
    """A call that is made once per tip, at polls with one tip after another."""
    polled = Polled("chain", sources=[TIPS])
    answer: dict[str, Value] = {"chain_tips": {"active": 1}}
    polled.answers["getchaintips"] = answer
    for step in story.split():
        match step:
            case "fails":
                polled.answers.clear()
            case "works":
                polled.answers["getchaintips"] = answer
            case "restart":
                polled.begin_session()
                assert polled.tagged("chain_tips") == {}
            case _:
                polled.tip = None if step == "none" else step
                polled.poll()
                shown = polled.answers and polled.tip
                assert polled.tagged("chain_tips") == ({"active": 1} if shown else {})
    assert len(polled.asked) == calls
    assert sum(polled.errors.values()) == story.count("fails")


@pytest.mark.parametrize(
    "looks",
    [
        # From the first look on every byte counts, by message, over all peers.
        [
            ({0: (500, 70), 1: (10, 0)}, (0, 0)),
            ({0: (600, 70), 1: (11, 5)}, (101, 5)),
            ({0: (600, 71), 1: (11, 5)}, (101, 6)),
        ],
        # A peer that has come since the last look brings all its bytes with it.
        [({0: (500, 70)}, (0, 0)), ({0: (500, 70), 1: (40, 2)}, (40, 2))],
        # The counter never falls, and a peer of another id is another peer.
        [({0: (0, 0)}, (0, 0)), ({0: (500, 70)}, (500, 70)), ({1: (1, 0)}, (501, 70))],
        # Should the node ever count backwards, the counter stays where it is.
        [({0: (500, 70)}, (0, 0)), ({0: (400, 71)}, (0, 1))],
        # Where there was no peer at the first look, the first one that comes counts whole.
        [({}, (0, 0)), ({0: (500, 70)}, (500, 70)), ({}, (500, 70))],
        # What came while the node did not answer counts at the next look, once, and what was counted stays.
        [({0: (500, 0)}, (0, 0)), ({0: (505, 0)}, (5, 0)), ("fails", (5, 0)), ({0: (510, 0)}, (10, 0))],
        # After a restart of the node peers have their ids anew: what is found first counts as nothing again.
        [
            ({0: (500, 70)}, (0, 0)),
            ({0: (510, 70)}, (10, 0)),
            ("restart", (10, 0)),
            ({0: (5000, 0)}, (10, 0)),
            ({0: (5001, 0)}, (11, 0)),
        ],
    ],
)
def test_bytes_of_peers(looks: list[tuple[dict[int, tuple[int, int]] | str, tuple[int, int]]]) -> None:
    """Each look finds the bytes of `tx` and `inv` that each peer has sent, ever.

    What came before the first look is not counted as if it had come at once: every message's series begins at 0.
    """
    polled = Polled("peers", sources=[BYTES])
    for said, counted in looks:
        polled.answers.clear()
        if isinstance(said, dict):
            totals = {
                (peer, name): n for peer, (tx, inv) in said.items() for name, n in (("tx", tx), ("inv", inv))
            }
            polled.answers["getpeerinfo"] = {"p2p_bytes_recv_total": totals}
        polled.begin_session() if said == "restart" else polled.poll()
        values = polled.tagged("p2p_bytes_recv_total")
        assert (values.pop("tx"), values.pop("inv")) == counted
        assert set(values.values()) == {0}
