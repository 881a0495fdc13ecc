"""Documentation made from the code: METRICS.md from the catalogue, the README's options from the configuration."""

from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, CATALOGUE, GROUPS, MEASUREMENT, METRICS, Metric
from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS, Config, option_name
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY, STOCK, STOCK_31, TRACING, Dialect
from telegraf_bitcoin_ipc.ipc.origins import RPC, Call, Followed, Polled
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS
from telegraf_bitcoin_ipc.parity.row import Exporter, Row, in_braces

_HEAD: Final = f"""\
# Metrics

Made from the catalogue (`telegraf_bitcoin_ipc/collect/metrics.py`) by `telegraf-bitcoin-ipc metrics`.

The plugin writes the measurement `{MEASUREMENT}` with one field per metric; on Telegraf's Prometheus endpoint
each is `{MEASUREMENT}_<field>`, as below. A value that is not known is absent, never 0. Counters that the
plugin keeps begin at 0 with their subscription and go on when the node restarts; what the node told goes with
the session. Counters made from events lack those that `{MEASUREMENT}_events_dropped_total` counts.

The columns `tracing, chain` and so on say where the value comes from in each dialect (kind of node), empty where
a dialect does not give it; the dialect `chain` has no `UtxoCacheTrace`.
"""

_COLUMNS: Final[tuple[str, ...]] = (
    "metric",
    "type",
    "tags",
    "tracing, chain",
    "stock",
    "stock-31, stock-30",
    "meaning",
)


def markdown() -> str:
    """Return the whole catalogue as Markdown."""
    return "\n".join([_HEAD, *map(_section, GROUPS)])


def _section(group: str) -> str:
    rows = [_COLUMNS, *(_row(metric) for metric in CATALOGUE if metric.group == group)]
    if group == "plugin":  # it comes from no node
        rows = [(*row[:3], row[-1]) for row in rows]
    return f"## {group} ({_switch(group)})\n\n{GROUPS[group].capitalize()}.\n\n{_table(*rows)}\n"


def _switch(group: str) -> str:
    if group in ALWAYS_ON:
        return "always on"
    return "on by default" if group in DEFAULT_GROUPS else "off by default"


def _table(head: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *rows))


def _row(metric: Metric) -> tuple[str, ...]:
    tags = ", ".join(f"`{tag}`" for tag in metric.tags)
    if metric.values:
        tags += ": " + ", ".join(metric.values)
    found = (dialect.origins.get(metric.name) for dialect in (TRACING, STOCK, STOCK_31))
    origins = (f"`{origin}`" if origin else "" for origin in found)
    return f"`{MEASUREMENT}_{metric.name}`", metric.type, tags, *origins, metric.help


def group_table() -> str:
    """Return the table of all groups, with what each costs the node, as Markdown."""
    rows = [
        (group, _switch(group), GROUPS[group], _cost(group, TRACING), _cost(group, STOCK))
        for group in GROUPS
        if group != "plugin"
    ]
    return _table(("group", "", "what it holds", "cost on tracing, chain", "cost on stock"), *rows)


def _cost(group: str, dialect: Dialect) -> str:
    """Say which calls a group costs beside those of core; a call that serves several groups is named in each."""
    calls = _calls(group, dialect)
    if group not in ALWAYS_ON:
        calls = [call for call in calls if call not in _calls("core", dialect)]
    per_poll = [call for call in calls if not call.once_per_tip]
    per_block = [call for call in calls if call not in per_poll]
    if group == "core" and Followed.HEADERS in dialect.origins.values():
        per_block.append(Call(RPC, Followed.HEADERS.value))
    said = [
        f"{sum(len(call.each) or 1 for call in some)} a {when} ({', '.join(f'`{call.name}`' for call in some)})"
        for when, some in (("poll", per_poll), ("new block", per_block))
        if some
    ]
    return "; ".join(said) or "nothing more"


def _calls(group: str, dialect: Dialect) -> list[Call]:
    calls = {
        origin.call: None
        for metric, origin in dialect.origins.items()
        if METRICS[metric].group == group and isinstance(origin, Polled)
    }
    return list(calls)


def method_list() -> str:
    """Return every JSON-RPC method that is ever called, as Markdown."""
    return ", ".join(f"`{method}`" for method in READ_ONLY)


def migration_tables() -> dict[str, str]:
    """Return, by a name for each exporter whose names are not those here, what its metrics are, as Markdown."""
    return {
        "migration_" + exporter.name.replace("-", "_"): _migration_table(exporter)
        for exporter in EXPORTERS.values()
        if any(row.old != f"{MEASUREMENT}_{row.new}" for row in exporter.rows)
    }


def _migration_table(exporter: Exporter) -> str:
    return _table(("there", "here", "note"), *map(_migration, exporter.rows))


def _migration(row: Row) -> tuple[str, ...]:
    here = f"`{MEASUREMENT}_{row.new}{in_braces(row.new_where)}`" if row.new else "not offered"
    if row.by:
        here += f" by `{row.by}`"
    times = f"times {row.factor:,.0f}" if row.factor != 1 else ""
    return f"`{row.old}{in_braces(row.where)}`", here, "; ".join(filter(None, (times, row.note)))


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
