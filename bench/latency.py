"""How long a node's calls take, undisturbed and disturbed."""

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench import subjects
from bench.driver import Node, wait_for
from bench.figures import RATIO, Figure, percentile, ratio, steps
from bench.scale import RATE, Scale
from bench.subjects import Plugin, Subject

PIPE_FILLS = 40  # emissions of several KB: the pipe of 64 KiB is full, and so is the plugin's queue
TAIL = 0.99
LATE = 2.0  # seconds that the plugin may be behind the node at the end


def utxo(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time per UTXO event in bursts: against `echo`, `pycapnp` and a busy `echo`, and its tail."""
    with ExitStack() as stack:
        several: list[Subject] = [
            stack.enter_context(subjects.echo(node)),
            stack.enter_context(subjects.plugin(node)),
            stack.enter_context(subjects.pycapnp(node)),
        ]
        calls = {subject.name: node.coins(subject.subscriber, scale.burst) for subject in several}
        for subject in several:
            node.burst(subject.subscriber, calls[subject.name][:1000])
        mean: dict[str, list[float]] = {name: [] for name in ("echo", "plugin", "pycapnp", "busy echo")}
        tail: dict[str, list[float]] = {subject.name: [] for subject in several}
        for number in range(scale.rounds):
            for subject in several[number % 3 :] + several[: number % 3]:
                took = steps(node.burst(subject.subscriber, calls[subject.name]))
                mean[subject.name].append(statistics.fmean(took))
                tail[subject.name].append(percentile(took, TAIL) / statistics.median(took))
            with subjects.busy_echo(node) as least:
                took = steps(node.burst(least.subscriber, node.coins(least.subscriber, scale.burst)))
                mean[least.name].append(statistics.fmean(took))
    yield Figure("UTXO event, plugin / echo", ratio(mean["plugin"], mean["echo"]), RATIO, 0.62)
    yield Figure("UTXO event, plugin / busy echo", ratio(mean["plugin"], mean["busy echo"]), RATIO, 1.2)
    yield Figure("UTXO event, busy echo / echo", ratio(mean["busy echo"], mean["echo"]), RATIO)
    yield Figure("UTXO event, plugin / pycapnp", ratio(mean["plugin"], mean["pycapnp"]), RATIO, 0.65)
    yield Figure("UTXO event, 99th percentile / median", statistics.median(tail["plugin"]), RATIO, 2.0)
    yield Figure("UTXO event, 99th percentile / median, echo", statistics.median(tail["echo"]), RATIO)
    for name, values in mean.items():
        yield Figure(f"UTXO event, {name}", statistics.median(values), "us")


@contextmanager
def _stopped(plugin: Plugin) -> Iterator[None]:
    plugin.process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        plugin.process.send(signal.SIGCONT)


@contextmanager
def _busy(plugin: Plugin) -> Iterator[None]:
    plugin.process.send(signal.SIGUSR1)
    began = time.monotonic()
    yield
    time.sleep(max(0.0, subjects.BUSY_SECONDS + subjects.QUIET_SECONDS - (time.monotonic() - began)))


@contextmanager
def _unread(plugin: Plugin) -> Iterator[None]:
    plugin.reading.clear()
    for _ in range(PIPE_FILLS):
        plugin.emit()
        time.sleep(0.01)
    try:
        yield
    finally:
        plugin.reading.set()


def disturbed(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time per UTXO event with the plugin stopped, busy and unread, against undisturbed."""
    ways: dict[str, Callable[[Plugin], object]] = {"stopped": _stopped, "unread": _unread}
    if scale.whole:
        ways["busy"] = _busy
    undisturbed: dict[str, list[float]] = {name: [] for name in ways}
    mean: dict[str, list[float]] = {name: [] for name in ways}
    with subjects.plugin(node, busy=True) as plugin:
        calls = node.coins(plugin.subscriber, scale.burst)

        def burst() -> float:
            return statistics.fmean(steps(node.burst(plugin.subscriber, calls)))

        burst()
        for _ in range(scale.rounds):
            for name, way in ways.items():
                undisturbed[name].append(burst())
                with way(plugin):  # type: ignore[attr-defined]
                    mean[name].append(burst())
    for name in ways:
        yield Figure(f"UTXO event, plugin {name} / undisturbed", ratio(mean[name], undisturbed[name]), RATIO, 1.1)


def blocks(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time of a `blockConnected` with 2 MB of block data."""
    took: dict[str, list[float]] = {"echo": [], "plugin": []}
    every: dict[str, list[float]] = {"echo": [], "plugin": []}
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for _ in range(scale.rounds):
            for subject in (echo, plugin):
                call = node.event(subject.subscriber, "blockConnected")
                times = []
                for _ in range(scale.blocks):
                    times += steps(node.burst(subject.subscriber, [call]))
                    time.sleep(0.01)  # blocks do not come back to back: let the plugin read the forwarded one
                took[subject.name].append(statistics.median(times))
                every[subject.name] += times
        lost = plugin.value("events_dropped_total")
        wait_for(
            lambda: plugin.value("blocks_connected_total") == scale.rounds * scale.blocks, "every block counted"
        )
    yield Figure("blockConnected of 2 MB, plugin / echo", ratio(took["plugin"], took["echo"]), RATIO, 1.2)
    yield Figure("blockConnected of 2 MB, 99th percentile", percentile(every["plugin"], TAIL) / 1e3, "ms", 1.0)
    yield Figure("blockConnected of 2 MB, 99th percentile, echo", percentile(every["echo"], TAIL) / 1e3, "ms")
    for name, values in took.items():
        yield Figure(f"blockConnected of 2 MB, {name}", statistics.median(values) / 1e3, "ms")
    yield Figure("blockConnected of 2 MB, events dropped", lost, "events", 0.0)


def mempool(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time of a `transactionAddedToMempool` at 1,000 per second, and whether the plugin keeps up."""
    median: dict[str, list[float]] = {"echo": [], "plugin": []}
    every: dict[str, list[float]] = {"echo": [], "plugin": []}
    count = round(RATE * scale.rate_seconds / scale.rounds)
    behind = 0.0
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for number in range(scale.rounds):
            for subject in (echo, plugin):
                calls = [node.event(subject.subscriber, "transactionAddedToMempool")] * count
                took = [nanoseconds / 1e3 for nanoseconds in node.paced(subject.subscriber, calls, RATE)]
                median[subject.name].append(statistics.median(took))
                every[subject.name] += took
            began, sent = time.monotonic(), count * (number + 1)
            wait_for(lambda sent=sent: plugin.value("mempool_tx_added_total") >= sent, "all counted")  # type: ignore[misc]
            behind = max(behind, time.monotonic() - began)
        lost = plugin.value("events_dropped_total")
    name = "transactionAddedToMempool at 1,000/s"
    yield Figure(f"{name}, plugin / echo", ratio(median["plugin"], median["echo"]), RATIO, 1.2)
    yield Figure(f"{name}, 99th percentile", percentile(every["plugin"], TAIL) / 1e3, "ms", 1.0)
    yield Figure(f"{name}, 99th percentile, echo", percentile(every["echo"], TAIL) / 1e3, "ms")
    for subject_name, values in median.items():
        yield Figure(f"{name}, {subject_name}", statistics.median(values), "us")
    yield Figure(f"{name}, events dropped", lost, "events", 0.0)
    yield Figure(f"{name}, all counted after the last", behind, "s", LATE)
