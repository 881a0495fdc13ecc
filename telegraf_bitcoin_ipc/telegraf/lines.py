"""Samples -> InfluxDB line protocol, the only user of influx_line_protocol.

That library (0.1.5) prints floats with six digits, NaN and infinity as they are, an invalid `tag=` for an
empty tag value, newlines unescaped, tags unsorted and a metric without fields; here each is repaired or
refused.
"""

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from influx_line_protocol import Metric as Line

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT, UNKNOWN
from telegraf_bitcoin_ipc.collect.store import Sample
from telegraf_bitcoin_ipc.collect.values import Number

UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
"""What a tag value cannot carry through line protocol: control characters, what is not Unicode text, and the
backslash, which the library doubles and Telegraf does not halve again."""


Tags = tuple[tuple[str, str], ...]
"""Pairs of name and value."""

KEPT: Final = 4096
"""Texts and sets of tags whose written form is kept: from one emission to the next they hardly change."""


class _ExactLine(Line):  # type: ignore[misc]  # the library has no types
    """A line whose floats keep all their digits."""

    _escape_once = staticmethod(lru_cache(KEPT)(Line("")._Metric__escape))

    def _Metric__escape(self, text: str) -> str:  # the library's private name, too
        """Escape a name or a tag value as the library does, but each only once."""
        return str(self._escape_once(text))

    def _Metric__parse_value(self, value: Number) -> str:  # the library's private name
        """Print an integer with its suffix and a float with up to 17 significant digits."""
        return f"{value}i" if isinstance(value, int) else repr(value)


def encode(samples: Iterable[Sample], timestamp: int, tags: Mapping[str, str] | None = None) -> list[str]:
    """Return lines (without newlines), one per distinct set of tags, untagged samples first.

    `timestamp` is in nanoseconds; `tags` are added to every line. A value that is not finite
    is left out, and so is an integer of more than 64 bits: Telegraf would refuse the whole line.
    """
    fields_by_tags: dict[Tags, dict[str, Number]] = {(): {}}
    for name, sample_tags, value in samples:
        if _representable(value):
            fields_by_tags.setdefault(sample_tags, {})[name] = value
    more = tuple((tags or {}).items())
    return [
        _line(fields, _on_the_line(line_tags, more), timestamp)
        for line_tags, fields in fields_by_tags.items()
        if fields
    ]


def _representable(value: Number) -> bool:
    return -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)


@lru_cache(KEPT)
def _on_the_line(tags: Tags, more: Tags) -> Tags:
    """Return tags as they are written: sorted, and with values that can be."""
    every = {**dict(tags), **dict(more)}
    return tuple((key, UNPRINTABLE.sub(" ", every[key]).strip() or UNKNOWN) for key in sorted(every))


def _line(fields: Mapping[str, Number], tags: Tags, timestamp: int) -> str:
    line = _ExactLine(MEASUREMENT)
    for key, value in tags:
        line.add_tag(key, value)
    for name, number in fields.items():
        line.add_value(name, int(number) if isinstance(number, bool) else number)
    line.with_timestamp(timestamp)
    return str(line)
