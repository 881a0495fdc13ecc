"""The catalogue of metrics as Markdown, with the source of each value in each dialect."""

from collections.abc import Collection
from typing import Final

from telegraf_bitcoin_ipc.collect.dialect import Dialect
from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, CATALOGUE, GROUPS, MEASUREMENT, Metric
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS


def _columns() -> dict[str, Dialect]:
    """Return the dialects that have a column, by its title: one that only lacks metrics shares another's."""
    columns: list[list[Dialect]] = []
    for dialect in DIALECTS:
        for column in columns:
            others = column[0].origins
            if all(origin in (None, others[metric]) for metric, origin in dialect.origins.items()):
                column.append(dialect)
                break
        else:
            columns.append([dialect])
    return {", ".join(dialect.name for dialect in column): column[0] for column in columns}


_COLUMNS: Final = _columns()

_HEAD: Final = ("metric", "type", "tags", *_COLUMNS, "meaning")

_INTRODUCTION: Final = f"""\
The plugin writes the measurement `{MEASUREMENT}` with one field per metric. On Telegraf's Prometheus page each
metric is called `{MEASUREMENT}_<field>`, as below.

The columns {", ".join(f"`{title}`" for title in _COLUMNS)} name the source of the value in each dialect (kind of
node). An empty cell means that the dialect does not offer the metric. Only `tracing` has `UtxoCacheTrace`.
"""


def markdown(default_groups: Collection[str]) -> str:
    """Return the whole catalogue; `default_groups` are the optional groups that are on by default."""
    return "\n".join([_INTRODUCTION, *(_section(group, default_groups) for group in GROUPS)])


def switch(group: str, default_groups: Collection[str]) -> str:
    """Return whether a group is on, in words."""
    if group in ALWAYS_ON:
        return "always on"
    return "on by default" if group in default_groups else "off by default"


def table(head: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *rows))


def _section(group: str, default_groups: Collection[str]) -> str:
    rows = [_HEAD, *(_row(metric) for metric in CATALOGUE if metric.group == group)]
    if group == "plugin":  # these come from the plugin itself, not from a node
        rows = [(*row[:3], row[-1]) for row in rows]
    return f"## {group} ({switch(group, default_groups)})\n\n{GROUPS[group].capitalize()}.\n\n{table(*rows)}\n"


def _row(metric: Metric) -> tuple[str, ...]:
    tags = ", ".join(f"`{tag}`" for tag in metric.tags)
    if metric.values:
        tags += ": " + ", ".join(metric.values)
    found = (dialect.origins.get(metric.name) for dialect in _COLUMNS.values())
    origins = (f"`{origin}`" if origin else "" for origin in found)
    return f"`{MEASUREMENT}_{metric.name}`", metric.type, tags, *origins, metric.help
