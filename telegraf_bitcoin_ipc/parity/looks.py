"""The data of a comparison: looks at both pages over a window, and one metric's values over those looks."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT
from telegraf_bitcoin_ipc.parity.exposition import Page
from telegraf_bitcoin_ipc.parity.row import POLL_INTERVAL, Row

PREFIX: Final = f"{MEASUREMENT}_"

POLLED_AT: Final = f"{PREFIX}last_poll_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Look:
    """Both pages at the time `at`, in seconds of a monotonic clock; the new page is of one node."""

    at: float
    old: Page
    new: Page


@dataclass(frozen=True, slots=True)
class Record:
    """All looks in order; the window starts at index `begin` and ends with the last look.

    `late` is the longer of the gaps before the window's first and last look, in seconds: the new page may have
    changed that much earlier.
    """

    looks: Sequence[Look]
    begin: int = 0
    late: float = 0

    @property
    def window(self) -> Sequence[Look]:
        """The looks within the window, including both ends."""
        return self.looks[self.begin :]

    @property
    def last(self) -> Look:
        """The end of the window."""
        return self.looks[-1]

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.last.at - self.window[0].at

    @property
    def poll_interval(self) -> float:
        """Seconds between two polls of the plugin; a pessimistic guess if the window shows only one."""
        polls = sorted({sample.value for look in self.window for sample in look.new if sample.name == POLLED_AT})
        gaps = [later - earlier for earlier, later in pairwise(polls)]
        return max(gaps, default=max(POLL_INTERVAL, self.seconds if polls else 0))


@dataclass(frozen=True, slots=True)
class Series:
    """One metric's values on one page at each look of a record; None if absent."""

    times: Sequence[float]
    values: Sequence[float | None]
    begin: int = 0

    @property
    def known(self) -> list[float]:
        """The values within the window, without the absent ones."""
        return [value for value in self.values[self.begin :] if value is not None]

    @property
    def latest(self) -> float | None:
        """The last known value within the window."""
        return self.known[-1] if self.known else None

    def only(self, looks: Sequence[bool]) -> "Series":
        """Return a copy with only the values of the chosen looks."""
        chosen = [value if look else None for value, look in zip(self.values, looks, strict=True)]
        return replace(self, values=chosen)

    @property
    def counts(self) -> list[float]:
        """A counter's values at all looks; it counts as 0 while it is absent, before its first event."""
        return [value or 0 for value in self.values]

    @property
    def increase(self) -> float:
        """A counter's increase within the window."""
        return self.counts[-1] - self.counts[self.begin]

    @property
    def fell(self) -> bool:
        """Whether a counter decreased within the window, which means a restart."""
        counts = self.counts[self.begin :]
        return any(later < earlier for earlier, later in pairwise(counts))

    def increases(self, lag: float) -> tuple[float, float]:
        """Return the smallest and largest increase that a page up to `lag` seconds behind this one can show.

        The smallest misses the last `lag` seconds of the window; the largest includes `lag` seconds before it.
        """
        end, begin = self.counts[-1], self.counts[self.begin]
        least = self._count_at(self.times[-1] - lag, lag) - begin
        most = end - self._count_at(self.times[self.begin] - lag, lag)
        return least, most

    def _count_at(self, moment: float, near: float) -> float:
        """Return the value of a look up to `near` seconds before the moment, or else interpolate linearly."""
        counts, times = self.counts, self.times
        after = bisect_right(times, moment)
        if after and moment - times[after - 1] <= near:
            return counts[after - 1]
        start, first, last = (after - 1, after - 1, after) if after else (0, self.begin, -1)
        pace = (counts[last] - counts[first]) / (times[last] - times[first])
        return counts[start] + pace * (moment - times[start])


def old_values(row: Row, page: Page) -> dict[str, float]:
    """Return a metric's values on the old page, in the plugin's unit, by the value of the label `row.by`."""
    return _total(_old_terms(row, page), row.offset)


def new_values(row: Row, page: Page) -> dict[str, float]:
    """Return the same metric's values on the plugin's page."""
    name = PREFIX + row.new
    return _total(
        (sample.labels.get(row.by, ""), sample.value)
        for sample in page
        if sample.name == name and row.new_where.items() <= sample.labels.items()
    )


def value(page: Page, name: str) -> float | None:
    """Return the value of the first series of that name, or None."""
    return next((sample.value for sample in page if sample.name == name), None)


def _old_terms(row: Row, page: Page) -> Iterator[tuple[str, float]]:
    """Yield the value of label `row.by` and the contribution of each series, in the plugin's unit."""
    for sample in page:
        parts, factor = row.labels_in(sample.name), row.factor
        if row.plus and sample.name == row.plus[0]:
            parts, factor = {}, row.plus[1]
        if parts is not None and sample.value != row.nothing:
            labels = {**sample.labels, **parts}
            if row.where.items() <= labels.items():
                yield labels.get(row.by, ""), factor * sample.value


def _total(terms: Iterable[tuple[str, float]], offset: float = 0) -> dict[str, float]:
    totals: dict[str, float] = {}
    for key, figure in terms:
        totals[key] = totals.get(key, offset) + figure
    return totals
