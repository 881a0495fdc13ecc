"""One metric of another exporter, its counterpart in the plugin, and how the two are compared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT, METRICS

PUSHED_LAG: Final = 2.0
"""Maximum delay in seconds between an emission and Telegraf's page (its flush_interval is 1 s)."""

POLL_INTERVAL: Final = 60.0
"""The default of --poll-interval, assumed while the plugin's page does not show the interval."""

MOVING: Final = 0.001
"""A gauge whose tolerance is at least this fraction is expected to change within the window."""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of another exporter.

    `old` is its name there. A part in braces matches any text, and is treated as a label of that name.
    `new` is its name in the catalogue; if it is empty, IPC does not offer the metric and `note` gives the reason.
    `where` and `new_where` are labels that the series must have. `by` is a label on both pages; each of its values
    is compared separately. Series are summed over all other labels.
    `factor` converts the old unit to the plugin's, and `offset` (in the plugin's unit) is added. `plus` is another
    old metric and its own factor; it is added as well.
    `tolerance` (a fraction) and `slack` (in the plugin's unit) are acceptable differences. `counted` names the
    plugin's counter of the same events: a sum over events may differ by the same fraction as their number.
    `polled` marks a counter that the plugin polls, `event` a gauge that both exporters set on an event.
    `of_block` marks a property of the last block. `nothing` is a value that means "no value".
    """

    old: str
    new: str = ""
    note: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    new_where: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    factor: float = 1
    offset: float = 0
    plus: tuple[str, float] | None = None
    tolerance: float = 0
    slack: float = 0
    counted: str = ""
    polled: bool = False
    event: bool = False
    of_block: bool = False
    nothing: float | None = None

    @property
    def is_counter(self) -> bool:
        """Whether it only increases, except at a restart."""
        return bool(self.new) and METRICS[self.new].type == "counter"

    @property
    def compares_increases(self) -> bool:
        """Whether the increases must agree, not the values: each exporter counts from its own start."""
        return self.is_counter and METRICS[self.new].lifetime == "process"

    @property
    def follows_polls(self) -> bool:
        """Whether it is a changing value that is only as recent as the last poll."""
        return not self.compares_increases and not self.event and (self.slack > 0 or self.tolerance >= MOVING)

    @property
    def misleads(self) -> bool:
        """Whether the plugin has a different metric of the same name."""
        return self.old != f"{MEASUREMENT}_{self.new}" and self.old.removeprefix(f"{MEASUREMENT}_") in METRICS

    def labels_in(self, name: str) -> Mapping[str, str] | None:
        """Return the parts in braces if the name matches this row, or None."""
        if "{" not in self.old:
            return {} if name == self.old else None
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>\\w+)", self.old)
        match = re.fullmatch(pattern, name)
        return match and match.groupdict()


@dataclass(frozen=True, slots=True)
class Exporter:
    """Another exporter.

    `mark` is a metric that no other exporter has; `height` is its metric for the height of the last block.
    `poll_interval` is the maximum age, in seconds, of a polled value on its page.
    """

    name: str
    mark: str
    rows: tuple[Row, ...]
    poll_interval: float
    height: str = ""


def in_braces(labels: Mapping[str, str]) -> str:
    """Return labels as Prometheus writes them after a name; empty if there are none."""
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{text}}}" if text else ""
