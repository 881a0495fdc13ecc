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
    "UTXO event, plugin / echo": "two cores for the two threads of the node, a guard that polls busily and whatever "
    "else runs; with a core to spare 0.82 to 0.93 was seen. The rest is Python: five system calls an event.",
    "UTXO event, 99th percentile / median": "the scheduler gives the guard's core, on which it polls busily, to "
    "another process for some milliseconds.",
    "blockConnected of 2 MB, plugin / echo": "the guard reads into new memory for each block, `echo` always into the "
    "same.",
    "blockConnected of 2 MB, 99th percentile": "2 MB through a socket that holds 208 KiB take `echo` 1.1 ms, too; "
    "beyond that it is the scheduler, at each of some ten hand-overs.",
    "transactionAddedToMempool at 1,000/s, plugin / echo": "the guard sleeps between two transactions and parses "
    "each whole; a form as for UTXO events is not made for them.",
    "idle: guard wakes": "the poll of every 60 s fell into the 10 s that were watched; without it 2.0 was measured.",
    "idle: plugin wakes": "the poll of every 60 s fell into the 10 s that were watched; without it 0 was measured.",
    "start to first emission": "imports take 0.3 s of it: pydantic first, then importlib.metadata and asyncio.",
    "poll of the default groups / its bare calls": "each call goes through the guard, in Python, there and back: "
    "two processes more to be woken, and a time limit around each call.",
    "memory after an hour's events, guard": "after blocks of 2 MB the C library keeps their memory for the next "
    "(its threshold for returning it grows with the largest); before the first block it is 13.5 MB.",
}
"""Why a target was not reached, by the figure's name: what was found, in a sentence."""

SLOPES = {
    "events.svg": "The time of a block grows linearly with its events (exponent about 1): an event costs the same "
    "in a block of 1,000 and of 1,000,000.",
    "peers.svg": "A poll with the group `peers` grows with `getpeerinfo`'s answer, slower than linearly while the "
    "fixed calls weigh; the default groups do not grow at all.",
    "mempool.svg": "The time of an answer does not grow with the rate (exponent below 0): at a higher rate fewer "
    "sleeps lie between two events.",
}
"""A sentence on the slope of each plot."""


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
    plots = [f"- [bench/{file}](bench/{file}): {sentence}" for file, sentence in SLOPES.items()]
    return "\n".join([table(figures), "", "Cost as work grows:", "", *plots])


def write_readme(figures: Sequence[Figure], path: Path = README) -> None:
    """Put the figures into the README; raises ValueError without its markers."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no part between {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{readme_part(figures)}\n{END}{after}")
