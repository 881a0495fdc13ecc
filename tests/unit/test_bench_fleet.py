"""The fleet's benchmark: what it replays, and the tables that are made of its figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_figures import central_table, costs, limits_table, lines_table, load


@pytest.fixture(autouse=True)
def bench_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark lies in the checkout, behind the installed packages."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])


RESULTS: dict[str, Any] = {
    "machine": {"machine": "2 x M", "system": "Linux 6"},
    "versions": ["Telegraf 1", "Prometheus 2"],
    "sizes": {
        "core and plugin": {"lines": 10, "bytes": 2000, "series": 40},
        "fees": {"lines": 5, "bytes": 500, "series": 10},
        "peers": {"lines": 15, "bytes": 1500, "series": 50},
    },
    "compressed": 0.2,
    "costs": {
        str(number): {
            "nodes": nodes,
            "interval": 10,
            "batch": batch,
            "scrape_interval": 15,
            "lines_per_second": nodes * 3.0,
            "telegraf_share": share,
            "telegraf_memory": 1e8,
            "dropped": dropped,
            "page_bytes": 1e6,
            "page_processor": 1.5 * nodes / 1000,
            "scrape_median": 2.0,
            "scrape_longest": 2.5,
            "scrapes_failed": 0,
            "series": nodes * 100,
            "prometheus_share": 0.02,
            "prometheus_memory": 5e8,
        }
        for number, (nodes, batch, share, dropped) in enumerate(
            ((100, 0, 0.05, 0), (1000, 0, 0.4, 0), (1000, 1000, 0.9, 42000))
        )
    },
}


def cells(text: str) -> list[list[str]]:
    """Return the cells of each row of a table, without its heads."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"][2:]


def test_an_emission_becomes_another_nodes_at_another_time() -> None:
    """The replay changes the tag `node` and the time in every line, and nothing else."""
    from bench.fleet.lines import Emission

    recorded = Emission(b"bitcoin,node=bench up=1i 17\nbitcoin,node=bench,reason=reorg a=17i 17\n", b"17")
    assert recorded.of("node-0007", 99) == (
        b"bitcoin,node=node-0007 up=1i 99\nbitcoin,node=node-0007,reason=reorg a=17i 99\n"
    )


def test_each_field_of_a_line_is_a_series() -> None:
    """The size of an emission is its lines, its bytes, and the series that Prometheus gets."""
    from bench.fleet.lines import Emission, Size, size

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


def test_lines_and_pages_are_told_apart() -> None:
    """The cost of a line is what is left of the processor time without the pages; small batches do not count."""
    line, series = costs(RESULTS)
    assert line == pytest.approx((0.4 - 1.5 / 15) / 3000)
    assert series == pytest.approx(1.5 / 100_000)


def test_the_limits_follow_from_both() -> None:
    """A longer interval helps against the lines alone; fewer groups help against both."""
    assert cells(limits_table(RESULTS)) == [
        ["default groups", "10 s", "2,500", "6,700"],
        ["default groups", "60 s", "6,700", "6,700"],
        ["all groups", "10 s", "1,200", "3,300"],
        ["all groups", "60 s", "3,300", "3,300"],
    ]


def test_what_was_measured_is_shown_with_where() -> None:
    """Each case is a row, with its batch if it is not the usual one; versions and machine are below."""
    text = central_table(RESULTS)
    assert [row[:2] + row[3:4] + row[5:6] for row in cells(text)] == [
        ["100", "10 s", "5 %", "0"],
        ["1,000", "10 s", "40 %", "0"],
        ["1,000", "10 s, batches of 1,000", "90 %", "42,000"],
    ]
    assert "With Telegraf 1 and Prometheus 2, on 2 x M, Linux 6" in text


def test_the_last_run_has_every_size_of_a_fleet() -> None:
    """The figures are of 10, 100 and 1,000 nodes, every 10 s and every 60 s; up to 1,000, nothing is lost."""
    shipped = [cost for cost in load()["costs"].values() if not cost["batch"]]
    assert {10, 100, 1000} <= {cost["nodes"] for cost in shipped}
    assert {cost["interval"] for cost in shipped} == {10, 60}
    assert not any(cost["dropped"] or cost["scrapes_failed"] for cost in shipped if cost["nodes"] <= 1000)
