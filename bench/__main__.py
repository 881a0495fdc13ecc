"""Measure the installed plugin: prints a table, writes results.json, the plots and the table in bench/README.md.

Usage: python -P bench [--short] [NAME ...]   (only the named measurements; writes nothing)
With --short: takes seconds and writes nothing; exit status 1 on a gross regression, a ratio of more than twice its
target in each of three runs, unless the machine's host has taken processor time meanwhile.
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

# After the installed packages, so that the installed plugin is measured, not the checkout.
ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "tests")]

from bench import cycles, growth, latency, report, resources, standing  # noqa: E402
from bench.driver import Node  # noqa: E402
from bench.figures import FULL, SHORT, Figure, Scale  # noqa: E402

MEASURES: Mapping[str, Callable[[Node, Scale], Iterator[Figure]]] = {
    "utxo": latency.utxo,
    "standing": standing.standing,
    "disturbed": latency.disturbed,
    "blocks": latency.blocks,
    "mempool": latency.mempool,
    "processor": resources.processor_per_event,
    "start": cycles.start,
    "polls": cycles.polls,
    "emission": cycles.emission,
    "memory": resources.memory,
    "growth": growth.grown,
}
WHOLE = ("memory", "growth")
"""Those that take minutes in any case."""

TRIES = 3
"""A ratio must be gross in this many short runs: other work on the machine can spoil one."""

TAKEN_PERCENT = 5.0
"""The largest share of processor time that the machine's host may take in a meaningful run."""


def measured(node: Node, scale: Scale, names: Sequence[str]) -> Iterator[Figure]:
    """Yield the figures of the measures of these names."""
    for name, measure in MEASURES.items():
        if name in names:
            began = time.monotonic()
            yield from measure(node, scale)
            print(f"bench: {name}, {time.monotonic() - began:.0f} s", file=sys.stderr)


def run(scale: Scale, names: Sequence[str]) -> list[Figure]:
    """Measure these, and print the table."""
    figures, before = report.machine(), report.stolen()
    with tempfile.TemporaryDirectory(prefix="tbi-") as directory:
        node = Node(Path(directory) / "node.sock")
        gc.collect()
        gc.disable()  # a collection in this process must not be measured
        try:
            figures += measured(node, scale, names)
        finally:
            gc.enable()
            node.close()
    figures.append(report.taken(before))
    print(report.table(figures))
    return figures


def short(names: Sequence[str]) -> int:
    """Measure in seconds; returns the exit status."""
    for _ in range(TRIES):
        *figures, taken = run(SHORT, names)
        gross = [figure for figure in figures if figure.gross]
        for figure in gross:
            said = f"{report.shown(figure)}, more than twice {figure.target:g}"
            print(f"bench: {figure.name}: {said}", file=sys.stderr)
        if not gross:
            return 0
        if isinstance(taken.value, float) and taken.value > TAKEN_PERCENT:
            print(f"bench: this run is inconclusive: {taken.name} was {report.shown(taken)}", file=sys.stderr)
            return 0
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the installed plugin.")
    parser.add_argument(
        "--short", action="store_true", help="run for some seconds, and fail only on a gross regression"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASURES))
    options = parser.parse_args(arguments)
    if options.short:
        return short(options.names or [name for name in MEASURES if name not in WHOLE])
    figures = run(FULL, options.names or [*MEASURES])
    if not options.names:
        report.save(figures)
        report.write_readme(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
