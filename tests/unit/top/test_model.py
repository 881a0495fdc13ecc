"""telegraf_bitcoin_ipc.top.model: values, paces, the estimate and reasons, from samples over time."""

from collections.abc import Callable

import pytest

from telegraf_bitcoin_ipc.collect.dialect import Dialect, Reason
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS, STOCK, STOCK_31, TRACING
from telegraf_bitcoin_ipc.top.model import WORDS, Model

NOT_OFFERED = WORDS[Reason.NO_RPC]
NOT_CHOSEN, NOT_TRACED = WORDS[Reason.GROUP_OFF], WORDS[Reason.TRACE_OFF]
LATER, NOT_KNOWN = WORDS[Reason.DOWNLOADING], WORDS[Reason.NO_VALUE]

NOW = 1_700_000_000.0


class Watched:
    """A store as a watcher fills it, and the model that is made from it."""

    def __init__(self, dialect: Dialect = TRACING, groups: tuple[str, ...] = DEFAULT_GROUPS, **how: bool) -> None:
        self.store = Store(groups)
        self.model = Model(groups, **how)
        self.now = NOW
        self._sessions = 0
        self.begin(dialect)

    def begin(self, dialect: Dialect) -> None:
        """Begin a session with a node of a dialect, with all its subscriptions."""
        self._sessions += 1
        self.store.set("connects_total", self._sessions)
        self.store.set("node_info", 1, "/Satoshi:30.99.0/", "regtest", dialect.name)
        for subscription in dialect.subscriptions:
            self.store.set("subscription_active", 1, subscription)

    def end(self) -> None:
        """End the session."""
        self.store.end_session()
        for subscription in ("chain", "utxo_cache"):
            self.store.set("subscription_active", 0, subscription)
        self.take()

    def take(self, after: float = 1.0, **values: float) -> Model:
        """Let seconds pass and a poll come, with new values; return the model that has seen it."""
        self.now += after
        for name, value in values.items():
            self.store.set(name, value)
        self.store.set("last_poll_timestamp_seconds", self.now)
        self.model.take(self.store.samples(), self.now)
        return self.model


def test_a_counter_has_a_pace_from_its_second_sample_on() -> None:
    """Per second, over the newest ten seconds."""
    watched = Watched()
    assert watched.take(mempool_tx_added_total=100).pace("mempool_tx_added_total") is None
    assert watched.take(2, mempool_tx_added_total=110).pace("mempool_tx_added_total") == 5
    for _ in range(10):
        watched.take(mempool_tx_added_total=110)
    assert watched.model.pace("mempool_tx_added_total") == 0


def test_a_polled_counter_is_timed_by_its_polls() -> None:
    """Looking again before the next poll does not make it slower."""
    watched = Watched()
    watched.take(bytes_recv_total=1000)
    watched.take(5, bytes_recv_total=2000)
    watched.model.take(watched.store.samples(), watched.now + 4)
    assert watched.model.pace("bytes_recv_total") == 200


def test_a_session_that_ends_takes_everything_with_it() -> None:
    """Without a node there is no value, pace or height, not even of what the store goes on counting."""
    watched = Watched()
    watched.take(mempool_tx_added_total=1, chain_height=100)
    watched.take(mempool_tx_added_total=5, chain_height=100)
    watched.end()
    model = watched.model
    assert model.node is None
    assert model.height is None
    assert model.value("mempool_tx_added_total") is None
    assert model.pace("mempool_tx_added_total") is None


def test_a_session_after_another_begins_anew() -> None:
    """What came between two sessions is no pace, even if no sample was taken while there was none."""
    watched = Watched()
    watched.take(mempool_tx_added_total=1)
    watched.take(mempool_tx_added_total=2)
    watched.begin(TRACING)
    assert watched.take(mempool_tx_added_total=1000).pace("mempool_tx_added_total") is None


