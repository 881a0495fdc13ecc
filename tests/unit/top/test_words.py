"""telegraf_bitcoin_ipc.top.words: numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telegraf_bitcoin_ipc.top.words import BARS, amount, duration, pace, printable, sparkline


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.9, "1.00 kB"),
        (1234, "1.23 kB"),
        (12_345, "12.3 kB"),
        (300_000_000, "300 MB"),
        (1.5e12, "1.50 TB"),
    ],
)
def test_an_amount_has_three_digits_and_a_prefix(value: float, text: str) -> None:
    """Bytes are read at a glance, whatever their size."""
    assert amount(value, "B") == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0, "0/s"), (5, "5/s"), (1234, "1.23 k/s"), (0.5, "30/min"), (1 / 600, "6/h"), (1e-9, "< 1/h")],
)
def test_a_pace_is_by_the_unit_that_tells_most(per_second: float, text: str) -> None:
    """A block every ten minutes is six an hour, not 0.0017 a second."""
    assert pace(per_second) == text


def test_bytes_are_by_the_second() -> None:
    """Traffic keeps its unit, however little there is."""
    assert pace(0.25, "B") == "0.25 B/s"
    assert pace(2_000_000, "B") == "2 MB/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    """Ages and estimates are not more exact than they are known; a clock behind the node's shows 0."""
    assert duration(seconds) == text


def test_a_sparkline_tells_absent_from_0_and_little_from_none() -> None:
    """A blank is what nobody saw, the lowest bar is 0, and anything above 0 is more than that."""
    assert sparkline([None, 0, 0.001, 4, 8]) == " ▁▂▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([None, None]) == "  "
    assert sparkline([]) == ""


@given(st.lists(st.none() | st.floats(-1e12, 1e12), max_size=50))
def test_a_sparkline_has_one_character_for_each_value(values: list[float | None]) -> None:
    """No value is too large, too small or too odd for it."""
    line = sparkline(values)
    assert len(line) == len(values)
    assert set(line) <= set(BARS) | {" "}


@given(st.text())
def test_nothing_from_elsewhere_moves_the_cursor(text: str) -> None:
    """A node's words cannot tear the screen."""
    assert len(printable(text)) == len(text)
    assert printable(text).isprintable()
