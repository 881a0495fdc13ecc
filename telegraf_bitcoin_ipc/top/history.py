"""One series over time: its pace, and the columns of a graph."""

from bisect import bisect_left
from itertools import pairwise
from typing import Final

KEPT_SECONDS: Final = 600.0
"""How far back a series goes: long enough for a steady pace of a synchronisation, and for the widest graph."""


class History:
    """Points of one series, the newest last; times are seconds of any one clock."""

    def __init__(self) -> None:
        """Begin without a point."""
        self._times: list[float] = []
        self._values: list[float] = []

    def add(self, time: float, value: float) -> None:
        """Take a point. One that is no later than the last replaces it; a clock set back begins anew."""
        if self._times and time < self._times[-1]:
            self._times.clear()
            self._values.clear()
        if self._times and time == self._times[-1]:
            self._values[-1] = value
            return
        self._times.append(time)
        self._values.append(value)
        old = bisect_left(self._times, time - KEPT_SECONDS)
        del self._times[:old], self._values[:old]

    def pace(self, seconds: float) -> float | None:
        """Return the increase per second over the newest `seconds` (or what there is); None with one point."""
        if len(self._times) < 2:
            return None
        end = self._times[-1]
        begin = max(end - seconds, self._times[0])
        return (self._values[-1] - self._at(begin)) / (end - begin)

    def paces(self, columns: int, step: float) -> list[float | None]:
        """Return the increase per second in each of the newest whole `columns` of `step` seconds, oldest first.

        Columns begin at multiples of `step`, so that they stay what they are. None where one begins before the
        first point.
        """
        edges = [self._edge(columns - column, step) for column in range(columns + 1)]
        return [None if old is None or new is None else (new - old) / step for old, new in pairwise(edges)]

    def span(self) -> float:
        """Return the seconds between the first point and the last."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    def _edge(self, steps: int, step: float) -> float | None:
        if not self._times:
            return None
        time = (self._times[-1] // step - steps) * step
        return self._at(time) if time >= self._times[0] else None

    def _at(self, time: float) -> float:
        """Return the value at a time within the points, on the straight line between two of them."""
        after = bisect_left(self._times, time)
        if self._times[after] == time:
            return self._values[after]
        t0, t1 = self._times[after - 1], self._times[after]
        v0, v1 = self._values[after - 1], self._values[after]
        return v0 + (v1 - v0) * (time - t0) / (t1 - t0)
