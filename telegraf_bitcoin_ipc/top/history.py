"""One series over time: its rate, and the columns of its graph."""

from bisect import bisect_left
from itertools import pairwise
from typing import Final

KEPT_SECONDS: Final = 600.0
"""Age of the oldest point: enough for a steady estimate of a download, and for the widest graph."""


class History:
    """Points of one series in order of time; times are seconds of any one clock."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: list[float] = []

    def add(self, time: float, value: float) -> None:
        """Add a point; it replaces one of the same time. A clock that was set back clears the series."""
        if self._times and time < self._times[-1]:
            self._times, self._values = [], []
        if self._times and time == self._times[-1]:
            self._values[-1] = value
            return
        self._times.append(time)
        self._values.append(value)
        old = bisect_left(self._times, time - KEPT_SECONDS)
        del self._times[:old], self._values[:old]

    def pace(self, seconds: float) -> float | None:
        """Return the increase per second over the last `seconds`, or the whole series if it is shorter.

        None with fewer than two points.
        """
        if len(self._times) < 2:
            return None
        end = self._times[-1]
        begin = max(end - seconds, self._times[0])
        return (self._values[-1] - self._at(begin)) / (end - begin)

    def paces(self, columns: int, step: float) -> list[float | None]:
        """Return the increase per second in each of the last `columns` of `step` seconds, oldest first.

        Columns begin at multiples of `step`, so that a graph moves without changing. None for a column that
        begins before the first point.
        """
        if not self._times:
            return [None] * columns
        last = self._times[-1] // step
        edges = [(last - column) * step for column in range(columns, -1, -1)]
        return [
            (self._at(end) - self._at(begin)) / step if begin >= self._times[0] else None
            for begin, end in pairwise(edges)
        ]

    def span(self) -> float:
        """Return the seconds between the first point and the last."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    def _at(self, time: float) -> float:
        """Return the value at a time between the first point and the last, by linear interpolation."""
        after = bisect_left(self._times, time)
        t1, v1 = self._times[after], self._values[after]
        if t1 == time:
            return v1
        t0, v0 = self._times[after - 1], self._values[after - 1]
        return v0 + (v1 - v0) * (time - t0) / (t1 - t0)
