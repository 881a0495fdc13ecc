"""The benchmarks: their arithmetic and tables, what the fleet's replays; and that a README shows the last run."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_figures import costs, limits_table, lines_table, load

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bench_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark lies in the checkout, behind the installed packages."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])


@pytest.fixture
def figures() -> Any:
    """The arithmetic."""
    from bench import figures

    return figures


@pytest.fixture
def report() -> Any:
    """The table."""
    from bench import report

    return report


def test_arithmetic(figures: Any) -> None:
    """A ratio is the median of the rounds, so that one in which the machine was busy does not decide over it.

    A percentile is a value that was measured, whatever the order of the values. What a call took is the time from
    the answer before it, in microseconds. The exponent of growth is 1 where twice the work costs twice, and 0
    where it costs the same.
    """
    assert figures.ratio([1.0, 30.0, 3.0], [2.0, 3.0, 6.0]) == 0.5
    with pytest.raises(ValueError, match="zip"):
        figures.ratio([1.0], [1.0, 2.0])
    falling = [float(value) for value in range(100, 0, -1)]
    assert [figures.percentile(falling, part) for part in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert figures.steps([1_000, 3_000, 3_500]) == [2.0, 0.5]
    sizes = [1.0, 10.0, 100.0]
    assert figures.slope(sizes, [5.0, 50.0, 500.0]) == pytest.approx(1.0)
    assert figures.slope(sizes, [7.0, 7.0, 7.0]) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("value", "unit", "target", "met", "gross"),
    [
        # A figure that is as large as its target reaches it; one without a target does neither.
        (0.85, "ratio", 0.85, True, False),
        (0.86, "ratio", 0.85, False, False),
        (0.86, "ratio", None, None, False),
        # A noisy machine fails no build: only a ratio of more than twice its target does, never a time.
        (1.7, "ratio", 0.85, False, False),
        (1.71, "ratio", 0.85, False, True),
        (99.0, "ms", 0.85, False, False),
    ],
)
def test_target(
    figures: Any, value: float, unit: str, target: float | None, met: bool | None, gross: bool
) -> None:
    """Whether a figure meets its target, and whether it is so far off that the short form fails."""
    figure = figures.Figure("a", value, unit, target)
    assert (figure.met, figure.gross) == (met, gross)


@pytest.mark.parametrize(
    ("ratios", "taken", "status"),
    [([3, 3, 3], 0, 1), ([3, 3, 1], 0, 0), ([1], 50, 0), ([3], 50, 0), ([3, 3, 3], 4, 1)],
)
def test_the_short_form_fails_on_a_lasting_step_back_only(
    figures: Any, monkeypatch: pytest.MonkeyPatch, ratios: list[float], taken: float, status: int
) -> None:
    """It fails where a ratio is gross in each of three runs, and says nothing where the host took processors."""
    from bench import __main__ as program

    left = [
        [figures.Figure("a", float(ratio), "ratio", 1.0), figures.Figure("taken", float(taken), "%")]
        for ratio in ratios
    ]
    monkeypatch.setattr(program, "run", lambda scale, names: left.pop(0))
    assert program.short(["utxo"]) == status
    assert not left, "and no run more than these"


def test_figures_are_saved_and_shown(
    figures: Any, report: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is lost in results.json; a target that is missed is marked, with the reason that was found."""
    monkeypatch.setattr(report, "REASONS", {"b": "there is one."})
    made = [
        figures.Figure("c", 12345.6, "us"),
        figures.Figure("a", 1.0, "ratio", 2.0),
        figures.Figure("b", 3.0, "MB", 2.0),
        figures.Figure("machine", "2 x M", ""),
    ]
    report.save(made, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())[1:3] == [
        {"name": "a", "value": 1.0, "unit": "ratio", "target": 2.0, "met": True},
        {"name": "b", "value": 3.0, "unit": "MB", "target": 2.0, "met": False},
    ]
    assert report.load(tmp_path / "results.json") == made
    assert report.table(made[:3]).splitlines() == [
        "| figure | measured | target (at most) | met |",
        "| --- | --- | --- | --- |",
        "| a | 1 | 2 | yes |",
        "| b | 3 MB | 2 | **no** |",
        "| c | 12346 us | | |",
        "",
        "Why targets are missed:",
        "",
        "- b: there is one.",
    ]


def test_readme_shows_the_last_run(report: Any, tmp_path: Path) -> None:
    """The table in bench/README.md is bench/results.json, with the machine it ran on; if not, `make bench`.

    A README that has lost its markers is not overwritten.
    """
    text = (ROOT / "bench" / "README.md").read_text()
    part = text.partition(report.BEGIN + "\n")[2].partition("\n" + report.END)[0]
    assert part == report.readme_part(report.load())
    assert "| machine | " in part
    path = tmp_path / "README.md"
    path.write_text("no markers")
    with pytest.raises(ValueError, match="no part between"):
        report.write_readme([], path)
    assert path.read_text() == "no markers"


