"""How costs grow: with the events of a block, with the peers, with the mempool's rate; a plot of each."""

import statistics
from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat
from typing import NamedTuple

from bench import frames, report, subjects
from bench.cycles import bare, poll_times
from bench.driver import Node, prepared_answers
from bench.figures import Figure, Scale, percentile, slope

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


def grown(node: Node, scale: Scale) -> Iterator[Figure]:
    """Draw each plot, and yield the slope of each of its lines, and what was lost."""
    del scale
    for what, plot in (
        ("time of a block by its UTXO events", _events(node)),
        ("a poll by the number of peers", _peers(node)),
    ):
        draw(plot)
        yield from _slopes(what, plot)
    plot, lost = _rates(node)
    draw(plot)
    yield from _slopes("answer by the mempool's rate", plot)
    yield Figure("growth: events dropped up to 5,000/s", lost, "events", 0.0)


def _slopes(what: str, plot: Plot) -> Iterator[Figure]:
    for line in plot.lines:
        yield Figure(f"growth: {what}, {line.name}", slope(line.xs, line.ys), "exponent")


def _events(node: Node) -> Plot:
    lines = []
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for subject in (echo, plugin):
            prepared = node.coins(subject.subscriber, PREPARED)
            seconds = []
            for count in EVENTS:
                calls = islice(chain.from_iterable(repeat(prepared)), count)
                moments = node.burst(subject.subscriber, calls)
                seconds.append((moments[-1] - moments[0]) / 1e9)
            lines.append(Line(subject.name, EVENTS, seconds))
    return Plot("events.svg", "A block by its UTXO events", "events", "seconds", lines)


def _peers(node: Node) -> Plot:
    usual = node.answers
    polls, calls = list[float](), list[float]()
    groups = "mempool,chain,network,fees,blocks,peers"
    with subjects.plugin(node, "--poll-interval", "0.2", "--metrics", groups) as plugin:
        for count in PEERS:
            node.answers = prepared_answers(frames.json_answers(frames.prepared_model(count)))
            poll_times(plugin, 1)
            polls.append(statistics.median(poll_times(plugin, POLLS)) * 1e3)
            calls.append(statistics.median(bare(node, POLLS, "peers")) * 1e3)
    node.answers = usual
    lines = [Line("plugin, groups default and peers", PEERS, polls), Line("bare calls", PEERS, calls)]
    return Plot("peers.svg", "A poll by the number of peers", "peers", "milliseconds", lines)


def _rates(node: Node) -> tuple[Plot, float]:
    lines = []
    with subjects.echo(node) as echo, subjects.plugin(node) as plugin:
        for subject in (echo, plugin):
            call = node.event(subject.subscriber, "transactionAddedToMempool")
            medians, tails = [], []
            for rate in RATES:
                took = node.paced(subject.subscriber, [call] * max(round(rate * RATE_SECONDS), 5), rate)
                medians.append(statistics.median(took) / 1e3)
                tails.append(percentile(took, 0.99) / 1e3)
            lines.append(Line(f"{subject.name}, median", RATES, medians))
            lines.append(Line(f"{subject.name}, 99th percentile", RATES, tails))
        lost = plugin.value("events_dropped_total")
    title = "An answer by the mempool's rate"
    return Plot("mempool.svg", title, "transactions per second", "microseconds", lines), lost


def draw(plot: Plot) -> None:
    """Write a plot as SVG, both axes logarithmic."""
    path = report.HERE / plot.file
    canvas = report.canvas(path, 7)
    axes = canvas.subplots()
    for line in plot.lines:
        axes.loglog(line.xs, line.ys, marker="o", label=line.name)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    canvas.savefig(path, metadata={"Date": None})
