"""One series over time: its rate, and its graph."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

KEPT_SECONDS: Final = 600.0
"""Age of the oldest point: enough for a steady estimate of a download, and for the widest graph."""

BARS: Final = "▁▂▃▄▅▆▇█"


class History:
    """Points (time, value) of one series in order of time; times are seconds of any one clock."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []

    def add(self, time: float, value: float) -> None:
        """Add a point; it replaces one of the same time. A clock that was set back clears the series."""
        if self._points and time < self._points[-1][0]:
            self._points.clear()
        if self._points and time == self._points[-1][0]:
            self._points.pop()
        self._points.append((time, value))
        del self._points[: bisect_left(self._points, (time - KEPT_SECONDS,))]

    def pace(self, seconds: float) -> float | None:
        """Return the increase per second over the last `seconds`, or over all points if they span less.

        None with fewer than two points.
        """
        if len(self._points) < 2:
            return None
        end, value = self._points[-1]
        begin = max(end - seconds, self._points[0][0])
        return (value - self._at(begin)) / (end - begin)

    def paces(self, columns: int, step: float) -> list[float | None]:
        """Return the increase per second in each of the last `columns` of `step` seconds, oldest first.

        Columns begin at multiples of `step`, so that a graph moves without changing. None for a column that
        begins before the first point.
        """
        if not self._points:
            return [None] * columns
        last = self._points[-1][0] // step
        edges = [(last - column) * step for column in range(columns, -1, -1)]
        return [
            (self._at(end) - self._at(begin)) / step if begin >= self._points[0][0] else None
            for begin, end in pairwise(edges)
        ]

    def span(self) -> float:
        """Return the seconds between the first point and the last."""
        return self._points[-1][0] - self._points[0][0] if self._points else 0.0

    def _at(self, time: float) -> float:
        """Return the value at a time between the first point and the last, by linear interpolation."""
        after = bisect_left(self._points, (time,))
        (t0, v0), (t1, v1) = self._points[max(after - 1, 0)], self._points[after]
        return v1 if t1 == time else v0 + (v1 - v0) * (time - t0) / (t1 - t0)


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character per value: a blank for None, the lowest bar for 0 and below.

    The highest bar is the largest value; anything above 0 is higher than the lowest bar.
    """
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(" " if value is None else _bar(value, top) for value in values)


def _bar(value: float, top: float) -> str:
    return BARS[max(1, round(value / top * (len(BARS) - 1)))] if value > 0 else BARS[0]
