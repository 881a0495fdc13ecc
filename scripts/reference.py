"""Write the generated parts of the documentation, and telegraf.conf.example.

A page has a generated part between `<!-- NAME -->` and `<!-- /NAME -->`; PARTS says which page has which.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import fleet_figures

from telegraf_bitcoin_ipc.collect.dialect import RPC, Call, Dialect, Followed
from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, GROUPS, MEASUREMENT
from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS, OPTIONS, Config, Option
from telegraf_bitcoin_ipc.guard.subscriptions import LIVE, TRANSITIONS, Change, State
from telegraf_bitcoin_ipc.ipc import catalogue
from telegraf_bitcoin_ipc.ipc.allowlist import calls
from telegraf_bitcoin_ipc.ipc.catalogue import switch, table
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY, STOCK, TRACING
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS
from telegraf_bitcoin_ipc.parity.row import Row, in_braces
from telegraf_bitcoin_ipc.telegraf.sample_config import EXAMPLE_SOCKET, render

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "telegraf_bitcoin_ipc"
EXAMPLE: Final = "telegraf.conf.example"
ALLOWED: Final = "telegraf_bitcoin_ipc/guard/allowed.py"
ALERTS: Final = ROOT / "prometheus" / "alerts.yml"
ALERT_DELAYS: Final = ROOT / "bench" / "alert_delays.json"
WAYS: Final = {
    "scraped": "from Telegraf's page",
    "central": "from a central Telegraf's page",
    "remote write": "by remote write",
}
"""How the metrics came to Prometheus, by the names in `ALERT_DELAYS`."""


def all_metrics() -> str:
    """Return the catalogue, as `telegraf-bitcoin-ipc metrics` prints it."""
    return catalogue.markdown(DEFAULT_GROUPS)


def group_table() -> str:
    """Return the table of all groups."""
    rows = [(f"`{group}`", switch(group, DEFAULT_GROUPS), text) for group, text in GROUPS.items()]
    return table(("group", "", "contents"), *rows)


def cost_table() -> str:
    """Return what each group costs the node."""
    rows = [(group, _cost(group, TRACING), _cost(group, STOCK)) for group in GROUPS if group != "plugin"]
    return table(("group", "calls on tracing, chain", "calls on stock"), *rows)


def _cost(group: str, dialect: Dialect) -> str:
    """Return the calls that a group adds to those of core; a call that serves several groups is named in each."""
    calls = dialect.calls(group)
    if group not in ALWAYS_ON:
        calls = [call for call in calls if call not in dialect.calls("core")]
    per_poll = [call for call in calls if not call.once_per_tip]
    per_block = [call for call in calls if call not in per_poll]
    if group == "core" and Followed.HEADERS in dialect.origins.values():
        per_block.append(Call(RPC, Followed.HEADERS.value))
    parts = [
        f"{sum(len(call.each) or 1 for call in some)} per {when} ({', '.join(f'`{call.name}`' for call in some)})"
        for when, some in (("poll", per_poll), ("new block", per_block))
        if some
    ]
    return "; ".join(parts) or "no additional calls"


def method_list() -> str:
    """Return every JSON-RPC method that is ever called."""
    return ", ".join(f"`{method}`" for method in READ_ONLY)


def migration_table(exporter: str) -> str:
    """Return the counterpart of each metric of another exporter."""
    return table(("there", "here", "note"), *map(_migration, EXPORTERS[exporter].rows))


def _migration(row: Row) -> tuple[str, ...]:
    here = f"`{MEASUREMENT}_{row.new}{in_braces(row.new_where)}`" if row.new else "not offered"
    if row.by:
        here += f" by `{row.by}`"
    times = f"times {row.factor:,.0f}" if row.factor != 1 else ""
    return f"`{row.old}{in_braces(row.where)}`", here, "; ".join(filter(None, (times, row.note)))


def option_table() -> str:
    """Return the table of all options."""
    rows = [(f"`{option.name}`", _default(option), option.help) for option in OPTIONS.values()]
    return table(("option", "default", "meaning"), *rows)


def _default(option: Option) -> str:
    """Return the default in words, with the bounds of a number."""
    rules = Config.model_json_schema()["properties"][option.field]
    default = option.default or {"boolean": "off", "object": "none"}.get(rules["type"], "")
    return f"{default} ({rules['minimum']:g} to {rules['maximum']:g})" if "minimum" in rules else default


def example_config() -> str:
    """Return the configuration that `telegraf-bitcoin-ipc config` prints, for the example's socket."""
    return render(["telegraf-bitcoin-ipc", EXAMPLE_SOCKET])