def test_the_nodes_calls_are_laid_out_as_a_real_nodes() -> None:
    """The target is behind what is passed; a coin is in one segment of 22 words, a block's data in the second."""
    from bench import frames

    made = frames.events()
    height_and_value = struct.pack("<Iq", frames.HEIGHT, 123_456)
    for method in ("add", "spend"):
        frame, _, target_at = made[method]
        assert struct.unpack_from("<2I", frame) == (0, 22)
        assert (frame.index(height_and_value), target_at, len(frame)) == (108, 168, 184)
    block, _, target_at = made["blockConnected"]
    others, first, second = struct.unpack_from("<3I", block)
    assert (others, first, target_at) == (1, 38, 264)
    assert second * 8 > frames.BLOCK_BYTES - 1000


RESULTS: dict[str, Any] = {
    "sizes": {
        "core and plugin": {"lines": 10, "bytes": 2000, "series": 40},
        "fees": {"lines": 5, "bytes": 500, "series": 10},
        "peers": {"lines": 15, "bytes": 1500, "series": 50},
    },
    "compressed": 0.2,
    "costs": {
        str(number): {
            "nodes": nodes,
            "batch": batch,
            "scrape_interval": 15,
            "lines_per_second": nodes * 3.0,
            "telegraf_share": share,
            "page_processor": 1.5 * nodes / 1000,
        }
        for number, (nodes, batch, share) in enumerate(((100, 0, 0.05), (1000, 0, 0.4), (1000, 1000, 0.9)))
    },
}


def cells(text: str) -> list[list[str]]:
    """Return the cells of each row of a table, without its heads."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"][2:]


def test_an_emission_becomes_another_nodes_at_another_time() -> None:
    """The replay changes the tag `node` and the time in every line, and nothing else.

    The size of an emission is its lines, its bytes, and the series that Prometheus gets: one for each field.
    """
    from bench.fleet.lines import Emission, Size, size

    recorded = Emission(b"bitcoin,node=bench up=1i 17\nbitcoin,node=bench,reason=reorg a=17i 17\n", b"17")
    assert recorded.of("node-0007", 99) == (
        b"bitcoin,node=node-0007 up=1i 99\nbitcoin,node=node-0007,reason=reorg a=17i 99\n"
    )
    assert size(Emission(b"bitcoin a=1i,b=2.5 1\nbitcoin,x=y c=3i 1\n", b"1")) == Size(2, 40, 3)


def test_nodes_emit_evenly_over_the_interval() -> None:
    """The first emissions come soon, also with a long interval; from then on each node keeps its own moment."""
    from bench.fleet.replay import Replay

    replay = Replay([], "127.0.0.1:1", 10, 60.0)
    assert replay.first_round == 10
    assert [replay.due(0, node) for node in (0, 5, 9)] == [0, 5, 9]
    assert [replay.due(turn, 5) for turn in (1, 2)] == [10 + 30, 10 + 90]
    assert Replay([], "127.0.0.1:1", 3000, 60.0).first_round == 30
    assert Replay([], "127.0.0.1:1", 3, 1.0).first_round == 1


def test_what_a_node_sends() -> None:
    """Each group adds its lines to what is always on, 366 times an hour at 10 s: a block adds an emission."""
    text = lines_table(RESULTS)
    assert cells(text) == [
        ["core and plugin", "40", "10", "2,000", "3,660, 0.73", "660, 0.13"],
        ["`fees`", "10", "5", "500", "1,830, 0.18", "330, 0.03"],
        ["`peers`", "50", "15", "1,500", "5,490, 0.55", "990, 0.10"],
        ["**default groups**", "50", "15", "2,500", "5,490, 0.92", "990, 0.17"],
        ["**all groups**", "100", "30", "4,000", "10,980, 1.46", "1,980, 0.26"],
    ]
    assert text.endswith("to 20 %.")


def test_the_limits_follow_from_both() -> None:
    """The cost of a line is what is left of the processor time without the pages; small batches do not count.

    So a longer interval helps against the lines alone; fewer groups help against both.
    """
    line, series = costs(RESULTS)
    assert line == pytest.approx((0.4 - 1.5 / 15) / 3000)
    assert series == pytest.approx(1.5 / 100_000)
    assert cells(limits_table(RESULTS)) == [
        ["default groups", "10 s", "2,500", "6,700"],
        ["default groups", "60 s", "6,700", "6,700"],
        ["all groups", "10 s", "1,200", "3,300"],
        ["all groups", "60 s", "3,300", "3,300"],
    ]


def test_the_last_run_has_every_size_of_a_fleet() -> None:
    """The figures are of 10, 100 and 1,000 nodes, every 10 s and every 60 s; up to 1,000, nothing is lost."""
    shipped = [cost for cost in load()["costs"].values() if not cost["batch"]]
    assert {10, 100, 1000} <= {cost["nodes"] for cost in shipped}
    assert {cost["interval"] for cost in shipped} == {10, 60}
    assert not any(cost["dropped"] or cost["scrapes_failed"] for cost in shipped if cost["nodes"] <= 1000)
