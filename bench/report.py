"""What was measured, as a table for people, as results.json, and as the README's part."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import Figure

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"

REASONS: dict[str, str] = {
    "UTXO event, plugin / echo": "five system calls an event, in Python (profiled); and two cores for the node's "
    "two threads and a guard that polls busily.",
    "UTXO event, 99th percentile / median": "not established; probably the same two cores, for busy polling takes "
    "one of them.",
    "blockConnected of 2 MB, plugin / echo": "not established; probably new memory for each block, where `echo` "
    "reads into the same again.",
    "blockConnected of 2 MB, 99th percentile": "the transfer alone takes `echo` about as long in the median.",
    "transactionAddedToMempool at 1,000/s, plugin / echo": "not established; each is parsed whole.",
    "start to first emission": "imports: pydantic first, then importlib.metadata and asyncio (-X importtime).",
    "poll of the default groups / its bare calls": "not established; each call passes the guard there and back, "
    "and has a time limit around it.",
    "memory after an hour's events, guard": "not established; probably the memory of 2 MB blocks, kept by the C "
    "library.",
}
"""Why a target was not reached, by the figure's name: what was found, and what was not."""

SLOPES = {
    "events.svg": "growth: time of a block by its UTXO events, ",
    "peers.svg": "growth: a poll by the number of peers, ",
    "mempool.svg": "growth: answer by the mempool's rate, ",
}
"""The plots, and what the names of the figures with their slopes begin with."""


def machine() -> list[Figure]:
    """Return what the run was made on, and how busy that was when it began."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    processor = f"{len(os.sched_getaffinity(0))} x {models[0] if models else platform.machine()}"
    return [
        Figure("machine", processor, ""),
        Figure("system", f"Linux {platform.release()}, Python {platform.python_version()}", ""),
        Figure("load of others at the beginning", round(os.getloadavg()[0], 2), "processes"),
    ]


def save(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    """Write results.json: a list of objects with name, value, unit, target and met."""
    path.write_text(json.dumps([figure.as_object() for figure in figures], indent=1) + "\n")


def load(path: Path = RESULTS) -> list[Figure]:
    """Return what was saved."""
    objects: list[dict[str, Any]] = json.loads(path.read_text())
    return [Figure(each["name"], each["value"], each["unit"], each["target"]) for each in objects]


def table(figures: Sequence[Figure]) -> str:
    """Return a Markdown table, targets first; beneath it why what is not reached is not reached."""
    aimed = [figure for figure in figures if figure.target is not None]
    plain = [figure for figure in figures if figure.target is None]
    lines = ["| figure | measured | at most | reached |", "| --- | --- | --- | --- |"]
    for figure in aimed:
        lines.append(
            f"| {figure.name} | {shown(figure)} | {figure.target:g} | {'yes' if figure.met else '**no**'} |"
        )
    lines += [f"| {figure.name} | {shown(figure)} | | |" for figure in plain]
    missed = [
        f"- {figure.name}: {REASONS.get(figure.name, 'the reason is not known yet.')}"
        for figure in aimed
        if not figure.met
    ]
    return "\n".join(lines + (["", "Not reached, and why:", "", *missed] if missed else []))


def shown(figure: Figure) -> str:
    """Return the value with its unit, in three significant digits."""
    if isinstance(figure.value, str):
        return figure.value
    digits = f"{figure.value:.3g}" if abs(figure.value) < 1000 else f"{figure.value:.0f}"
    return f"{digits} {figure.unit}".strip() if figure.unit != "ratio" else digits


def readme_part(figures: Sequence[Figure]) -> str:
    """Return what stands in the README between the markers."""
    plots = [f"- [bench/{file}](bench/{file}): {_slopes(begin, figures)}" for file, begin in SLOPES.items()]
    head = "Cost as work grows, by the slope on logarithmic axes (1: in proportion, 0: not at all):"
    return "\n".join([table(figures), "", head, "", *plots])


def _slopes(begin: str, figures: Sequence[Figure]) -> str:
    """Return what a plot shows, with the slope of each of its lines."""
    slopes = [
        f"{figure.name.removeprefix(begin)} {figure.value:.2f}"
        for figure in figures
        if figure.name.startswith(begin) and isinstance(figure.value, float)
    ]
    return f"{begin.removeprefix('growth: ').removesuffix(', ')}: {'; '.join(slopes)}"


def write_readme(figures: Sequence[Figure], path: Path = README) -> None:
    """Put the figures into the README; raises ValueError without its markers."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no part between {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{readme_part(figures)}\n{END}{after}")
