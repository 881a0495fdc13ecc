"""A node with a busy mempool and two programs that watch it, in simulated time: what both their pages show."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import NamedTuple

from telegraf_bitcoin_ipc.parity.exposition import Page, Sample
from telegraf_bitcoin_ipc.parity.looks import Look

STEPS = 10
"""Steps of the simulation in a second."""

SECONDS = 400

BLOCK_SECONDS = 40

EMIT_INTERVAL = 10

FLUSH_SECONDS = 1.5
"""The longest time from an emission to Telegraf's page."""


class Moment(NamedTuple):
    """What there is to see of the node; the last three are totals."""

    size: int
    usage: int
    transactions: int
    coins: int
    value: int


@cache
def life(seed: int) -> list[Moment]:
    """A mempool that fills by up to 300 transactions a second, of which blocks take most, step by step."""
    random = Random(seed)
    rate, size, transactions, coins, value = random.uniform(50, 300), 2000, 0, 0, 0
    moments = []
    for _ in range(SECONDS * STEPS):
        accepted = max(0, round(random.gauss(rate, rate / 2) / STEPS))
        taken = round(size * random.uniform(0.3, 0.8)) if random.random() < 1 / (BLOCK_SECONDS * STEPS) else 0
        size, transactions = size + accepted - taken, transactions + accepted
        created = accepted + 2 * taken
        coins, value = coins + created, value + round(created * 10_000 * random.paretovariate(1.1))
        moments.append(Moment(size, 1500 * size, transactions, coins, value))
    return moments


class Pair:
    """Both pages at any time, for an exporter that polls at an interval, at other moments than the plugin.

    `polled` and `counted` are the names there of what it polls and counts, with the field of Moment;
    `wrong` multiplies one of them.
    """

    def __init__(
        self,
        seed: int,
        old_interval: float,
        polled: Mapping[str, str],
        counted: Mapping[str, str],
        *,
        poll_interval: float = 5,
        wrong: tuple[str, float] = ("", 1),
    ) -> None:
        self._random = Random(seed)
        self._life = life(seed)
        self._old_interval, self._poll_interval = max(old_interval, 1 / STEPS), poll_interval
        self._polled, self._counted, self._wrong = polled, counted, wrong
        self._old_phase, self._poll_phase, self._emit_phase = (
            self._random.uniform(0, interval) for interval in (self._old_interval, poll_interval, EMIT_INTERVAL)
        )
        self._flushes = [self._random.uniform(0, FLUSH_SECONDS) for _ in range(SECONDS)]
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        """Let time pass, and a little more, as on a busy machine."""
        self.now += seconds + self._random.uniform(0, 0.3)

    def clock(self) -> float:
        """The time."""
        return self.now

    def look(self) -> Look:
        """Both pages now; fetching takes its time."""
        self.now += self._random.uniform(0.01, 0.2)
        return Look(self.now, self._old(), self._new())

    def _old(self) -> Page:
        polled = self._at(_last(self.now, self._old_interval, self._old_phase))
        figures = {name: getattr(polled, field) for name, field in self._polled.items()}
        figures |= {name: getattr(self._at(self.now), field) for name, field in self._counted.items()}
        name, factor = self._wrong
        return tuple(
            Sample(each, {}, figure * (factor if each == name else 1)) for each, figure in figures.items()
        )

    def _new(self) -> Page:
        emitted = _last(self.now, EMIT_INTERVAL, self._emit_phase)
        if emitted + self._flushes[int(emitted)] > self.now:
            emitted -= EMIT_INTERVAL
        polled_at = _last(emitted, self._poll_interval, self._poll_phase)
        polled, counted = self._at(polled_at), self._at(emitted)
        figures = {
            "plugin_info": 1,
            "last_poll_timestamp_seconds": 1.7e9 + polled_at,
            "mempool_size": polled.size,
            "mempool_bytes": polled.usage,
            "mempool_tx_added_total": counted.transactions,
            "utxo_cache_add_total": counted.coins,
            "utxo_cache_add_value_total": counted.value,
        }
        return tuple(Sample(f"bitcoin_{name}", {}, figure) for name, figure in figures.items())

    def _at(self, second: float) -> Moment:
        return self._life[int(second * STEPS)]


def _last(now: float, interval: float, phase: float) -> float:
    """When it happened last what happens at an interval."""
    return phase + (now - phase) // interval * interval
