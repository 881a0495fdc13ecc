"""The benchmark's arithmetic and its table; and that its README shows the last run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

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


def test_readme_shows_the_last_run(report: Any) -> None:
    """The table in bench/README.md is bench/results.json, with the machine it ran on; if not, `make bench`."""
    text = (ROOT / "bench" / "README.md").read_text()
    part = text.partition(report.BEGIN + "\n")[2].partition("\n" + report.END)[0]
    assert part == report.readme_part(report.load())
    assert "| machine | " in part


def test_readme_can_only_be_written_between_its_markers(report: Any, tmp_path: Path) -> None:
    """A README that has lost its markers is not overwritten."""
    path = tmp_path / "README.md"
    path.write_text("no markers")
    with pytest.raises(ValueError, match="no part between"):
        report.write_readme([], path)
    assert path.read_text() == "no markers"
