"""Text for the terminal: small graphs, and text from elsewhere made safe to print."""

from collections.abc import Sequence
from typing import Final

BARS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character per value: a blank for None, the lowest bar for 0 and below.

    The highest bar is the largest value; anything above 0 is higher than the lowest bar.
    """
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(" " if value is None else _bar(value, top) for value in values)


def printable(text: str) -> str:
    """Replace the characters that could move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _bar(value: float, top: float) -> str:
    return BARS[max(1, round(value / top * (len(BARS) - 1)))] if value > 0 else BARS[0]
