"""How costs grow: with the events of a block, with the peers, with the mempool's rate; a plot of each."""

import statistics
from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat
from pathlib import Path
from typing import NamedTuple

from bench import frames, subjects
from bench.cycles import bare, poll_times
from bench.driver import Node, prepared_answers
from bench.figures import Figure, percentile, slope

EVENTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
PEERS = (10, 30, 100, 300, 1_000)
RATES = (1, 10, 100, 1_000, 2_000, 5_000)
RATE_SECONDS = 5.0
PREPARED = 10_000
POLLS = 5


class Line(NamedTuple):
    """One line of a plot."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


class Plot(NamedTuple):
    """A plot, and where it is kept."""

    file: str
    title: str
    x: str
    y: str
    lines: Sequence[Line]


def grown(node: Node) -> Iterator[tuple[Plot, list[Figure]]]:
    """Yield each plot with the figures that go with it."""
    yield _events(node)
    yield _peers(node)
    yield _rates(node)


def _events(node: Node) -> tuple[Plot, list[Figure]]:
    lines, figures = [], []
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for subject in (echo, plugin):
            prepared = node.coins(subject.subscriber, PREPARED)
            seconds = []
            for count in EVENTS:
                calls = islice(chain.from_iterable(repeat(prepared)), count)
                moments = node.burst(subject.subscriber, calls)
                seconds.append((moments[-1] - moments[0]) / 1e9)
            lines.append(Line(subject.name, EVENTS, seconds))
            figures.append(
                Figure(
                    f"growth: time of a block by its UTXO events, {subject.name}",
                    slope(EVENTS, seconds),
                    "exponent",
                )
            )
    return Plot("events.svg", "A block by its UTXO events", "events", "seconds", lines), figures


def _peers(node: Node) -> tuple[Plot, list[Figure]]:
    usual, lines, figures = node.answers, list[Line](), list[Figure]()
    times: dict[str, list[float]] = {"plugin, groups default and peers": [], "bare calls": []}
    groups = "mempool,chain,network,fees,blocks,peers"
    with subjects.plugin(node, "--poll-interval", "0.2", "--metrics", groups) as plugin:
        for count in PEERS:
            node.answers = prepared_answers(frames.json_answers(frames.prepared_model(count)))
            poll_times(node, plugin, 1)
            times["plugin, groups default and peers"].append(
                statistics.median(poll_times(node, plugin, POLLS)) * 1e3
            )
            times["bare calls"].append(statistics.median(bare(node, POLLS, "peers")) * 1e3)
    node.answers = usual
    for name, milliseconds in times.items():
        lines.append(Line(name, PEERS, milliseconds))
        figures.append(
            Figure(f"growth: a poll by the number of peers, {name}", slope(PEERS, milliseconds), "exponent")
        )
    return Plot("peers.svg", "A poll by the number of peers", "peers", "milliseconds", lines), figures


def _rates(node: Node) -> tuple[Plot, list[Figure]]:
    lines = []
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for subject in (echo, plugin):
            call = node.event(subject.subscriber, "transactionAddedToMempool")
            medians, tails = [], []
            for rate in RATES:
                took = node.paced(subject.subscriber, [call] * max(round(rate * RATE_SECONDS), 5), rate)
                medians.append(statistics.median(took) / 1e3)
                tails.append(percentile(took, 0.99) / 1e3)
            lines += [
                Line(f"{subject.name}, median", RATES, medians),
                Line(f"{subject.name}, 99th percentile", RATES, tails),
            ]
        lost = plugin.value("events_dropped_total")
    figures = [
        Figure(f"growth: answer by the mempool's rate, {line.name}", slope(line.xs, line.ys), "exponent")
        for line in lines
    ]
    figures.append(Figure("growth: events dropped up to 5,000/s", lost, "events", 0.0))
    return Plot(
        "mempool.svg", "An answer by the mempool's rate", "transactions per second", "microseconds", lines
    ), figures


def draw(plot: Plot, directory: Path) -> None:
    """Write a plot as SVG, both axes logarithmic; the same data give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = plot.file
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(7, 4.2), layout="constrained")
    axes = canvas.subplots()
    for line in plot.lines:
        axes.loglog(line.xs, line.ys, marker="o", label=line.name)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    canvas.savefig(directory / plot.file, metadata={"Date": None})
