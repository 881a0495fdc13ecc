"""Current values: events and polls put them in, samples of the whole set come out.

No clock and no I/O. A value that is not known is absent. What a counter has counted outlives a session;
what a node told goes with the session that it was told in.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, CATALOGUE, METRICS, UNKNOWN, Metric
from telegraf_bitcoin_ipc.collect.values import Labelled, Number


class Sample(NamedTuple):
    """One value of one metric; `tags` are (name, value) pairs in the catalogue's order."""

    name: str
    tags: tuple[tuple[str, str], ...]
    value: Number


class Store:
    """The values of the metrics of some groups; those of other groups are ignored."""

    def __init__(self, groups: Iterable[str] = ()) -> None:
        """Keep the metrics of `groups` and of the groups that are always on."""
        wanted = ALWAYS_ON | set(groups)
        self._series: dict[str, dict[tuple[str, ...], Number]] = {
            metric.name: {} for metric in CATALOGUE if metric.group in wanted
        }

    def wants(self, name: str) -> bool:
        """Say whether the metric is of a group that is on."""
        METRICS[name]  # a name outside the catalogue is a defect
        return name in self._series

    def start(self, *names: str) -> None:
        """Begin counters at 0 (all tag values of the known ones), unless they have begun before."""
        for name in names:
            all_tag_values: list[tuple[str, ...]] = [(value,) for value in METRICS[name].values] or [()]
            for tag_values in all_tag_values:
                self.add(name, 0, *tag_values)

    def add(self, name: str, amount: Number, *tag_values: str) -> None:
        """Add `amount` to a counter, which begins at 0."""
        if self.wants(name):
            series, key = self._series[name], _bounded(METRICS[name], tag_values)
            series[key] = series.get(key, 0) + amount

    def set(self, name: str, value: Number, *tag_values: str) -> None:
        """Set a gauge, or a counter that the node keeps; the tag values in the catalogue's order."""
        if self.wants(name):
            self._series[name][_bounded(METRICS[name], tag_values)] = value

    def replace(self, name: str, values: Labelled) -> None:
        """Set a gauge to values by the value of its only tag, and to no others; unknown ones are added up."""
        self.forget(name)
        for tag_value, value in values.items():
            self.add(name, value, tag_value)

    def forget(self, *names: str) -> None:
        """Make what the node told absent until it is known again; what this process counts stays."""
        for name in names:
            if self.wants(name) and METRICS[name].lifetime == "session":
                self._series[name].clear()

    def end_session(self) -> None:
        """Forget everything that only holds while the node is there to say it."""
        self.forget(*self._series)

    def samples(self) -> Iterator[Sample]:
        """Yield every known value, in the catalogue's order."""
        for name, series in self._series.items():
            tags = METRICS[name].tags
            for values, value in series.items():
                yield Sample(name, tuple(zip(tags, values, strict=True)), value)


def _bounded(metric: Metric, tag_values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tag values with `unknown` for each that is empty or outside the metric's fixed set."""
    if len(tag_values) != len(metric.tags):
        raise ValueError(f"{metric.name} has the tags {metric.tags}, got {tag_values}")
    return tuple(
        value if value and (not metric.values or value in metric.values) else UNKNOWN for value in tag_values
    )
