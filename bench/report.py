"""The results as a table, as results.json, and as a part of bench/README.md."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import Figure

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"

BESIDE_THE_NODE = (
    "on two cores a thread of the node sometimes waits until the plugin has finished its work "
    "(seen with perf sched)."
)
REASONS: dict[str, str] = {
    "UTXO event, plugin / echo": (
        "most of it is the driver and the kernel; `busy echo / echo` is about the least for a Python process."
    ),
    "UTXO event, 99th percentile / median": BESIDE_THE_NODE,
    "UTXO event, plugin unread / undisturbed": "differs from run to run, above and below 1.",
    "UTXO event, plugin busy / undisturbed": "differs from run to run: a busy plugin takes one of two cores; "
    "the guard, which polls busily, and the node's threads share the other.",
    "start to first emission": "imports take most of it, above all pydantic's (-X importtime).",
    "encoding and writing the whole set": "half of it is the line library, which rebuilds each line (cProfile).",
    "blockConnected of 2 MB, 99th percentile": "the node's socket takes 200 KB at a time, so 2 MB need ten "
    "switches between two processes; these alone take `echo` about as long in the median. Also, "
    + BESIDE_THE_NODE,
    "transactionAddedToMempool at 1,000/s, 99th percentile": BESIDE_THE_NODE,
    "poll of the default groups, plugin / its bare calls": "each call and each answer also wakes the guard. The "
    "rest, without the guard, is a task and a time limit per call, because a call must never be cancelled. "
    "Concurrent calls would save time, but one at a time is easier on the node.",
    "transactionAddedToMempool at 1,000/s, plugin / echo": "the guard also forwards each one, after the "
    "answer; that work weighs more where `echo` is quick.",
    "memory after an hour's events, guard": "Python's json, with which the guard checks the plugin's JSON-RPC "
    "requests, takes 0.7 MB of it.",
}
"""Why a target is missed, by the figure's name."""

SLOPES = {
    "events.svg": "growth: time of a block by its UTXO events, ",
    "peers.svg": "growth: a poll by the number of peers, ",
    "mempool.svg": "growth: answer by the mempool's rate, ",
}
"""The plots, and the prefix of the names of the figures with their slopes."""


def program(name: str, target: str) -> Path:
    """Return the program of that name, which make has found or built."""
    variable = f"{name.upper()}_BINARY"
    if not (path := os.environ.get(variable)):
        raise SystemExit(f"error: {variable} is not set: start this with `make {target}`")
    return Path(path)


def version(binary: Path) -> str:
    """Return the version that a program prints."""
    done = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True)
    return next(word for word in (done.stdout or done.stderr).replace(",", " ").split() if word[0].isdigit())


def canvas(path: Path, width: float) -> Any:
    """Return an empty plot; saved with `metadata={"Date": None}`, the same data give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = path.name
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(width, 4.2), layout="constrained")


def machine() -> list[Figure]:
    """Return the machine, its system, and its load at the beginning of the run."""
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


def stolen() -> tuple[int, int]:
    """Return the processor time that a virtual machine's host kept for others, and all of it, since the boot."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[7], sum(ticks)


def taken(before: tuple[int, int]) -> Figure:
    """Return how much of the processors' time the host has kept for others since `before`."""
    (kept, every), (kept_before, every_before) = stolen(), before
    share = (kept - kept_before) / max(every - every_before, 1)
    return Figure("processor time taken by the machine's host", share * 100, "%")


def save(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    """Write results.json: a list of objects with name, value, unit, target and met."""
    path.write_text(json.dumps([figure.as_object() for figure in figures], indent=1) + "\n")


def load(path: Path = RESULTS) -> list[Figure]:
    """Return the saved figures."""
    objects: list[dict[str, Any]] = json.loads(path.read_text())
    return [Figure(each["name"], each["value"], each["unit"], each["target"]) for each in objects]


def table(figures: Sequence[Figure]) -> str:
    """Return a Markdown table, figures with targets first, and below it why targets are missed."""
    aimed = [figure for figure in figures if figure.target is not None]
    plain = [figure for figure in figures if figure.target is None]
    lines = ["| figure | measured | target (at most) | met |", "| --- | --- | --- | --- |"]
    for figure in aimed:
        lines.append(
            f"| {figure.name} | {shown(figure)} | {figure.target:g} | {'yes' if figure.met else '**no**'} |"
        )
    lines += [f"| {figure.name} | {shown(figure)} | | |" for figure in plain]
    missed = [
        f"- {figure.name}: {REASONS.get(figure.name, 'reason not known yet.')}"
        for figure in aimed
        if not figure.met
    ]
    return "\n".join(lines + (["", "Why targets are missed:", "", *missed] if missed else []))


def shown(figure: Figure) -> str:
    """Return the value with its unit, in three significant digits."""
    if isinstance(figure.value, str):
        return figure.value
    digits = f"{figure.value:.3g}" if abs(figure.value) < 1000 else f"{figure.value:.0f}"
    return f"{digits} {figure.unit}".strip() if figure.unit != "ratio" else digits


def readme_part(figures: Sequence[Figure]) -> str:
    """Return the text between the README's markers."""
    plots = [f"- [{file}]({file}): {_slopes(begin, figures)}" for file, begin in SLOPES.items()]
    head = "Growth of the cost with the work, as the slope on logarithmic axes (1: proportional, 0: constant):"
    return "\n".join([table(figures), "", head, "", *plots])


def _slopes(begin: str, figures: Sequence[Figure]) -> str:
    """Return a plot's title, with the slope of each of its lines."""
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
