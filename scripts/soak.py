"""Watch a busy simulated node for some minutes: does the guard's memory stay as it is, and is every event counted?

Run by `make soak`, with the Python of the virtual environment that holds the plugin.
Exit status 1 if the guard's memory in the last quarter is more than 1 MiB above that in the second one, if the
node counted an abort, or if what it delivered and what the plugin shows differ at the end.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.counts import differences
from support.nodes import Plugin, SimulatedNode
from support.processes import Failure, children, resident

LOAD = ("--block-interval", "1", "--reorg-every", "5")
GROWTH_BYTES = 1 << 20


def sampled(seconds: float, node: SimulatedNode, plugin: Plugin) -> list[tuple[int, int]]:
    """The memory of guard and plugin, once a second."""
    samples, end = [], time.monotonic() + seconds
    (guard,) = children(plugin.pid)
    while (left := end - time.monotonic()) > 0:
        for process in (node, plugin):
            assert process.running, f"{process.name} has ended\n{process.log}"
        assert children(plugin.pid) == [guard], f"the guard is not the same any more\n{plugin.log}"
        samples.append((resident(guard), resident(plugin.pid)))
        time.sleep(min(left, 1.0))
    return samples


def table(parts: list[list[tuple[int, int]]]) -> str:
    """The memory by quarter."""
    lines = [f"{'quarter':>8} {'samples':>8} {'guard KiB':>20} {'plugin KiB':>20}"]
    for number, part in enumerate(parts, 1):
        kib = [[size // 1024 for size in sizes] for sizes in zip(*part, strict=True)]
        cells = [f"{min(each)} {statistics.median(each):.0f} {max(each)}" for each in kib]
        lines.append(f"{number:>8} {len(part):>8} {cells[0]:>20} {cells[1]:>20}")
    return "\n".join([*lines, "(least, median, most)"])


def soak(seconds: float, tx_rate: float, directory: Path) -> list[str]:
    """Run it, print what was seen, and return the complaints."""
    path = directory / "node.sock"
    with (
        SimulatedNode(path, directory, *LOAD, "--tx-rate", str(tx_rate), script=False) as node,
        Plugin(path, directory, "--poll-interval", "1", "--emit-interval", "1") as plugin,
    ):
        plugin.logged("subscribed: utxo_cache")
        samples = sampled(seconds, node, plugin)
        bounds = [len(samples) * quarter // 4 for quarter in range(5)]
        parts = [samples[start:end] for start, end in itertools.pairwise(bounds)]
        print(table(parts))
        status = node.stop()
        return [*miscounts(node, plugin), *growth(parts)] + (
            [] if (status, node.totals["action"]) == (0, "stopped") else [f"the node ended badly\n{node.log}"]
        )


def miscounts(node: SimulatedNode, plugin: Plugin) -> list[str]:
    """Wait until the plugin has counted all that the node delivered; return what it has not."""
    totals = node.totals
    print(
        f"{sum(totals['delivered'].values())} events, the slowest answer took "
        f"{1000 * totals['slowest_callback_seconds']:.1f} ms, {totals['slow_callbacks']} took over 50 ms."
    )
    try:
        plugin.shows(lambda series: not differences(series, node), "equal totals")
    except Failure:
        found = differences(plugin.latest, node)
        return [f"{name}: {shown}, and the node delivered {sent}" for name, (shown, sent) in found.items()]
    return []


def growth(parts: list[list[tuple[int, int]]]) -> list[str]:
    """Return a complaint if the guard's memory has grown from the second quarter to the last."""
    second, last = (statistics.median(guards for guards, _ in part) for part in (parts[1], parts[3]))
    return [f"the guard has grown by {(last - second) / 1024:.0f} KiB"] if last > second + GROWTH_BYTES else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 if all is well, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="soak.py", description="Watch a busy simulated node for some minutes.")
    parser.add_argument(
        "--seconds",
        type=float,
        default=180,
        metavar="S",
        help="how long, at least 8 s (default: %(default)g)",
    )
    parser.add_argument(
        "--tx-rate", type=float, default=200, metavar="N", help="transactions a second (default: %(default)g)"
    )
    options = parser.parse_args(arguments)
    if not options.seconds >= 8:
        parser.error("--seconds: at least 8, for two samples in each quarter")
    try:
        with tempfile.TemporaryDirectory(prefix="telegraf-bitcoin-ipc-") as directory:
            complaints = soak(options.seconds, options.tx_rate, Path(directory))
    except Failure as failure:
        complaints = [str(failure)]
    except KeyboardInterrupt:
        complaints = ["interrupted"]
    for complaint in complaints:
        print(f"error: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
