"""How long a node's calls take, undisturbed and disturbed."""

import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from bench import subjects
from bench.driver import Node, wait_for
from bench.figures import RATE, RATIO, Figure, Scale, percentile, ratio, steps
from bench.subjects import Plugin

PIPE_FILLS = 40  # emissions of several KB: the pipe of 64 KiB is full, and so is the plugin's queue
TAIL = 0.99
LATE = 2.0  # seconds that the plugin may be behind the node at the end


def utxo(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time per UTXO event in bursts: against `echo`, `pycapnp` and a busy `echo`, and its tail."""
    mean, tail = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin, subjects.pycapnp(node) as pycapnp:
        several = [echo, plugin, pycapnp]
        calls = {subject.name: node.coins(subject.subscriber, scale.burst) for subject in several}
        for subject in several:
            node.burst(subject.subscriber, calls[subject.name][:1000])
        for number in range(scale.rounds):
            for subject in several[number % 3 :] + several[: number % 3]:
                took = steps(node.burst(subject.subscriber, calls[subject.name]))
                mean[subject.name].append(statistics.fmean(took))
                tail[subject.name].append(percentile(took, TAIL) / statistics.median(took))
            with subjects.echo(node, busy=True) as least:
                took = steps(node.burst(least.subscriber, node.coins(least.subscriber, scale.burst)))
                mean[least.name].append(statistics.fmean(took))
    yield Figure("UTXO event, plugin / echo", ratio(mean["plugin"], mean["echo"]), RATIO, 0.62)
    yield Figure("UTXO event, plugin / busy echo", ratio(mean["plugin"], mean["busy echo"]), RATIO, 1.2)
    yield Figure("UTXO event, busy echo / echo", ratio(mean["busy echo"], mean["echo"]), RATIO)
    yield Figure("UTXO event, plugin / pycapnp", ratio(mean["plugin"], mean["pycapnp"]), RATIO, 0.65)
    yield Figure("UTXO event, 99th percentile / median", statistics.median(tail["plugin"]), RATIO, 2.0)
    yield Figure("UTXO event, 99th percentile / median, echo", statistics.median(tail["echo"]), RATIO)
    for name in ("echo", "plugin", "pycapnp", "busy echo"):
        yield Figure(f"UTXO event, {name}", statistics.median(mean[name]), "us")


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
    ways: dict[str, Callable[[Plugin], AbstractContextManager[None]]] = {"stopped": _stopped, "unread": _unread}
    if scale.whole:
        ways["busy"] = _busy
    undisturbed, mean = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with subjects.plugin(node, busy=True) as plugin:
        calls = node.coins(plugin.subscriber, scale.burst)

        def burst() -> float:
            return statistics.fmean(steps(node.burst(plugin.subscriber, calls)))

        burst()
        for _ in range(scale.rounds):
            for name, way in ways.items():
                undisturbed[name].append(burst())
                with way(plugin):
                    mean[name].append(burst())
    for name in ways:
        yield Figure(f"UTXO event, plugin {name} / undisturbed", ratio(mean[name], undisturbed[name]), RATIO, 1.1)


Rounds = dict[str, list[list[float]]]
"""How long each call of each round took, in microseconds, by subject."""


def _figures(name: str, took: Rounds, unit: str, divisor: float, lost: float) -> Iterator[Figure]:
    """Yield the figures of a notification: of the plugin's medians, and of the calls of all rounds."""
    medians = {subject: list(map(statistics.median, rounds)) for subject, rounds in took.items()}

    def tail(rounds: Sequence[Sequence[float]]) -> float:
        return percentile([each for one in rounds for each in one], TAIL) / 1e3

    yield Figure(f"{name}, plugin / echo", ratio(medians["plugin"], medians["echo"]), RATIO, 1.2)
    yield Figure(f"{name}, 99th percentile", tail(took["plugin"]), "ms", 1.0)
    yield Figure(f"{name}, 99th percentile, echo", tail(took["echo"]), "ms")
    for subject, values in medians.items():
        yield Figure(f"{name}, {subject}", statistics.median(values) / divisor, unit)
    yield Figure(f"{name}, events dropped", lost, "events", 0.0)


def blocks(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time of a `blockConnected` with 2 MB of block data."""
    took: Rounds = {"echo": [], "plugin": []}
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for _ in range(scale.rounds):
            for subject in (echo, plugin):
                call = node.event(subject.subscriber, "blockConnected")
                times = []
                for _ in range(scale.blocks):
                    times += steps(node.burst(subject.subscriber, [call]))
                    time.sleep(0.01)  # blocks do not come back to back: let the plugin read the forwarded one
                took[subject.name].append(times)
        lost = plugin.value("events_dropped_total")
        sent = scale.rounds * scale.blocks
        wait_for(lambda: plugin.value("blocks_connected_total") == sent, "every block counted")
    yield from _figures("blockConnected of 2 MB", took, "ms", 1e3, lost)


def mempool(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time of a `transactionAddedToMempool` at 1,000 per second, and whether the plugin keeps up."""
    took: Rounds = {"echo": [], "plugin": []}
    count, sent = round(RATE * scale.rate_seconds / scale.rounds), 0
    behind = 0.0
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for _ in range(scale.rounds):
            for subject in (echo, plugin):
                calls = [node.event(subject.subscriber, "transactionAddedToMempool")] * count
                times = node.paced(subject.subscriber, calls, RATE)
                took[subject.name].append([nanoseconds / 1e3 for nanoseconds in times])
            began, sent = time.monotonic(), sent + count
            wait_for(lambda sent=sent: plugin.value("mempool_tx_added_total") >= sent, "all counted")  # type: ignore[misc]
            behind = max(behind, time.monotonic() - began)
        lost = plugin.value("events_dropped_total")
    name = "transactionAddedToMempool at 1,000/s"
    yield from _figures(name, took, "us", 1, lost)
    yield Figure(f"{name}, all counted after the last", behind, "s", LATE)
