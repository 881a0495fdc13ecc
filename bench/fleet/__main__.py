"""Measure a central Telegraf and its Prometheus for many nodes: writes fleet.json and fleet.svg in bench/.

Usage: python -P bench/fleet [NUMBER ...]   (by `make bench-fleet`; takes some eight minutes)
With numbers of CASES, from 1, it measures these again, and keeps the others: other work can spoil one.
Needs TELEGRAF_BINARY and PROMETHEUS_BINARY. `make reference` puts the figures into docs/fleet.md.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# After the installed packages, so that the installed plugin is measured, not the checkout.
BENCH = Path(__file__).resolve().parents[1]
sys.path += [str(BENCH.parent), str(BENCH.parent / "tests")]

from bench import report  # noqa: E402
from bench.fleet import lines, plot  # noqa: E402
from bench.fleet.central import Case, measure  # noqa: E402
from bench.report import program, version  # noqa: E402

CASES = (
    Case(10, 10),
    Case(100, 10),
    Case(1000, 10),
    Case(1000, 10, batch=1000),
    Case(100, 60),
    Case(1000, 60),
    Case(3000, 60),
)
"""The fourth is with Telegraf's own batch, to show what a larger one is good for."""

RESULTS = BENCH / "fleet.json"


def measured(telegraf: Path, prometheus: Path, cases: Mapping[int, Case]) -> dict[str, Any]:
    """Return everything, as in fleet.json; the costs by their case's number."""
    machine, before = {figure.name: figure.value for figure in report.machine()}, report.stolen()
    costs = {}
    with tempfile.TemporaryDirectory(prefix="tbi-") as name:
        emissions, sizes = lines.record(Path(name))
        for number, case in cases.items():
            began = time.monotonic()
            cost = measure(telegraf, prometheus, Path(name) / str(number), emissions, case)
            costs[str(number)] = cost
            print(f"bench: {cost}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return {
        "machine": {**machine, "taken by its host": report.shown(report.taken(before))},
        "versions": [f"Telegraf {version(telegraf)}", f"Prometheus {version(prometheus)}"],
        "sizes": {group: each._asdict() for group, each in sizes.items()},
        "compressed": lines.compressed(emissions),
        "costs": costs,
    }


def main(arguments: Sequence[str]) -> None:
    """Measure, and write."""
    every = dict(enumerate(CASES, 1))
    chosen = {int(number): every[int(number)] for number in arguments} or every
    results = measured(program("telegraf", "bench-fleet"), program("prometheus", "bench-fleet"), chosen)
    costs = results["costs"] if chosen == every else json.loads(RESULTS.read_text())["costs"] | results["costs"]
    results["costs"] = costs
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    plot.draw(results, RESULTS.with_suffix(".svg"))


if __name__ == "__main__":
    main(sys.argv[1:])
