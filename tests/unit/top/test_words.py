"""telegraf_bitcoin_ipc.top.words: small graphs and safe text."""

from hypothesis import given
from hypothesis import strategies as st
from support.properties import any_text

from telegraf_bitcoin_ipc.top.words import BARS, printable, sparkline


def test_a_sparkline_distinguishes_absent_zero_and_little() -> None:
    """A blank is an absent value, the lowest bar is 0, and anything above 0 is higher."""
    assert sparkline([None, 0, 0.001, 4, 8]) == " ▁▂▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([None, None]) == "  "
    assert sparkline([]) == ""


@given(st.lists(st.none() | st.floats(-1e12, 1e12), max_size=50))
def test_a_sparkline_has_one_character_for_each_value(values: list[float | None]) -> None:
    """However large, small or negative the values are."""
    line = sparkline(values)
    assert len(line) == len(values)
    assert set(line) <= set(BARS) | {" "}


@given(any_text())
def test_nothing_from_elsewhere_moves_the_cursor(text: str) -> None:
    """Text from a node cannot tear the screen."""
    assert len(printable(text)) == len(text)
    assert printable(text).isprintable()
