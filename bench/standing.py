"""The standing guard beside the plugin's own: the time per UTXO event, and what each further client takes."""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from support.processes import proportional

from bench import subjects
from bench.driver import Node, wait_for
from bench.figures import RATIO, Figure, ratio, steps
from bench.scale import Scale
from bench.subjects import Plugin, Subject

MB = 1e6
FURTHER_CLIENTS = 3


def standing(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the time per UTXO event in bursts through either guard, and the memory of further clients."""
    with ExitStack() as stack:
        by_name: dict[str, Subject] = {"own guard": stack.enter_context(subjects.plugin(node))}
        guard = stack.enter_context(subjects.standing_guard(node))
        by_name["standing guard"] = stack.enter_context(subjects.plugin(node, guard=guard))
        calls = {name: node.coins(subject.subscriber, scale.burst) for name, subject in by_name.items()}
        mean: dict[str, list[float]] = {name: [] for name in by_name}
        for name, subject in by_name.items():
            node.burst(subject.subscriber, calls[name][:1000])
        for number in range(scale.rounds):
            for name in sorted(by_name, reverse=bool(number % 2)):
                took = steps(node.burst(by_name[name].subscriber, calls[name]))
                mean[name].append(statistics.fmean(took))
    yield Figure(
        "UTXO event, standing guard / own guard", ratio(mean["standing guard"], mean["own guard"]), RATIO, 1.05
    )
    for name, values in mean.items():
        yield Figure(f"UTXO event, {name}", statistics.median(values), "us")
    yield from _further_clients(node, scale)


def _further_clients(node: Node, scale: Scale) -> Iterator[Figure]:
    """Yield the memory of a standing guard, pages that its processes share counted once."""
    with ExitStack() as stack:
        guard = stack.enter_context(subjects.standing_guard(node))
        plugins: list[Plugin] = []

        def taken() -> float:
            return sum(map(proportional, guard.pids)) / MB

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
            wait_for(lambda plugin=plugin: plugin.value("blocks_connected_total") == 1, "the block")  # type: ignore[misc]
        kept = (taken() - further) / len(plugins)
    name = "memory of a standing guard"
    yield Figure(f"{name}, each further client", (further - one) / FURTHER_CLIENTS, "MB", 4.0)
    yield Figure(f"{name}, without a client", nobody, "MB")
    yield Figure(f"{name}, first client", one - nobody, "MB")
    yield Figure(f"{name}, kept by each client after a block of 2 MB, for the next", kept, "MB")
