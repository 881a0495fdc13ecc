"""One metric of another exporter: what it is here, and how the two are compared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT, METRICS

Compare = Literal["value", "increase"]

PUSHED_LAG: Final = 2.0
"""Seconds that Telegraf's page may be behind the plugin when it changes (its flush_interval is 1 s)."""

POLL_INTERVAL: Final = 60.0
"""Seconds between two polls of the plugin where its page does not show them: the default of --poll-interval."""

MOVING: Final = 0.001
"""A gauge with a tolerance of at least this fraction changes while it is compared."""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of another exporter.

    `old` is its name there; a part in braces stands for anything, and counts as a label of that name.
    `new` is its name in the catalogue, empty where IPC does not offer it: then `note` says why.
    `where` and `new_where` are the labels that the series must have; `by` is a label on both sides each value of
    which is compared by itself. Over every other label the series are summed.
    `factor` turns the unit there into the unit here, and `offset` (in the unit here) is added. `plus` names
    another metric there, which is counted in with a factor of its own.
    `compare` says what has to agree: the value, or the increase over a window. `tolerance` is a fraction and
    `slack` an absolute difference (in the unit here) that does not matter. `counted` names the counter here of
    the same events: a sum over events may differ by the fraction by which their numbers do.
    `polled` marks a counter that is made from polls here, `event` a gauge that an event sets on both sides.
    `of_block` marks what belongs to the last block, and `nothing` a value that says that there is none.
    """

    old: str
    new: str = ""
    note: str = ""
    compare: Compare = "value"
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
        """Whether it only ever rises, but for a restart."""
        return bool(self.new) and METRICS[self.new].type == "counter"

    @property
    def follows_polls(self) -> bool:
        """Whether it is a value that changes, and that a side shows as it was at its last poll."""
        return self.compare == "value" and not self.event and (self.slack > 0 or self.tolerance >= MOVING)

    @property
    def misleads(self) -> bool:
        """Whether its name there means something else here."""
        return self.old != f"{MEASUREMENT}_{self.new}" and self.old.removeprefix(f"{MEASUREMENT}_") in METRICS

    def labels_in(self, name: str) -> Mapping[str, str] | None:
        """Return what stands for the parts in braces if the name is this row's, else None."""
        if "{" not in self.old:
            return {} if name == self.old else None
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>\\w+)", self.old)
        match = re.fullmatch(pattern, name)
        return match and match.groupdict()


@dataclass(frozen=True, slots=True)
class Exporter:
    """Another exporter.

    `mark` is a metric that none but it has, `height` the one with the height of its last block.
    `poll_interval` is the longest time, in seconds, that a value which it polls is old on its page.
    """

    name: str
    mark: str
    rows: tuple[Row, ...]
    poll_interval: float
    height: str = ""


def in_braces(labels: Mapping[str, str]) -> str:
    """Return labels as Prometheus writes them behind a name; nothing where there are none."""
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{text}}}" if text else ""
