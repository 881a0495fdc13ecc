"""What a fleet costs, as tables: from bench/fleet.json, which `make bench-fleet` writes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS
from telegraf_bitcoin_ipc.ipc.catalogue import table

RESULTS: Final = Path(__file__).resolve().parents[1] / "bench" / "fleet.json"

ALWAYS: Final = "core and plugin"
INTERVALS: Final = (10, 60)
BLOCKS_AN_HOUR: Final = 6
"""After each block there is an emission more."""

SCRAPE_INTERVAL: Final = 15
HALF_A_CORE: Final = 0.5
HALF_THE_TIMEOUT: Final = 5.0
"""Seconds; Prometheus waits 10 s for a page unless told otherwise."""

Results = Mapping[str, Any]
Size = Mapping[str, int]
Cost = Mapping[str, float]


def load() -> Results:
    """Return the last run's figures."""
    results: Results = json.loads(RESULTS.read_text())
    return results


def lines_table(results: Results | None = None) -> str:
    """Return what one node sends, by group and by emission interval."""
    results = results or load()
    heads = [f"every {interval} s: lines, MB an hour" for interval in INTERVALS]
    rows = [_lines(f"`{group}`" if group != ALWAYS else group, size) for group, size in results["sizes"].items()]
    rows += [_lines(f"**{name}**", size) for name, size in _sums(results).items()]
    share = f"`outputs.http` sends these bytes compressed, to {_percent(results['compressed'])}."
    return "\n".join([table(("group", "series", "lines", "bytes", *heads), *rows), "", share])


def _lines(name: str, size: Size) -> tuple[str, ...]:
    hourly = [3600 // interval + BLOCKS_AN_HOUR for interval in INTERVALS]
    hours = [f"{size['lines'] * each:,}, {size['bytes'] * each / 1e6:.2f}" for each in hourly]
    return name, f"{size['series']:,}", f"{size['lines']:,}", f"{size['bytes']:,}", *hours


def _sums(results: Results) -> dict[str, Size]:
    """Return the sizes with the default groups, and with all."""
    sizes: Mapping[str, Size] = results["sizes"]
    default = [size for group, size in sizes.items() if group in (ALWAYS, *DEFAULT_GROUPS)]
    return {"default groups": _sum(default), "all groups": _sum([*sizes.values()])}


def _sum(sizes: Sequence[Size]) -> Size:
    return {name: sum(size[name] for size in sizes) for name in sizes[0]}


def central_table(results: Results | None = None) -> str:
    """Return the measured cost of a central Telegraf and its Prometheus, with where and with what."""
    results = results or load()
    rows = [tuple(show(cost) for _, show in COLUMNS) for cost in results["costs"].values()]
    machine = results["machine"]
    where = f"With {' and '.join(results['versions'])}, on {machine['machine']}, {machine['system']}."
    return "\n".join([table(tuple(head for head, _ in COLUMNS), *rows), "", where])


def _interval(cost: Cost) -> str:
    return f"{cost['interval']:g} s" + (f", batches of {cost['batch']:,}" if cost["batch"] else "")


def _scrape(cost: Cost) -> str:
    failed = f", {cost['scrapes_failed']} failed" if cost["scrapes_failed"] else ""
    return f"{cost['scrape_median']:.2f} s, {cost['scrape_longest']:.2f} s{failed}"


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %"


def _megabytes(size: float) -> str:
    return f"{float(f'{size / 1e6:.2g}'):g} MB"


COLUMNS: Final[Sequence[tuple[str, Callable[[Cost], str]]]] = (
    ("nodes", lambda cost: f"{cost['nodes']:,}"),
    ("interval", _interval),
    ("lines a second", lambda cost: f"{cost['lines_per_second']:,.0f}"),
    ("Telegraf: of one core", lambda cost: _percent(cost["telegraf_share"])),
    ("memory", lambda cost: _megabytes(cost["telegraf_memory"])),
    ("lines dropped", lambda cost: f"{cost['dropped']:,}"),
    ("page", lambda cost: _megabytes(cost["page_bytes"]) if cost["page_bytes"] else "cut off"),
    ("processor time of a page", lambda cost: f"{cost['page_processor']:.2f} s"),
    ("scrape: median, longest", _scrape),
    ("series", lambda cost: f"{cost['series']:,}"),
    ("Prometheus: of one core", lambda cost: _percent(cost["prometheus_share"])),
    ("memory", lambda cost: _megabytes(cost["prometheus_memory"])),
)
"""The cost of a case, column by column."""


def limits_table(results: Results | None = None) -> str:
    """Return how many nodes one central Telegraf serves, calculated from the costs of a line and of a page."""
    results = results or load()
    line, series = costs(results)
    heads = ("groups", "interval", "half a core", "a page of 5 s of processor time")
    text = (
        f"One line costs the central Telegraf {line * 1e6:.0f} us of processor time, and each series "
        f"{series * 1e6:.1f} us in every scrape (every {SCRAPE_INTERVAL} s). The limits are at about "
        "this number of nodes:"
    )
    return "\n".join([text, "", table(heads, *_limits(results, line, series))])


def _limits(results: Results, line: float, series: float) -> Iterator[tuple[str, ...]]:
    for name, size in _sums(results).items():
        for interval in INTERVALS:
            share = size["lines"] / interval * line + size["series"] / SCRAPE_INTERVAL * series
            page = size["series"] * series
            yield name, f"{interval} s", _about(HALF_A_CORE / share), _about(HALF_THE_TIMEOUT / page)


def costs(results: Results) -> tuple[float, float]:
    """Return the processor seconds of a line (from the most lines), and of a series in a scrape (most nodes)."""
    usual = [cost for cost in results["costs"].values() if not cost["batch"]]
    lines, pages = (max(usual, key=lambda cost: cost[name]) for name in ("lines_per_second", "nodes"))
    of_pages = lines["page_processor"] / lines["scrape_interval"]
    return (
        (lines["telegraf_share"] - of_pages) / lines["lines_per_second"],
        pages["page_processor"] / (pages["nodes"] * _sums(results)["all groups"]["series"]),
    )


def _about(number: float) -> str:
    return f"{float(f'{number:.2g}'):,.0f}"
