"""Watch a busy simulated node for some minutes: does the guard's memory stay as it is, and is every event counted?

Standard library only. Run by `make soak`, with the Python of the virtual environment that holds the plugin.
Exit status 1 if the guard's memory in the last quarter is more than 1 MiB above that in the second one, if the
node counted an abort, or if what it delivered and what the plugin shows differ at the end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

START_SECONDS = 120.0  # on a machine that is busy with other things
STOP_SECONDS = 60.0
LOAD = ("--block-interval", "1", "--tx-rate", "200", "--reorg-every", "5", "--patience", str(STOP_SECONDS / 2))
GROWTH_BYTES = 1 << 20
TAIL_BYTES = 1 << 16  # holds the last line of the node's journal
COUNTED = {
    "blocks_connected_total": "blockConnected",
    "blocks_disconnected_total": "blockDisconnected",
    "mempool_tx_added_total": "transactionAddedToMempool",
    "mempool_tx_removed_total": "transactionRemovedFromMempool",
    "tip_updates_total": "updatedBlockTip",
    "chain_state_flushes_total": "chainStateFlushed",
    "utxo_cache_add_total": "add",
    "utxo_cache_spend_total": "spend",
    "utxo_cache_uncache_total": "uncache",
}
"""The plugin's counters, and the calls that the node counts."""


class Failure(Exception):
    """A sentence for the user; ends the run with exit status 1."""


def program() -> str:
    """The console script beside this Python, or else the one on the PATH."""
    beside = Path(sys.executable).parent / "telegraf-bitcoin-ipc"
    found = str(beside) if beside.exists() else shutil.which("telegraf-bitcoin-ipc")
    if not found:
        raise Failure("telegraf-bitcoin-ipc is not installed here: start this with `make soak`.")
    return found


class Process:
    """One process, with stdout and stderr in files."""

    def __init__(self, name: str, command: Sequence[str], directory: Path) -> None:
        self.name = name
        self._stdout, self._stderr = directory / f"{name}.stdout", directory / f"{name}.stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, process_group=0
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def stderr(self) -> str:
        """What it wrote to stderr."""
        return self._stderr.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._popen.poll() is not None

    def last_lines(self) -> list[str]:
        """The last whole lines of its stdout."""
        with self._stdout.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
            file.seek(start)
            lines = file.read().decode().split("\n")[:-1]
        return lines[1:] if start else lines

    def newline(self) -> None:
        """Send it a newline, as Telegraf does."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(b"\n")
        self._popen.stdin.flush()

    def stop(self) -> int:
        """End it by SIGTERM, or else SIGKILL, and return its exit status."""
        if not self.ended:
            self._popen.terminate()
        try:
            return self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()
        finally:
            if self._popen.stdin is not None:
                self._popen.stdin.close()


@contextmanager
def started(name: str, command: Sequence[str], directory: Path) -> Iterator[Process]:
    """Run a process for as long as the block lasts."""
    process = Process(name, command, directory)
    try:
        yield process
    finally:
        process.stop()


def wait_for(condition: Callable[[], T], seconds: float, what: str, *processes: Process) -> T:
    """Ask until the condition holds; raise Failure when the time is over or one of the processes has ended."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        for process in processes:
            if process.ended:
                raise Failure(f"{process.name} ended before {what}:\n{process.stderr}")
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
    return result


def guard_of(pid: int) -> int | None:
    """The id of the guard that a plugin runs."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"guard import loop" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return None


def resident(pid: int) -> int:
    """The bytes that a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def journal(node: Process) -> dict[str, Any]:
    """The newest line of the node's journal."""
    line: dict[str, Any] = json.loads(node.last_lines()[-1])
    return line


def shown(plugin: Process) -> dict[str, float]:
    """The newest values of the plugin's counters."""
    values = {}
    for line in plugin.last_lines():
        for field in line.split(" ")[1].split(","):
            name, _, text = field.partition("=")
            values[name] = float(text.removesuffix("i"))
    return values


