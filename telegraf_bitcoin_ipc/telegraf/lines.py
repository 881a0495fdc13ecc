"""Samples -> InfluxDB line protocol, the only user of influx_line_protocol.

Version 0.1.5 of that library prints floats with six digits, accepts NaN, infinity and a metric without fields,
writes an invalid `tag=` for an empty tag value, and neither escapes newlines nor sorts tags. This module works
around each of these.
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from influx_line_protocol import Metric as Line

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT
from telegraf_bitcoin_ipc.collect.store import Sample
from telegraf_bitcoin_ipc.collect.tags import UNKNOWN, UNPRINTABLE
from telegraf_bitcoin_ipc.collect.values import Number

Tags = tuple[tuple[str, str], ...]
"""Pairs of name and value."""

CACHE_SIZE: Final = 4096
"""Texts and sets of tags whose encoded form is cached: they hardly change between emissions."""


class _ExactLine(Line):  # type: ignore[misc]  # the library has no types
    """A line whose floats keep all their digits."""

    _escape_once = staticmethod(lru_cache(CACHE_SIZE)(Line("")._Metric__escape))

    def _Metric__escape(self, text: str) -> str:  # the library's private name
        """Escape a name or a tag value as the library does, but cache the result."""
        return str(self._escape_once(text))

    def _Metric__parse_value(self, value: Number) -> str:  # the library's private name
        """Print an integer with its suffix and a float with up to 17 significant digits."""
        return f"{value}i" if isinstance(value, int) else repr(value)


def encode(samples: Iterable[Sample], timestamp: int, tags: Mapping[str, str] | None = None) -> list[str]:
    """Return lines (without newlines), one per distinct set of tags, untagged samples first.

    `timestamp` is in nanoseconds; `tags` are added to every line. Values that are not finite are omitted, and so
    are integers of more than 64 bits: Telegraf would reject the whole line.
    """
    fields_by_tags: dict[Tags, dict[str, Number]] = {(): {}}
    for name, sample_tags, value in samples:
        if _representable(value):
            fields_by_tags.setdefault(sample_tags, {})[name] = value
    more = tuple((tags or {}).items())
    return [
        _line(fields, _line_tags(line_tags, more), timestamp)
        for line_tags, fields in fields_by_tags.items()
        if fields
    ]


def _representable(value: Number) -> bool:
    return -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)


@lru_cache(CACHE_SIZE)
def _line_tags(tags: Tags, more: Tags) -> Tags:
    """Return the tags of a line: sorted, and with valid values."""
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
