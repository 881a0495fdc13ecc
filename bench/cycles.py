"""The plugin's own pace: its start, a poll, an emission."""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from support.nodes import PROGRAM
from support.processes import Failure

from bench import subjects
from bench.driver import Node
from bench.figures import RATIO, Figure, Scale, ratio
from bench.subjects import HERE

POLL_SECONDS = "0.2"
ROUND_POLLS = 10


def start(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time from the start of the program to the first line that it writes."""
    took = []
    for _ in range(scale.starts):
        began = time.perf_counter()
        with subjects.running(node, PROGRAM, node.path) as process:
            process.reader.readline()
            took.append(time.perf_counter() - began)
            node.accepted()
    yield Figure("start to first emission", statistics.median(took), "s", 0.4)


def polls(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time of a poll of the default groups, against its bare calls."""
    name = "poll of the default groups"
    targets: dict[str, float | None] = {"plugin": 1.5, "plugin without guard": None}
    bare_times: list[float] = []
    for subject, target in targets.items():
        took: list[float] = []
        options = () if target else ("--no-guard",)
        with subjects.plugin(node, "--poll-interval", POLL_SECONDS, *options) as plugin:
            for _ in range(max(scale.polls // 3, 2)):
                took.append(statistics.median(poll_times(plugin, ROUND_POLLS)))
                bare_times.append(statistics.median(bare(node, ROUND_POLLS)))
        yield Figure(f"{name}, {subject} / its bare calls", ratio(took, bare_times[-len(took) :]), RATIO, target)
        yield Figure(f"{name}, {subject}", statistics.median(took) * 1e3, "ms")
    yield Figure(f"{name}, bare calls", statistics.median(bare_times) * 1e3, "ms")


def poll_times(plugin: subjects.Plugin, count: int) -> list[float]:
    """Return how long polls took as the plugin itself counts it, in seconds."""
    found: list[float] = []
    before = plugin.value("poll_duration_seconds")
    while len(found) < count:
        now = plugin.value("poll_duration_seconds")
        if now != before:
            found.append(now)
            before = now
        time.sleep(0.02)
    return found


def bare(node: Node, count: int, *groups: str) -> list[float]:
    """Return how long the same calls take with nothing around them, in seconds."""
    command = [sys.executable, "-P", str(HERE / "bare_calls.py"), str(node.path), str(count + 1), *groups]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    with contextlib.suppress(Failure):
        node.accepted()
    if done.returncode:
        raise Failure(done.stderr)
    return [float(line) for line in done.stdout.split()[1:]]


def emission(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time to encode and write the whole set."""
    del node
    command = [sys.executable, "-P", str(HERE / "emission.py"), str(scale.emissions)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    times = [float(line) for line in done.stdout.split()]
    yield Figure("encoding and writing the whole set", statistics.median(times), "ms", 2.0)
