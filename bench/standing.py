"""The standing guard beside the plugin's own: the time per UTXO event, and what each further client takes."""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from support.processes import proportional

from bench import subjects
from bench.driver import Node, wait_for
from bench.figures import RATIO, Figure, Scale, ratio, steps
from bench.subjects import Plugin

MB = 1e6
FURTHER_CLIENTS = 3


def standing(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time per UTXO event in bursts through either guard, and the memory of further clients."""
    mean: dict[str, list[float]] = {"own guard": [], "standing guard": []}
    with (
        subjects.plugin(node) as own,
        subjects.standing_guard(node) as guard,
        subjects.plugin(node, guard=guard) as behind,
    ):
        several = [
            (times, plugin, node.coins(plugin.subscriber, scale.burst))
            for times, plugin in zip(mean.values(), (own, behind), strict=True)
        ]
        for _, plugin, calls in several:
            node.burst(plugin.subscriber, calls[:1000])
        for _ in range(scale.rounds):
            for times, plugin, calls in several:
                times.append(statistics.fmean(steps(node.burst(plugin.subscriber, calls))))
            several.reverse()
    figure = "UTXO event, standing guard / own guard"
    yield Figure(figure, ratio(mean["standing guard"], mean["own guard"]), RATIO, 1.05)
    for name, values in mean.items():
        yield Figure(f"UTXO event, {name}", statistics.median(values), "us")
    yield from _further_clients(node, scale)


def _further_clients(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the memory of a standing guard, pages that its processes share counted once."""
    with ExitStack() as stack:
        guard = stack.enter_context(subjects.standing_guard(node))
        plugins: list[Plugin] = []

        def taken() -> float:
            return sum(map(proportional, [guard.pid, *guard.relays])) / MB

        def serve() -> float:
            """Add a client, which gets UTXO events, and return the memory of all."""
            plugins.append(stack.enter_context(subjects.plugin(node, guard=guard)))
            subscriber = plugins[-1].subscriber
            node.burst(subscriber, node.coins(subscriber, scale.burst))
            return taken()

        nobody, one = taken(), serve()
        further = [serve() for _ in range(FURTHER_CLIENTS)][-1]
        for plugin in plugins:
            node.burst(plugin.subscriber, [node.event(plugin.subscriber, "blockConnected")])
        wait_for(lambda: all(each.value("blocks_connected_total") == 1 for each in plugins), "the block")
        kept = (taken() - further) / len(plugins)
    name = "memory of a standing guard"
    yield Figure(f"{name}, each further client", (further - one) / FURTHER_CLIENTS, "MB", 4.0)
    yield Figure(f"{name}, without a client", nobody, "MB")
    yield Figure(f"{name}, first client", one - nobody, "MB")
    yield Figure(f"{name}, kept by each client after a block of 2 MB, for the next", kept, "MB")
