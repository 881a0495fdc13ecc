"""The kinds of panel: their queries, their descriptions from the catalogue, their place in a row."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.gauge import Panel as Gauge
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

from dashboards.absence import sentence
from dashboards.queries import metrics_in, value
from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT, Metric

Panel = Stat | Gauge | Timeseries
P = TypeVar("P", Stat, Gauge, Timeseries)
Steps = Mapping[float, str]
"""Colours by the value at which they begin; green below the first, unless there is one for -infinity."""

LOWEST: Final = float("-inf")

DATA_SOURCE: Final = DataSourceRef("prometheus", "${datasource}")

LEGEND: Final = "{{node}} {{instance}}"
"""The node of a line; Grafana omits a label that a series does not have."""


def stat(
    title: str,
    expression: str,
    unit: str = "none",
    *,
    width: int = 3,
    steps: Steps | None = None,
    texts: Mapping[int, tuple[str, str]] | None = None,
    name: str = LEGEND,
    decimals: int | None = None,
    note: str = "",
    nothing: str = "",
) -> Stat:
    """Return a panel with the current value.

    `texts` are text and colour to show in place of a value; `name` is shown beside it, if given. A value that the
    node no longer reports is not shown: the query is for now, not for the last value in the time range.
    """
    panel = _common(Stat(), title, {name: expression}, unit, decimals, note, nothing, now=True)
    panel.height(4).span(width).color_mode(common.BigValueColorMode.VALUE)
    panel.graph_mode(common.BigValueGraphMode.NONE).reduce_options(_last())
    panel.thresholds(_thresholds(steps or {}))
    if texts:
        panel.mappings([ValueMap({str(key): ValueMappingResult(*shown) for key, shown in texts.items()})])
    if name != LEGEND:
        panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    return panel


def words(title: str, expression: str, name: str, *, width: int, note: str = "") -> Stat:
    """Return a panel with the labels of a series instead of its value."""
    panel = stat(title, expression, width=width, name=name, note=note)
    return panel.text_mode(common.BigValueTextMode.NAME)


def gauge(title: str, expression: str, *, width: int, steps: Steps, decimals: int) -> Gauge:
    """Return a panel with a share from 0 to 1."""
    panel = _common(Gauge(), title, {LEGEND: expression}, "percentunit", decimals, "", "", now=True)
    panel.height(4).span(width).reduce_options(_last())
    return panel.min(0).max(1).thresholds(_thresholds(steps))


def graph(
    title: str,
    lines: Mapping[str, str],
    unit: str = "none",
    *,
    width: int = 8,
    steps: Steps | None = None,
    bars: bool = False,
    stacked: bool = False,
    least: float | None = 0,
    most: float | None = None,
    decimals: int | None = None,
    interval: str = "",
    note: str = "",
    nothing: str = "",
) -> Timeseries:
    """Return a panel with lines over time: expressions by name.

    The axis begins at `least`, or at the lowest value if that is None. `steps` are drawn as lines; `interval` is
    the shortest step between two points. Unknown values leave a gap.
    """
    named = {f"{name} {LEGEND}".strip(): expression for name, expression in lines.items()}
    panel = _common(Timeseries(), title, named, unit, decimals, note, nothing, now=False)
    panel.height(8).span(width).fill_opacity(50 if stacked or bars else 10)
    panel.show_points(common.VisibilityMode.NEVER if not bars else common.VisibilityMode.AUTO)
    panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if bars:
        panel.draw_style(common.GraphDrawStyle.BARS)
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if steps:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_thresholds({LOWEST: "transparent", **steps})).thresholds_style(style)
    if interval:
        panel.interval(interval)
    if least is not None:
        panel.min(least)
    return panel if most is None else panel.max(most)


def _common(
    panel: P,
    title: str,
    lines: Mapping[str, str],
    unit: str,
    decimals: int | None,
    note: str,
    nothing: str,
    *,
    now: bool,
) -> P:
    """Set what all kinds of panel have in common; a line is an expression, or the name of a metric."""
    expressions = {name: value(line) if line.isidentifier() else line for name, line in lines.items()}
    metrics = metrics_in(*expressions.values())
    panel.title(title).unit(unit).datasource(DATA_SOURCE)
    panel.description(_description(metrics, note))
    panel.no_value(sentence(metrics, nothing))
    for reference, (name, expression) in zip("ABCD", expressions.items(), strict=False):
        query = Dataquery().expr(expression).legend_format(name).ref_id(reference)
        panel.with_target(query.instant() if now else query.range())
    return panel if decimals is None else panel.decimals(decimals)


def _description(metrics: Sequence[Metric], note: str) -> str:
    helps = [f"{MEASUREMENT}_{metric.name}: {metric.help}" for metric in metrics]
    return "\n\n".join([note, *helps] if note else helps)


def _last() -> Any:
    return common_builders.ReduceDataOptions().calcs(["last"]).values(False)


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    coloured = {LOWEST: "green", **steps}
    values = [Threshold(None if value == LOWEST else value, colour) for value, colour in coloured.items()]
    return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(values)
