"""telegraf_bitcoin_ipc.top.model: values, paces, the estimate and reasons, from samples over time."""

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
    """Without a node there is no value, pace or height; another kind of node does not show the last one's."""
    watched = Watched()
    watched.take(mempool_tx_added_total=1, chain_height=100, utxo_cache_add_total=8)
    model = watched.take(mempool_tx_added_total=5, chain_height=100)
    watched.end()
    names = ("mempool_tx_added_total", "utxo_cache_add_total")
    assert (model.node, model.height) == (None, None)
    assert [(model.value(name), model.pace(name)) for name in names] == [(None, None)] * 2
    watched.begin(STOCK)
    watched.take()
    for name in names:
        assert (model.value(name), model.why_absent(name), model.pace(name)) == (None, NOT_OFFERED, None)


def test_a_session_after_another_begins_anew() -> None:
    """What came between two sessions is no pace, even if no sample was taken while there was none."""
    watched = Watched()
    watched.take(mempool_tx_added_total=1)
    watched.take(mempool_tx_added_total=2)
    watched.begin(TRACING)
    assert watched.take(mempool_tx_added_total=1000).pace("mempool_tx_added_total") is None


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


@pytest.mark.parametrize(
    ("dialect", "groups", "trace_wanted", "name", "reason"),
    [
        (TRACING, (), True, "fee_estimate_sat_per_vb", NOT_CHOSEN),
        (TRACING, DEFAULT_GROUPS, False, "utxo_cache_add_total", NOT_TRACED),
        (STOCK, DEFAULT_GROUPS, False, "utxo_cache_add_total", NOT_OFFERED),
        (STOCK_31, DEFAULT_GROUPS, True, "peers", NOT_OFFERED),
    ],
)
def test_an_option_is_a_reason_of_its_own(
    dialect: Dialect, groups: tuple[str, ...], trace_wanted: bool, name: str, reason: str
) -> None:
    """Who left out a group or the trace reads that, unless the node does not offer it anyway."""
    assert Watched(dialect, groups, trace_wanted=trace_wanted).take().why_absent(name) == reason


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
    assert (model.synced(), model.seconds_to_sync()) == (0.25, 150)


@pytest.mark.parametrize(
    ("dialect", "name", "before", "later", "synced"),
    [
        (TRACING, "verification_progress", 0.3, 0.3, 0.3),
        (TRACING, "verification_progress", 0.3, 0.2, 0.2),
        (STOCK_31, "chain_height", 10, 20, None),  # neither progress nor headers
    ],
)
def test_without_a_pace_or_a_goal_there_is_no_estimate(
    dialect: Dialect, name: str, before: float, later: float, synced: float | None
) -> None:
    """A download that stands still, or goes back, gets no figure, nor one of unknown length."""
    watched = Watched(dialect)
    watched.take(ibd=1, **{name: before})
    model = watched.take(60, **{name: later})
    assert (model.synced(), model.seconds_to_sync()) == (synced, None)
