"""How much is measured; figures, their targets, and the arithmetic on them."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

GROSS = 2.0
"""How many times its target a figure may be before the short form calls it a step back."""

RATIO = "ratio"

RATE = 1_000
"""Transactions a second."""


@dataclass(frozen=True)
class Scale:
    """Numbers of rounds, events and seconds."""

    rounds: int
    burst: int  # UTXO events
    blocks: int  # blockConnected calls in a round
    rate_seconds: float  # of transactions at RATE, over all rounds
    idle_seconds: float
    starts: int
    polls: int
    bursts: int  # for the growth of memory
    emissions: int
    spin_ends: int
    whole: bool  # what takes minutes: an hour's worth of events, how costs grow


FULL = Scale(5, 50_000, 40, 30.0, 10.0, 9, 15, 10, 300, 100, whole=True)
SHORT = Scale(3, 2_000, 5, 1.5, 1.0, 2, 4, 0, 50, 20, whole=False)


@dataclass(frozen=True)
class Figure:
    """One line of the table; without a target it is for comparison only.

    `value` is a number, or a text where the line says what the run was made on. Smaller is better.
    """

    name: str
    value: float | str
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return None if self.target is None else isinstance(self.value, float) and self.value <= self.target

    @property
    def gross(self) -> bool:
        """Whether this is a gross step back: a ratio of more than twice its target."""
        if self.unit != RATIO or self.target is None or isinstance(self.value, str):
            return False
        return self.value > GROSS * self.target

    def as_object(self) -> dict[str, object]:
        """Return it as in results.json."""
        return asdict(self) | {"met": self.met}


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that `part` (0 to 1) of the values do not exceed: the nearest rank."""
    ranked = sorted(values)
    return ranked[max(math.ceil(part * len(ranked)) - 1, 0)]


def ratio(rounds: Sequence[float], of: Sequence[float]) -> float:
    """Return the median of the ratios of two subjects, round by round: drift falls on both sides of each."""
    return statistics.median(mine / its for mine, its in zip(rounds, of, strict=True))


def steps(moments: Sequence[int]) -> list[float]:
    """Return the times between moments in nanoseconds, in microseconds."""
    return [(end - begin) / 1e3 for begin, end in pairwise(moments)]


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the exponent of growth: the least-squares slope of both logarithms; 1 is linear, 0 constant."""
    return statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    ).slope
