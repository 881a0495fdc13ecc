"""The fleet's benchmark with a few nodes: it measures a real Telegraf and a real Prometheus, and loses nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.telegraf


def test_it_replays_what_a_node_sends(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    socket_path: Path,
    telegraf_binary: Path,
    prometheus_binary: Path,
) -> None:
    """The groups' sizes add up to that of an emission, and every value of every node is in Prometheus."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])
    from bench.fleet import lines
    from bench.fleet.central import Case, measure

    emissions, sizes = lines.record(socket_path.parent, ("blocks", "peers"))
    first = lines.size(emissions[0])
    assert sum(size.lines for size in sizes.values()) == first.lines
    assert sum(size.series for size in sizes.values()) == first.series
    case = Case(3, 1, batch=2000, scrape_interval=1)
    cost = measure(telegraf_binary, prometheus_binary, tmp_path / "central", emissions, case)
    assert cost["series"] == 3 * first.series
    assert (cost["dropped"], cost["scrapes_failed"]) == (0, 0)
