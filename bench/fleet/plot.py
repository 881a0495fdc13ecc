"""The plot of the central Telegraf's cost by the number of nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import report

TIMEOUT_SECONDS = 10
"""Prometheus's default scrape_timeout."""


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write it as SVG, all axes logarithmic."""
    canvas = report.canvas(path, 9)
    left, right = canvas.subplots(1, 2)
    for interval in sorted({cost["interval"] for cost in results["costs"].values()}):
        costs = [cost for cost in results["costs"].values() if cost["interval"] == interval and not cost["batch"]]
        nodes = [cost["nodes"] for cost in costs]
        every = f"every {interval:g} s"
        for axes, field, marker, name in (
            (left, "telegraf_share", "o", "Telegraf"),
            (left, "prometheus_share", "s", "Prometheus"),
            (right, "scrape_median", "o", "scrape"),
            (right, "page_processor", "s", "processor time"),
        ):
            axes.loglog(nodes, [cost[field] for cost in costs], marker=marker, label=f"{name}, {every}")
    left.axhline(1, color="black", linestyle="--", label="one core")
    right.axhline(TIMEOUT_SECONDS, color="black", linestyle="--", label="scrape_timeout")
    left.set(title="Processor time of the central machine", xlabel="nodes", ylabel="share of one core")
    right.set(title="A scrape of the page", xlabel="nodes", ylabel="seconds")
    for axes in (left, right):
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend(fontsize="small")
    canvas.savefig(path, metadata={"Date": None})