def test_what_another_kind_of_node_told_is_not_told_by_this_one() -> None:
    """A counter of the last node's dialect stays in the store, and is not shown as this node's."""
    watched = Watched()
    watched.take(mempool_tx_added_total=7, utxo_cache_add_total=8)
    watched.end()
    watched.begin(STOCK)
    model = watched.take()
    for name in ("mempool_tx_added_total", "utxo_cache_add_total"):
        assert (model.value(name), model.why_absent(name), model.pace(name)) == (None, NOT_OFFERED, None)


def test_the_height_is_the_one_that_changed_last() -> None:
    """A block is shown before the next poll; a block that was taken off, with none after it, at the next poll."""
    watched = Watched()
    assert watched.take(chain_height=100).height == 100
    assert watched.take(block_height=101).height == 101
    assert watched.take(chain_height=101).height == 101
    assert watched.take(chain_height=100).height == 100
    assert watched.take().height == 100


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_everything_absent_has_its_reason(dialect: Dialect) -> None:
    """What the dialect lacks is not offered by the node; anything else is only not known."""
    watched = Watched(dialect)
    model = watched.take()
    for name, origin in dialect.origins.items():
        if model.value(name) is None and watched.store.wants(name):
            assert model.why_absent(name) == (NOT_OFFERED if origin is None else NOT_KNOWN), name


REASONS: list[tuple[Callable[[], Watched], str, str]] = [
    (lambda: Watched(groups=()), "fee_estimate_sat_per_vb", NOT_CHOSEN),
    (lambda: Watched(trace_wanted=False), "utxo_cache_add_total", NOT_TRACED),
    (lambda: Watched(STOCK, trace_wanted=False), "utxo_cache_add_total", NOT_OFFERED),
    (lambda: Watched(STOCK_31), "peers", NOT_OFFERED),
]


@pytest.mark.parametrize(("make", "name", "reason"), REASONS)
def test_an_option_is_a_reason_of_its_own(make: Callable[[], Watched], name: str, reason: str) -> None:
    """Who left out a group or the trace reads that, unless the node does not offer it anyway."""
    assert make().take().why_absent(name) == reason


def test_in_a_download_the_trace_waits() -> None:
    """The coins cache is not traced before the download is over, and that is said."""
    watched = Watched()
    watched.store.set("subscription_active", 0, "utxo_cache")
    assert watched.take(ibd=1).why_absent("utxo_cache_add_total") == LATER
    assert watched.take(ibd=0).why_absent("utxo_cache_add_total") == NOT_KNOWN


def test_the_estimate_is_by_the_nodes_own_progress() -> None:
    """A tenth in 100 seconds: the other eight take 800 more. Before ten seconds there is none."""
    watched = Watched()
    watched.take(ibd=1, verification_progress=0.1)
    assert watched.take(5, verification_progress=0.105).seconds_to_sync() is None
    model = watched.take(95, verification_progress=0.2)
    assert model.synced() == pytest.approx(0.2)
    assert model.seconds_to_sync() == pytest.approx(800)


def test_without_progress_the_estimate_is_by_headers() -> None:
    """A node that does not tell its progress but its headers is estimated by blocks."""
    watched = Watched()
    watched.take(ibd=1, chain_height=0, header_height=1000)
    model = watched.take(50, chain_height=250)
    assert model.synced() == 0.25
    assert model.seconds_to_sync() == pytest.approx(150)


@pytest.mark.parametrize("later", [0.3, 0.2])
def test_there_is_no_estimate_of_what_does_not_move(later: float) -> None:
    """A download that stands still, or goes back, gets no figure."""
    watched = Watched()
    watched.take(ibd=1, verification_progress=0.3)
    assert watched.take(60, verification_progress=later).seconds_to_sync() is None


def test_a_node_of_heights_alone_has_no_estimate() -> None:
    """Where neither progress nor headers are told nobody knows how far it is."""
    watched = Watched(STOCK_31)
    watched.take(ibd=1, chain_height=10)
    model = watched.take(60, chain_height=20)
    assert model.synced() is None
    assert model.seconds_to_sync() is None
