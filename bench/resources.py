"""The cost while nothing fails: processor time and memory."""

import statistics
import time
from collections.abc import Iterator, Sequence

from support.processes import resident, wait_until

from bench import subjects
from bench.driver import Node
from bench.figures import RATIO, Figure, Scale, percentile, ratio
from bench.subjects import Plugin

MB = 1e6
HOUR_UTXO_BURSTS, HOUR_BURST = 6, 10_000  # six blocks; events of one (node-behaviour: about 10,000)
HOUR_TRANSACTIONS = 25_000  # seven a second
HOUR_EMISSIONS = 360
MAKES_SLEEP = 0.02
NEVER = "86400"  # seconds between two polls: none falls into the time in which nothing is to wake


def processor_per_event(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the processor time per UTXO event, busy polling off, and what busy polling costs."""
    cost: dict[str, list[float]] = {"pycapnp": [], "plugin": [], "polling busily": []}
    with (
        subjects.pycapnp(node) as pycapnp,
        subjects.plugin(node, spin=0) as plugin,
        subjects.plugin(node, "--poll-interval", NEVER) as spinning,
    ):
        several = list(zip(cost.values(), (pycapnp, plugin, spinning), strict=True))
        for _, subject in several:
            node.burst(subject.subscriber, node.coins(subject.subscriber, 1000))
        for _ in range(scale.rounds):
            for costs, subject in several:
                calls = node.coins(subject.subscriber, scale.burst)
                before = subjects.processor_seconds(*subject.pids)
                node.burst(subject.subscriber, calls)
                costs.append((subjects.processor_seconds(*subject.pids) - before) / len(calls) * 1e6)
        ends = list(_spin_ends(node, spinning, scale.spin_ends))
        idle = list(_idle(spinning, scale.idle_seconds))
    yield Figure("processor per UTXO event, plugin / pycapnp", ratio(cost["plugin"], cost["pycapnp"]), RATIO, 0.5)
    for name, values in cost.items():
        yield Figure(f"processor per UTXO event, {name}", statistics.median(values), "us")
    yield Figure("busy polling after the last event, median", statistics.median(ends), "ms", 1.0)
    yield Figure("busy polling after the last event, 99th percentile", percentile(ends, 0.99), "ms")
    yield from idle


def _spin_ends(node: Node, plugin: Plugin, trials: int) -> Iterator[float]:
    """Yield how long after an answer the guard goes to sleep, in milliseconds."""
    (call,) = node.coins(plugin.subscriber, 1)
    for _ in range(trials):
        node.burst(plugin.subscriber, [call])
        began = time.perf_counter()
        wait_until(lambda: subjects.sleeps(plugin.pids[1]), 1, "the guard sleeps", pause=0)
        yield (time.perf_counter() - began) * 1e3
        time.sleep(MAKES_SLEEP)


def _idle(plugin: Plugin, seconds: float) -> Iterator[Figure]:
    """Yield how often the idle processes wake, and what that costs."""
    time.sleep(subjects.QUIET_SECONDS)
    before = [subjects.wakes(pid) for pid in plugin.pids]
    processor = subjects.processor_seconds(*plugin.pids)
    time.sleep(seconds)
    woken = [(subjects.wakes(pid) - start) / seconds for pid, start in zip(plugin.pids, before, strict=True)]
    used = subjects.processor_seconds(*plugin.pids) - processor
    # The wait for a tip returns every 0.5 s; the plugin emits every 10 s, with a thread of its own for the pipe.
    yield Figure("idle: guard wakes", woken[1], "1/s", 2.2)
    yield Figure("idle: plugin wakes", woken[0], "1/s", 1.0)
    yield Figure("idle: processor, both", used / seconds * 100, "%")


def memory(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield what is resident after an hour's worth of events, and how it grows over ten bursts."""
    with subjects.plugin(node, "--poll-interval", "1") as plugin:
        subscriber = plugin.subscriber
        transaction = node.event(subscriber, "transactionAddedToMempool")
        calls = node.coins(subscriber, HOUR_BURST)
        for _ in range(HOUR_UTXO_BURSTS):
            node.burst(subscriber, calls)
            node.burst(subscriber, [node.event(subscriber, "blockConnected")])
            node.paced(subscriber, [transaction] * (HOUR_TRANSACTIONS // HOUR_UTXO_BURSTS), 1500)
            for _ in range(HOUR_EMISSIONS // HOUR_UTXO_BURSTS):
                plugin.emit()
                time.sleep(0.02)
        time.sleep(1.0)
        sizes = [resident(pid) / MB for pid in plugin.pids]
        yield Figure("memory after an hour's events, guard", sizes[1], "MB", 14.0)
        yield Figure("memory after an hour's events, plugin", sizes[0], "MB", 45.0)
        grown: list[Sequence[float]] = []
        calls = node.coins(subscriber, scale.burst)
        for _ in range(scale.bursts):
            node.burst(subscriber, calls)
            time.sleep(0.2)
            grown.append([resident(pid) / MB for pid in plugin.pids])
    for name, part in (("guard", 1), ("plugin", 0)):
        yield Figure(f"memory over ten bursts, growth, {name}", grown[-1][part] - grown[0][part], "MB", 0.1)
