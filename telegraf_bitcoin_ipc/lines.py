"""Samples -> InfluxDB line protocol, the only user of influx_line_protocol.

That library (0.1.5) prints floats with six digits, NaN and infinity as they are, an invalid `tag=` for an
empty tag value, newlines unescaped, tags unsorted and a metric without fields; here each is repaired or
refused.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from influx_line_protocol import Metric as Line

from telegraf_bitcoin_ipc.metrics import MEASUREMENT, UNKNOWN
from telegraf_bitcoin_ipc.store import Number, Sample

UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
"""What a tag value cannot carry through line protocol: control characters, what is not Unicode text, and the
backslash, which the library doubles and Telegraf does not halve again."""


class _ExactLine(Line):  # type: ignore[misc]  # the library has no types
    """A line whose floats keep all their digits."""

    def _Metric__parse_value(self, value: Number) -> str:  # the library's private name
        """Print an integer with its suffix and a float with up to 17 significant digits."""
        return f"{value}i" if isinstance(value, int) else repr(value)


def encode(samples: Iterable[Sample], timestamp: int, tags: Mapping[str, str] | None = None) -> list[str]:
    """Return lines (without newlines), one per distinct set of tags, untagged samples first.

    `timestamp` is in nanoseconds; `tags` are added to every line. A value that is not finite
    is left out, and so is an integer of more than 64 bits: Telegraf would refuse the whole line.
    """
    fields_by_tags: dict[tuple[tuple[str, str], ...], dict[str, Number]] = {(): {}}
    for name, sample_tags, value in samples:
        if _representable(value):
            fields_by_tags.setdefault(sample_tags, {})[name] = value
    return [
        _line(fields, {**dict(line_tags), **(tags or {})}, timestamp)
        for line_tags, fields in fields_by_tags.items()
        if fields
    ]


def _representable(value: Number) -> bool:
    return -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)


def _line(fields: Mapping[str, Number], tags: Mapping[str, str], timestamp: int) -> str:
    line = _ExactLine(MEASUREMENT)
    for key in sorted(tags):
        line.add_tag(key, UNPRINTABLE.sub(" ", tags[key]).strip() or UNKNOWN)
    for name, value in fields.items():
        line.add_value(name, int(value) if isinstance(value, bool) else value)
    line.with_timestamp(timestamp)
    return str(line)