def execd_block() -> str:
    """Return the block of that configuration that runs the plugin, without its comments."""
    block = example_config().partition("[[inputs.execd]]\n")[2].partition("\n\n")[0]
    lines = [line for line in block.splitlines() if not line.strip().startswith("#")]
    return "\n".join(["```toml", "[[inputs.execd]]", *lines, "```"])


def delay_table() -> str:
    """Return how long each alert took to fire, as `make bench-alerts` measured it."""
    made = json.loads(ALERT_DELAYS.read_text())
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    delays = sorted(made["delays"], key=lambda each: alerts.index(each["alert"]))
    rows = [
        (f"`{each['alert']}`", each["event"], *(f"{each['seconds'][way]} s" for way in WAYS)) for each in delays
    ]
    others = [name for name in alerts if all(name != each["alert"] for each in delays)]
    return (
        f"Measured with Telegraf {made['telegraf']} and Prometheus {made['prometheus']}, whose scrapes and "
        f"evaluations were {made['interval']} s apart:\n\n"
        + table(("alert", "event", *WAYS.values()), *rows)
        + f"\n\nNot measured: {', '.join(f'`{name}`' for name in others)}."
    )


def module_table() -> str:
    """Return each module of the package with the first paragraph of its docstring."""
    return table(("module", "responsibility"), *_modules())


def _modules() -> Iterator[tuple[str, str]]:
    paths = PACKAGE.rglob("*.py")
    for path in sorted(paths, key=lambda each: (len(each.relative_to(PACKAGE).parts) > 1, each)):
        text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0].split())
        name = path.relative_to(PACKAGE).as_posix()
        if path.name != "__init__.py":
            yield f"`{name}`", text
        elif text and path.parent != PACKAGE:
            yield f"**`{name.removesuffix('__init__.py')}`**", f"**{text}**"


def allowed_calls() -> str:
    """Return the guard's module of what may be called: it cannot import the dialects from which that is made."""
    return "\n".join(
        [
            '"""What a client may call. Made from schema and dialects by `make reference`: do not edit it."""',
            "",
            "CALLS = {",
            *(f'    (0x{interface:016X}, {method}): "{name}",' for (interface, method), name in calls().items()),
            "}",
            '"""The name of each method that may be called, by the id of its interface and its ordinal."""',
            "",
            "JSON_RPC = {",
            *(f'    "{method}",' for method in READ_ONLY),
            "}",
            '"""The JSON-RPC methods that may be called; all are read-only."""',
            "",
        ]
    )


def life_of_a_subscription() -> str:
    """Return its states and their transitions as a Mermaid diagram, and two tables; a star marks a live state."""
    arrows = [f"{state.name} --> {after.name}: {change.name}" for (state, change), after in TRANSITIONS.items()]
    ends = f"[*] --> {State.ASKED.name}", f"{State.GONE.name} --> [*]"
    states = [f"| `{state.name}`{' *' if state in LIVE else ''} | {state.value} |" for state in State]
    changes = [f"| `{change.name}` | {change.value} |" for change in Change]
    parts = [
        ["```mermaid", "stateDiagram-v2", *(f"    {line}" for line in (ends[0], *arrows, ends[1])), "```"],
        ["| state | |", "|---|---|", *states],
        ["| change | |", "|---|---|", *changes],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


MIGRATION: Final = tuple(
    name
    for name, exporter in EXPORTERS.items()
    if any(row.old != f"{MEASUREMENT}_{row.new}" for row in exporter.rows)
)
"""The exporters whose metric names differ from the names here."""

PARTS: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "README.md": {"execd": execd_block, "options": option_table, "groups": group_table},
    "METRICS.md": {"costs": cost_table, "methods": method_list, "catalogue": all_metrics},
    "docs/architecture.md": {"modules": module_table},
    "docs/configuration.md": {"options": option_table},
    "docs/dashboard.md": {"delays": delay_table},
    "docs/fleet.md": {
        "lines": fleet_figures.lines_table,
        "central": fleet_figures.central_table,
        "limits": fleet_figures.limits_table,
    },
    "docs/guard.md": {"states": life_of_a_subscription},
    "docs/migration.md": {name: partial(migration_table, name) for name in MIGRATION},
}
"""The generated parts of each page, by their names."""


def files() -> dict[str, str]:
    """Return, by path, the text that each file with a generated part should have."""
    made = {EXAMPLE: example_config(), ALLOWED: allowed_calls()}
    for page, parts in PARTS.items():
        text = (ROOT / page).read_text()
        for name, part in parts.items():
            text = with_part(text, name, part())
        made[page] = text
    return made


def with_part(text: str, name: str, part: str) -> str:
    """Return the text with `part` between the markers of that name; raises ValueError without them."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    part = part.rstrip("\n")
    text, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{part}\n{end}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the page has {count} times {begin} ... {end}, not once")
    return text


def main() -> None:
    """Write every file."""
    for path, text in files().items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
