"""Line protocol: Telegraf reads exactly what was measured, whatever the library underneath would have written."""

import math
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from influx_line_protocol import Metric as LibraryLine
from support.line_protocol import Point, read

from telegraf_bitcoin_ipc.collect.store import Sample
from telegraf_bitcoin_ipc.collect.values import Number
from telegraf_bitcoin_ipc.telegraf.lines import encode

NOW = 1_700_000_000_123_456_789  # nanoseconds


def sample(name: str, value: Number, **tags: str) -> Sample:
    """Return a sample with tags in the order given."""
    return Sample(name, tuple(tags.items()), value)


def test_whole_lines() -> None:
    """One measurement, sorted tags, one field per metric and nanoseconds: this is what leaves the program.

    Samples with the same tags share a line, in whatever order they come; untagged ones come first. Nothing to say
    is said in no line at all.
    """
    samples = [
        sample("ibd", False, b="2", a="1"),
        sample("up", True),
        sample("difficulty", 1.0, x="2"),
        sample("peers", 8),
        sample("verification_progress", 0.1 + 0.2, b="2", a="1"),
    ]
    assert encode(samples, NOW, {"site": "here"}) == [
        f"bitcoin,site=here up=1i,peers=8i {NOW}",
        f"bitcoin,a=1,b=2,site=here ibd=0i,verification_progress=0.30000000000000004 {NOW}",
        f"bitcoin,site=here,x=2 difficulty=1.0 {NOW}",
    ]
    assert encode([], NOW) == []
    assert encode([sample("up", math.nan), sample("ibd", math.inf, a="1")], NOW, {"site": "here"}) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**63, -(2**63) - 1, 2**2000])
def test_value_that_telegraf_would_refuse(value: Number) -> None:
    """One impossible value is left out instead of costing the whole line."""
    assert encode([sample("up", value), sample("peers", 8)], NOW) == [f"bitcoin peers=8i {NOW}"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", "unknown"),
        ("   ", "unknown"),
        ("\n", "unknown"),
        ("a\nup=1i", "a up=1i"),
        ("a\rb\tc\x00d\x7fe", "a b c d e"),
        ("a\\", "a"),
        ("a\\,b", "a ,b"),
        ("a\\nb", "a nb"),
        ("\ud800\udcff", "unknown"),
        (" a ", "a"),
        ("/Satoshi:30.0.0(@=,x)/", "/Satoshi:30.0.0(@=,x)/"),
        ('"', '"'),
        ("é\u2028\U0001f600", "é\u2028\U0001f600"),
    ],
)
def test_tag_value(value: str, shown: str) -> None:
    """A node cannot break a line, or make up another, with what it calls itself."""
    for line in (*encode([sample("node_info", 1, version=value)], NOW),
                 *encode([sample("node_info", 1)], NOW, {"version": value})):  # fmt: skip
        assert read(line) == Point("bitcoin", {"version": shown}, {"node_info": 1}, NOW)
        line.encode()


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\"), min_size=1).filter(
    lambda text: text == text.strip()
)


@given(numbers=st.lists(NUMBERS, min_size=1, max_size=5))
@example(numbers=[2**63 - 1, -(2**63), -0.0, 1e22, 5e-324, sys.float_info.max])
def test_any_number_comes_back(numbers: list[Number]) -> None:
    """What Telegraf reads is the value that was measured, to the last bit and of the same kind."""
    (line,) = encode([sample(f"f{index}", number) for index, number in enumerate(numbers)], NOW)
    fields = read(line).fields
    assert list(fields) == [f"f{index}" for index in range(len(numbers))]
    for number, found in zip(numbers, fields.values(), strict=True):
        assert found == number
        assert isinstance(found, float) == isinstance(number, float)
        assert math.copysign(1, found) == math.copysign(1, number)


@given(value=PLAIN)
def test_any_text_comes_back(value: str) -> None:
    """A tag value that line protocol can carry is not changed."""
    (line,) = encode([sample("up", 1, tag=value)], NOW)
    assert read(line) == Point("bitcoin", {"tag": value}, {"up": 1}, NOW)


@given(value=st.text(st.characters()), tags=st.dictionaries(st.sampled_from("abc"), st.text(st.characters())))
def test_any_text_makes_a_line(value: str, tags: dict[str, str]) -> None:
    """Whatever a tag value is, the line is one line that Telegraf takes, with that tag in it."""
    (line,) = encode([sample("up", 1, tag=value)], NOW, tags)
    assert read(line).tags.keys() == {"tag", *tags}


def test_the_library_still_needs_the_repairs() -> None:
    """The day the library is mended, this says that the wrapper can be made smaller."""
    line = LibraryLine("bitcoin")
    line.add_tag("b", "x\ny")
    line.add_tag("a", "")
    line.add_value("f", 0.9999999876)
    line.add_value("n", math.nan)
    assert str(line) == "bitcoin,b=x\ny,a= f=1,n=nan"
    assert str(LibraryLine("bitcoin")) == "bitcoin "
