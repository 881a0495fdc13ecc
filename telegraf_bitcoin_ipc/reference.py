"""Documentation made from the code: METRICS.md from the catalogue, the README's options from the configuration."""

from collections.abc import Iterable
from typing import Final

from telegraf_bitcoin_ipc.config import Config, option_name
from telegraf_bitcoin_ipc.metrics import ALWAYS_ON, CATALOGUE, GROUPS, MEASUREMENT, Metric

_HEAD: Final = f"""\
# Metrics

Made from the catalogue (`telegraf_bitcoin_ipc/metrics.py`) by `telegraf-bitcoin-ipc metrics`.

The plugin writes the measurement `{MEASUREMENT}` with one field per metric; on Telegraf's Prometheus endpoint
each is `{MEASUREMENT}_<field>`, as below. A value that is not known is absent, never 0. Counters that the
plugin keeps begin at 0 with their subscription and go on when the node restarts; what the node told goes with
the session. Counters made from events lack those that `{MEASUREMENT}_events_dropped_total` counts.
"""


def markdown() -> str:
    """Return the whole catalogue as Markdown."""
    return "\n".join([_HEAD, *map(_section, GROUPS)])


def _section(group: str) -> str:
    always = " (always on)" if group in ALWAYS_ON else f" (`--metrics {group}`)"
    rows = [_row(metric) for metric in CATALOGUE if metric.group == group]
    return f"## {group}{always}\n\n{GROUPS[group].capitalize()}.\n\n{_table(rows)}\n"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = [("metric", "type", "tags", "source", "meaning"), ("---",) * 5, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(metric: Metric) -> tuple[str, ...]:
    tags = ", ".join(f"`{tag}`" for tag in metric.tags)
    if metric.values:
        tags += ": " + ", ".join(metric.values)
    return f"`{MEASUREMENT}_{metric.name}`", metric.type, tags, metric.source, metric.help


def option_table() -> str:
    """Return the table of all options as Markdown."""
    rows = ["| option | default | meaning |", "| --- | --- | --- |"]
    for name, field in Config.model_fields.items():
        default = "" if field.is_required() else _default_in_words(field.default)
        limits = [getattr(rule, side) for side in ("ge", "le") for rule in field.metadata if hasattr(rule, side)]
        bounds = " ({:g} to {:g})".format(*limits) if limits else ""
        rows.append(f"| `{option_name(name)}` | {default}{bounds} | {field.description} |")
    return "\n".join(rows)


def _default_in_words(default: object) -> str:
    match default:
        case bool():
            return "on" if default else "off"
        case float() | int():
            return f"{default:g}"
        case tuple() | dict():
            return ",".join(map(str, default)) or "none"
        case _:
            return str(default)
