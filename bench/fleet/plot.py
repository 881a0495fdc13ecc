"""The plot of the central Telegraf's cost by the number of nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 10
"""Prometheus's default scrape_timeout."""


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write it as SVG, all axes logarithmic; the same data give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = path.name
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(9, 4.2), layout="constrained")
    left, right = canvas.subplots(1, 2)
    for interval in sorted({cost["interval"] for cost in results["costs"].values()}):
        costs = [cost for cost in results["costs"].values() if cost["interval"] == interval and not cost["batch"]]
        nodes = [cost["nodes"] for cost in costs]
        every = f"every {interval:g} s"
        left.loglog(nodes, [cost["telegraf_share"] for cost in costs], marker="o", label=f"Telegraf, {every}")
        left.loglog(nodes, [cost["prometheus_share"] for cost in costs], marker="s", label=f"Prometheus, {every}")
        right.loglog(nodes, [cost["scrape_median"] for cost in costs], marker="o", label=f"scrape, {every}")
        right.loglog(
            nodes, [cost["page_processor"] for cost in costs], marker="s", label=f"processor time, {every}"
        )
    left.axhline(1, color="black", linestyle="--", label="one core")
    right.axhline(TIMEOUT_SECONDS, color="black", linestyle="--", label="scrape_timeout")
    left.set(title="Processor time of the central machine", xlabel="nodes", ylabel="share of one core")
    right.set(title="A scrape of the page", xlabel="nodes", ylabel="seconds")
    for axes in (left, right):
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend(fontsize="small")
    canvas.savefig(path, metadata={"Date": None})
