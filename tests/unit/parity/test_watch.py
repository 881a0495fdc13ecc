"""Looks over a window in simulated time, and what the comparison says of healthy pairs and of others."""

from collections.abc import Callable

import pytest
from support.looks import page
from support.pair import Pair

from telegraf_bitcoin_ipc.errors import EndpointUnavailable
from telegraf_bitcoin_ipc.parity.compare import compare
from telegraf_bitcoin_ipc.parity.looks import Look, Record
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS
from telegraf_bitcoin_ipc.parity.watch import LEAD, LOOKS, PATIENCE, watch

SEEDS = range(6)

POLLED = {
    "ipc-exporter-rust": {"bitcoin_mempool_size": "size", "bitcoin_mempool_bytes": "usage"},
    "rpc_exporter": {"bitcoind_mempool_size": "size", "bitcoind_mempool_usage_bytes": "usage"},
    "usdt_exporter": {},
    "bitcoin-prometheus-exporter": {"bitcoin_mempool_size": "size", "bitcoin_mempool_usage": "usage"},
}
"""What each exporter polls of what the simulated pair shows."""

COUNTED = {
    "ipc-exporter-rust": {
        "bitcoin_mempool_tx_added_total": "transactions",
        "bitcoin_utxo_cache_add_total": "coins",
        "bitcoin_utxo_cache_add_value_total": "value",
    },
    "rpc_exporter": {},
    "usdt_exporter": {
        "bitcoind_mempool_added_total": "transactions",
        "bitcoind_utxocache_coins_added_total": "coins",
    },
    "bitcoin-prometheus-exporter": {},
}
"""What each counts."""

EACH = pytest.mark.parametrize("exporter", EXPORTERS)


def statuses(
    exporter: str, seed: int, window: float, poll_interval: float = 5, wrong: tuple[str, float] = ("", 1)
) -> dict[str, str]:
    """Return each metric's status for a simulated pair that is watched over a window."""
    known, names = EXPORTERS[exporter], (POLLED[exporter], COUNTED[exporter])
    pair = Pair(seed, known.poll_interval, *names, poll_interval=poll_interval, wrong=wrong)
    record = watch(pair.look, window, pair.clock, pair.sleep)
    return {finding.old: finding.verdict.status for finding in compare(known, record)}


@EACH
@pytest.mark.parametrize("poll_interval", [5, 60])
@pytest.mark.parametrize("window", [10, 80])
def test_healthy_pair_never_differs(exporter: str, poll_interval: float, window: float) -> None:
    """However fast the mempool turns over, and whenever both poll: what both see is the same node."""
    found = [statuses(exporter, seed, window, poll_interval) for seed in SEEDS]
    assert [each for each in found if "differs" in each.values()] == []


@EACH
def test_healthy_pair_is_equal_over_a_long_window(exporter: str) -> None:
    """A window that holds a poll of each side decides everything."""
    for seed in SEEDS:
        assert set(statuses(exporter, seed, 80).values()) == {"equal"}


GAUGES = [(exporter, name) for exporter, names in POLLED.items() for name in names]
COUNTERS = [(exporter, name) for exporter, names in COUNTED.items() for name in names]
WRONG = [*((*gauge, factor) for gauge in GAUGES for factor in (1000, 0.001)), *((*each, 0) for each in COUNTERS)]


def differing(exporter: str, name: str, factor: float) -> list[set[str]]:
    """What differs over a long window where one metric there is wrong by a factor, for each seed."""
    found = [statuses(exporter, seed, 80, wrong=(name, factor)) for seed in SEEDS]
    return [{name for name, status in each.items() if status == "differs"} for each in found]


@pytest.mark.parametrize(("exporter", "name", "factor"), WRONG)
def test_what_is_wrong_is_found(exporter: str, name: str, factor: float) -> None:
    """A gauge in another unit, however much it moves, and a counter that counts nothing; and nothing else."""
    assert differing(exporter, name, factor) == [{name}] * len(SEEDS)


@pytest.mark.parametrize(("exporter", "name"), COUNTERS)
def test_counter_that_misses_a_fifth_is_found(exporter: str, name: str) -> None:
    """A counter that misses a fifth differs, unless a burst at an end of the window may be the reason."""
    found = differing(exporter, name, 0.8)
    assert all(each <= {name} for each in found)
    assert found.count({name}) > len(SEEDS) / 2


class Scene:
    """A simulated clock, and pages that change as a function of it."""

    def __init__(self, changes: Callable[[float], int]) -> None:
        self.now, self._changes = 0.0, changes
        self.failing = False

    def look(self) -> Look:
        """Both pages now."""
        if self.failing:
            raise EndpointUnavailable("gone")
        return Look(self.now, page("a 1"), page(f"b {self._changes(self.now)}"))

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def clock(self) -> float:
        """The time."""
        return self.now

    def watch(self, window: float, begun: Callable[[], None] = lambda: None) -> Record:
        """Watch it."""
        return watch(self.look, window, self.clock, self.sleep, begun)


def test_window_begins_and_ends_with_an_emission() -> None:
    """Both ends are right after the new page has changed, with looks before each that are close to each other."""
    seen = Scene(lambda now: int(now // 10)).watch(25)
    begin = seen.window[0].at
    assert begin % 10 < 1
    assert seen.last.at % 10 < 1
    assert seen.seconds >= 25
    assert seen.looks[0].at <= begin - LEAD
    assert sum(seen.last.at - LEAD <= look.at for look in seen.looks) >= LEAD


def test_page_that_does_not_change_is_taken_as_it_is() -> None:
    """A quiet node does not hold the comparison up for ever."""
    seen = Scene(lambda _: 1).watch(10)
    assert 10 + LEAD + PATIENCE <= seen.seconds < 12 + LEAD + PATIENCE


def test_looks_do_not_become_many() -> None:
    """A window of a day costs the node and the memory no more looks within it than one of a minute."""
    seen = Scene(int).watch(86400)
    assert len([look for look in seen.looks if 100 < look.at < 86400]) <= LOOKS


def test_failed_look_within_the_window_is_left_out() -> None:
    """A failed look within the window is skipped: a short outage does not end a long comparison."""
    scene = Scene(int)

    def look() -> Look:
        scene.failing = 20 < scene.now < 40
        return scene.look()

    seen = watch(look, 60, scene.clock, scene.sleep)
    assert seen.seconds >= 60
    assert not any(20 < each.at < 40 for each in seen.looks)


def test_failed_look_at_an_end_is_told() -> None:
    """Without both ends there is nothing to compare."""
    scene = Scene(int)
    with pytest.raises(EndpointUnavailable):
        scene.watch(10, lambda: setattr(scene, "failing", True))
