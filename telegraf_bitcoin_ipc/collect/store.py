"""The current value of every metric: set by events and polls, read as samples.

No clock and no I/O. An unknown value is absent. Counters that this process keeps outlive a session; values that
the node reported do not.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, CATALOGUE, METRICS, Metric
from telegraf_bitcoin_ipc.collect.tags import UNKNOWN
from telegraf_bitcoin_ipc.collect.values import Labelled, Number


class Sample(NamedTuple):
    """One value of one metric; `tags` are (name, value) pairs in the catalogue's order."""

    name: str
    tags: tuple[tuple[str, str], ...]
    value: Number


class Store:
    """The values of the metrics of some groups; other metrics are ignored."""

    def __init__(self, groups: Iterable[str] = ()) -> None:
        """Keep the metrics of `groups` and of the groups that are always on."""
        wanted = ALWAYS_ON | set(groups)
        self._series: dict[str, dict[tuple[str, ...], Number]] = {
            metric.name: {} for metric in CATALOGUE if metric.group in wanted
        }

    def wants(self, name: str) -> bool:
        """Return whether the metric's group is on."""
        METRICS[name]  # KeyError: a name outside the catalogue is a defect
        return name in self._series

    def start(self, *names: str) -> None:
        """Start counters at 0, for every value of a tag with fixed values; counters already started stay."""
        for name in names:
            all_tag_values: list[tuple[str, ...]] = [(value,) for value in METRICS[name].values] or [()]
            for tag_values in all_tag_values:
                self.add(name, 0, *tag_values)

    def add(self, name: str, amount: Number, *tag_values: str) -> None:
        """Add `amount` to a counter, which starts at 0."""
        if self.wants(name):
            series, key = self._series[name], _bounded(METRICS[name], tag_values)
            series[key] = series.get(key, 0) + amount

    def set(self, name: str, value: Number, *tag_values: str) -> None:
        """Set a gauge, or a counter that the node keeps; tag values are in the catalogue's order."""
        if self.wants(name):
            self._series[name][_bounded(METRICS[name], tag_values)] = value

    def replace(self, name: str, values: Labelled) -> None:
        """Replace all values of a gauge with one tag, by tag value; those of unknown tag values are summed."""
        self.forget(name)
        for tag_value, value in values.items():
            self.add(name, value, tag_value)

    def forget(self, *names: str) -> None:
        """Make session-scoped values absent; counters that this process keeps stay."""
        for name in names:
            if self.wants(name) and METRICS[name].lifetime == "session":
                self._series[name].clear()

    def end_session(self) -> None:
        """Drop all session-scoped values."""
        self.forget(*self._series)

    def samples(self) -> Iterator[Sample]:
        """Yield every known value, in the catalogue's order."""
        for name, series in self._series.items():
            tags = METRICS[name].tags
            for values, value in series.items():
                yield Sample(name, tuple(zip(tags, values, strict=True)), value)


def _bounded(metric: Metric, tag_values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tag values, with `unknown` for each that is empty or outside the metric's fixed set."""
    if len(tag_values) != len(metric.tags):
        raise ValueError(f"{metric.name} has the tags {metric.tags}, got {tag_values}")
    return tuple(
        value if value and (not metric.values or value in metric.values) else UNKNOWN for value in tag_values
    )
