"""What both pages showed over a window: looks at them, and the values of one metric over those looks."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """Both pages at a moment, in seconds of a clock that does not jump; the new page is of one node."""

    at: float
    old: Page
    new: Page


@dataclass(frozen=True, slots=True)
class Record:
    """All looks in their order; the window begins with look number `begin` and ends with the last one.

    `late` is how many seconds before either end the new page may have changed.
    """

    looks: Sequence[Look]
    begin: int = 0
    late: float = 0

    @property
    def window(self) -> Sequence[Look]:
        """The looks within the window, both ends included."""
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
    def polls(self) -> list[float]:
        """When the polls ended whose values the plugin's page showed within the window, in Unix time."""
        return sorted({sample.value for look in self.window for sample in look.new if sample.name == POLLED_AT})

    @property
    def poll_interval(self) -> float:
        """Seconds between two polls of the plugin, as far as its page shows them."""
        gaps = [later - earlier for earlier, later in pairwise(self.polls)]
        return max(gaps, default=max(POLL_INTERVAL, self.seconds if self.polls else 0))


@dataclass(frozen=True, slots=True)
class Series:
    """One side's values of one metric at the looks of a record; None where there was none."""

    times: Sequence[float]
    values: Sequence[float | None]
    begin: int = 0

    @property
    def known(self) -> list[float]:
        """The values that there were within the window."""
        return [value for value in self.values[self.begin :] if value is not None]

    @property
    def latest(self) -> float | None:
        """The last value that there was."""
        return self.known[-1] if self.known else None

    @property
    def moved(self) -> bool:
        """Whether it changed within the window."""
        return len(set(self.known)) > 1

    def only(self, looks: Sequence[bool]) -> "Series":
        """Return it with the values at some looks alone."""
        chosen = [value if look else None for value, look in zip(self.values, looks, strict=True)]
        return replace(self, values=chosen)

    @property
    def counts(self) -> list[float]:
        """A counter's values at all looks: before its first event it is not there, which is 0."""
        return [value or 0 for value in self.values]

    @property
    def increase(self) -> float:
        """By how much a counter rose within the window."""
        return self.counts[-1] - self.counts[self.begin]

    @property
    def fell(self) -> bool:
        """Whether a counter fell within the window, as at a restart."""
        counts = self.counts[self.begin :]
        return any(later < earlier for earlier, later in pairwise(counts))

    def increases(self, lag: float) -> tuple[float, float]:
        """Return the least and the most that another page shows of the increase, if it is up to `lag` s behind.

        The least lacks the last `lag` seconds of the window, the most has as many before it, too.
        """
        end, begin = self.counts[-1], self.counts[self.begin]
        least = self._count_at(self.times[-1] - lag, lag) - begin
        most = end - self._count_at(self.times[self.begin] - lag, lag)
        return least, most

    def _count_at(self, moment: float, near: float) -> float:
        """Return a counter's value at a look at most `near` s before a moment, else as if it rose evenly."""
        counts, times = self.counts, self.times
        after = bisect_right(times, moment)
        if after and moment - times[after - 1] <= near:
            return counts[after - 1]
        start, first, last = (after - 1, after - 1, after) if after else (0, self.begin, -1)
        pace = (counts[last] - counts[first]) / (times[last] - times[first])
        return counts[start] + pace * (moment - times[start])


def there(row: Row, page: Page) -> dict[str, float]:
    """Return a metric's values on the other exporter's page, in the unit here, by its label that is kept apart."""
    return _total(_terms_there(row, page), row.offset)


def here(row: Row, page: Page) -> dict[str, float]:
    """Return the same metric's values on the plugin's page."""
    name = PREFIX + row.new
    return _total(
        (sample.labels.get(row.by, ""), sample.value)
        for sample in page
        if sample.name == name and row.new_where.items() <= sample.labels.items()
    )


def over(record: Record, totals: Sequence[Mapping[str, float]], key: str) -> Series:
    """Return the values under one key of the totals of each look."""
    return Series([look.at for look in record.looks], [each.get(key) for each in totals], record.begin)


def value(page: Page, name: str) -> float | None:
    """Return the value of the first series of that name, if there is one."""
    return next((sample.value for sample in page if sample.name == name), None)


def _terms_there(row: Row, page: Page) -> Iterator[tuple[str, float]]:
    """Yield what each series adds, in the unit here, with the value of the label that is kept apart."""
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
