"""telegraf_bitcoin_ipc.top.history: rates and columns of a graph from points in time, and the graph."""

from hypothesis import given
from hypothesis import strategies as st

from telegraf_bitcoin_ipc.top.history import BARS, KEPT_SECONDS, History, sparkline


def history(*points: tuple[float, float]) -> History:
    """Return a history of points (time, value)."""
    made = History()
    for time, value in points:
        made.add(time, value)
    return made


def test_a_rate_is_taken_over_the_last_seconds() -> None:
    """Earlier points do not count; a shorter series counts whole; between points it is interpolated."""
    points = history((0, 0), (10, 100), (20, 120))
    assert points.pace(10) == 2
    assert points.pace(1000) == 6
    assert points.pace(15) == 70 / 15
    assert history().pace(10) is history((0, 5)).pace(10) is None, "it needs two points"


def test_columns_do_not_change() -> None:
    """Columns begin at multiples of their width: a new point adds on the right and leaves the rest as it is."""
    points = history((0, 0), (2, 2), (4, 8))
    assert points.paces(2, 2) == [1, 3]
    points.add(5, 100)
    assert points.paces(2, 2) == [1, 3]
    points.add(6, 100)
    assert points.paces(3, 2) == [1, 3, 46]


def test_a_column_before_the_first_point_is_absent() -> None:
    """Nothing is shown for a time before the first point."""
    assert history((3, 0), (8, 5)).paces(4, 2) == [None, None, 1, 1]
    assert history().paces(2, 2) == [None, None]


def test_one_point_for_each_time() -> None:
    """A later one replaces it; a clock that is set back clears the series; old points are dropped."""
    assert history((0, 0), (1, 5), (1, 6)).pace(10) == 6
    points = history((100, 1), (110, 2), (50, 3))
    assert points.pace(10) is None
    points.add(51, 4)
    assert points.pace(10) == 1
    assert history((0, 0), (KEPT_SECONDS, 1), (KEPT_SECONDS + 10, 2)).span() == 10


@given(
    st.lists(st.tuples(st.floats(0.1, 50), st.integers(0, 10**9)), min_size=2, max_size=40),
    st.integers(1, 60),
    st.sampled_from([0.5, 2, 7]),
)
def test_columns_are_the_increase(steps: list[tuple[float, int]], columns: int, width: float) -> None:
    """No column of a growing counter is negative, and together they are no more than what was counted."""
    points, time, total = History(), 1_700_000_000.0, 0
    for seconds, more in steps:
        time, total = time + seconds, total + more
        points.add(time, total)
    paces = points.paces(columns, width)
    assert len(paces) == columns
    assert all(pace is None or pace >= -1e-3 for pace in paces)
    assert sum(pace or 0 for pace in paces) * width <= total * (1 + 1e-6) + 1e-3


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