def differences(node: Process, plugin: Process) -> list[str]:
    """One line for each counter that is not what the node delivered."""
    delivered, values = journal(node)["delivered"], shown(plugin)
    return [
        f"{name}: {values.get(name)}, and the node delivered {delivered.get(method, 0)}"
        for name, method in COUNTED.items()
        if values.get(name) != delivered.get(method, 0)
    ]


def sampled(seconds: float, node: Process, plugin: Process, guard: int) -> list[tuple[int, int]]:
    """The memory of guard and plugin, once a second."""
    samples, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for process in (node, plugin):
            if process.ended:
                raise Failure(f"{process.name} has ended:\n{process.stderr}")
        if guard_of(plugin.pid) != guard:
            raise Failure(f"the guard is not the same any more:\n{plugin.stderr}")
        samples.append((resident(guard), resident(plugin.pid)))
        time.sleep(min(left, 1.0))
    return samples


def quarters(samples: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The samples in four parts."""
    bounds = [len(samples) * quarter // 4 for quarter in range(5)]
    return [samples[start:end] for start, end in itertools.pairwise(bounds)]


def table(parts: list[list[tuple[int, int]]]) -> str:
    """The memory by quarter."""
    lines = [f"{'quarter':>8} {'samples':>8} {'guard KiB':>20} {'plugin KiB':>20}"]
    for number, part in enumerate(parts, 1):
        cells = []
        for sizes in zip(*part, strict=True):
            kib = [size // 1024 for size in sizes]
            cells.append(f"{min(kib)} {statistics.median(kib):.0f} {max(kib)}")
        lines.append(f"{number:>8} {len(part):>8} {cells[0]:>20} {cells[1]:>20}")
    return "\n".join([*lines, "(least, median, most)"])


def soak(seconds: float, directory: Path) -> list[str]:
    """Run it, print what was seen, and return the complaints."""
    name, path = program(), str(directory / "node.sock")
    with (
        started("node", [name, "simulate", *LOAD, path], directory) as node,
        started("plugin", [name, "--poll-interval", "1", "--emit-interval", "1", path], directory) as plugin,
    ):
        wait_for(
            lambda: "subscribed: utxo_cache" in plugin.stderr,
            START_SECONDS,
            "both subscriptions",
            node,
            plugin,
        )
        guard = guard_of(plugin.pid)
        if guard is None:
            raise Failure(f"the plugin has no guard:\n{plugin.stderr}")
        parts = quarters(sampled(seconds, node, plugin, guard))
        print(table(parts))
        status = node.stop()

        def equal() -> bool:
            plugin.newline()
            time.sleep(0.1)
            return not differences(node, plugin)

        complaints = []
        try:
            wait_for(equal, STOP_SECONDS, "equal totals", plugin)
        except Failure:
            complaints += differences(node, plugin)
        totals = journal(node)
        print(
            f"{sum(totals['delivered'].values())} events, the slowest answer took "
            f"{1000 * totals['slowest_callback_seconds']:.1f} ms, {totals['slow_callbacks']} took over 50 ms."
        )
        if status != 0 or totals["action"] != "stopped":
            complaints.append(f"the node ended with status {status}:\n{node.stderr}")
    second, last = (statistics.median(guards for guards, _ in part) for part in (parts[1], parts[3]))
    if last > second + GROWTH_BYTES:
        complaints.append(f"the guard has grown by {(last - second) / 1024:.0f} KiB")
    return complaints


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 if all is well, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="soak.py", description="Watch a busy simulated node for some minutes.")
    parser.add_argument(
        "--seconds", type=float, default=180, metavar="S", help="for so long, at least 8 (default: %(default)g)"
    )
    options = parser.parse_args(arguments)
    if not options.seconds >= 8:
        parser.error("--seconds: at least 8, for two samples in each quarter")
    try:
        with tempfile.TemporaryDirectory(prefix="telegraf-bitcoin-ipc-") as directory:
            complaints = soak(options.seconds, Path(directory))
    except Failure as failure:
        complaints = [str(failure)]
    except KeyboardInterrupt:
        complaints = ["interrupted"]
    for complaint in complaints:
        print(f"error: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
