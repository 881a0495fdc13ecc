"""Numbers as people read them at a glance: amounts, paces, durations, small graphs."""

from collections.abc import Sequence
from typing import Final

BARS: Final = "▁▂▃▄▅▆▇█"

_SIZES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def amount(value: float, unit: str) -> str:
    """Return about three digits with a decimal prefix: `1.23 MB`."""
    for size, prefix in _SIZES:
        if abs(value) >= size * 0.9995:
            return f"{_three_digits(value / size)} {prefix}{unit}"
    return f"{_three_digits(value)} {unit}"


def pace(per_second: float, unit: str = "") -> str:
    """Return a pace, by the minute or the hour where that is more telling: `5.0/s`, `6.0/min`, `1.2 MB/s`."""
    for factor, name in ((1.0, "s"), (60.0, "min"), (3600.0, "h")):
        if per_second * factor >= 1 or unit:
            return f"{amount(per_second * factor, unit).rstrip()}/{name}"
    return "0/s" if per_second <= 0 else "< 1/h"


def duration(seconds: float) -> str:
    """Return whole seconds in at most two units: `9 s`, `3 min 5 s`, `2 h 4 min`, `3 d 1 h`."""
    whole = max(int(seconds), 0)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for position, (size, name) in enumerate(units):
        if whole >= size or size == 1:
            text = f"{whole // size} {name}"
            smaller, smaller_name = units[min(position + 1, len(units) - 1)]
            rest = whole % size // smaller if size > 1 else 0
            return f"{text} {rest} {smaller_name}" if rest else text
    raise AssertionError("unreachable: the last unit always fits")


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character for each value: a blank where it is absent, the lowest bar at 0 and below.

    The highest bar stands for the largest value; anything above 0 is more than the lowest.
    """
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(" " if value is None else _bar(value, top) for value in values)


def printable(text: str) -> str:
    """Return a text from elsewhere without what could move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _bar(value: float, top: float) -> str:
    if value <= 0:
        return BARS[0]
    highest = len(BARS) - 1
    return BARS[max(1, min(highest, round(value / top * highest)))]


def _three_digits(value: float) -> str:
    if value == int(value) and abs(value) < 1000:
        return f"{int(value)}"
    return f"{value:.{2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0}f}"
