"""The dashboard: whole, up to date, honest about what is not there; and what Grafana needs to load it."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dashboards.dashboard import ROWS, files
from dashboards.queries import value
from dashboards.replaced import OLD_DASHBOARDS, rows_of
from grafana_foundation_sdk.models.dashboard import Dashboard
from support.dashboard import DASHBOARD, PANELS, VARIABLES, expressions

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, METRICS
from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS

ROOT = Path(__file__).parents[3]

SERIES = re.compile(r"bitcoin_(\w+)(\{[^}]*\})?")
GRID = 24
"""Columns of Grafana's grid."""


def metrics(panel: dict[str, Any]) -> list[str]:
    """Return the names of the metrics that a panel shows."""
    return [found[1] for found in SERIES.finditer(" ".join(expressions([panel])))]


def panel_titled(title: str) -> dict[str, Any]:
    """Return the panel with that title."""
    (panel,) = [panel for panel in PANELS if panel["title"] == title]
    return panel


def test_files_are_up_to_date() -> None:
    """What is provisioned is what this version of the code makes (`make dashboards`), and nothing else."""
    directory, made = ROOT / "grafana", files()
    assert {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()} == set(made)
    for name, text in made.items():
        assert (directory / name).read_text() == text, name


def test_grafanas_own_model_reads_it_back() -> None:
    """The file has the structure of a Grafana dashboard: its model gives the same back."""
    read = Dashboard.from_json(DASHBOARD)
    assert read.title == DASHBOARD["title"]
    assert [panel.title for panel in read.panels or []] == [panel["title"] for panel in DASHBOARD["panels"]]
    assert read.schema_version == DASHBOARD["schemaVersion"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_rows() -> None:
    """The rows are there in the order in which one looks for a fault."""
    titles = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert titles == ["Overview", "Chain", "Mempool", "Fees", "Network", "UTXO cache", "Plugin"]
    assert titles == list(ROWS)


def test_every_metric_is_shown() -> None:
    """What the plugin offers can be seen without writing a query; a typing error makes no empty panel."""
    assert {name for panel in PANELS for name in metrics(panel)} == METRICS.keys()
    with pytest.raises(KeyError):
        value("no_such_metric")


def test_the_variables_choose_a_node() -> None:
    """No panel shows another node than the ones that were picked.

    With All chosen, a node without the tag is seen as well, since .* matches what is not there.
    """
    for expression in expressions():
        for found in SERIES.finditer(expression):
            assert found[2].endswith('instance=~"$instance", node=~"$node"}'), expression
    for name in ("instance", "node"):
        variable = VARIABLES[name]
        assert (variable["allValue"], variable["includeAll"]) == (".*", True)
        assert variable["current"]["value"] == ["$__all"]


def test_every_panel_explains_itself() -> None:
    """Each has a title of its own, a unit, and each metric's help, and its lines can be told from each other.

    Lines of one metric are named by its tag, unless only one of its values is asked for.
    """
    for panel in PANELS:
        assert panel_titled(panel["title"]) == panel, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for name in metrics(panel):
            assert f"bitcoin_{name}: {METRICS[name].help}" in panel["description"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]
        for target in panel["targets"]:
            assert "{{node}} {{instance}}" in target["legendFormat"]
            for found in SERIES.finditer(target["expr"]):
                for tag in METRICS[found[1]].tags:
                    assert f"{{{{{tag}}}}}" in target["legendFormat"] or f'{tag}="' in found[2]


def test_a_panel_that_is_empty_says_why() -> None:
    """Where a group is off the panel names it and the option, and no expression makes up a zero.

    A group that is off by default empties whole panels, and takes no line out of any other. What the node does
    not tell any more is not shown as if it still held: panels of present values ask for now alone.
    """
    for panel in PANELS:
        groups = {METRICS[name].group for name in metrics(panel)}
        why = panel["fieldConfig"]["defaults"]["noValue"]
        assert why, panel["title"]
        if not groups & ALWAYS_ON:
            assert "--metrics" in why
            assert all(group in why for group in groups)
        assert not [each for each in expressions([panel]) if re.search(r"\bvector\(|\bor\b", each)], panel["title"]
        assert len({group in (*ALWAYS_ON, *DEFAULT_GROUPS) for group in groups}) == 1, panel["title"]
        for target in panel["targets"]:
            assert target["instant"] is (panel["type"] in ("stat", "gauge"))


def test_panels_fill_the_grid() -> None:
    """No panel lies over another, and no line of panels has a hole at its end."""
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert sorted(places, key=lambda place: (place["y"], place["x"])) == places
    for one, next_one in pairwise(places):
        end = one["x"] + one["w"]
        if next_one["y"] == one["y"]:
            assert next_one["x"] == end
        else:
            assert (next_one["x"], next_one["y"]) == (0, one["y"] + one["h"])
            assert end == GRID or next_one["w"] == GRID


def test_satoshi_are_shown_as_bitcoin() -> None:
    """No amount stands there without its unit, and none is off by a hundred million."""
    for panel in PANELS:
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if any(re.search(r"_sat$|_sat_total$|_value_total$", name) for name in metrics(panel)):
            assert unit in ("currencyBTC", "sat/vB")
        if unit == "currencyBTC":
            assert all(each.endswith("/ 1e+08") for each in expressions([panel]))


def test_every_panel_of_today_has_its_counterpart() -> None:
    """Each of its metrics is on a panel here, or the table says why IPC cannot give it."""
    page = files()["README.md"]
    for old, panel, its in [(each, *panel) for each in OLD_DASHBOARDS for panel in each.panels.items()]:
        (section,) = re.findall(rf"^## {re.escape(old.name)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        (line,) = [each for each in section.splitlines() if each.startswith(f"| {panel} |")]
        _, here, why = (cell.strip() for cell in line.strip("|").split("|"))
        titles = {title for title in here.split("; ") if title}
        shown = {name for title in titles for name in metrics(panel_titled(title))}
        for row in [row for metric in its.split() for row in rows_of(old, metric)]:
            assert row.new in shown if row.new else f"`{row.old}`: {row.note}" in why
        assert titles or why, panel


def test_alerts() -> None:
    """No alert waits for a metric that never comes; who reads their table knows all, and how grave each is."""
    rules = (ROOT / "prometheus" / "alerts.yml").read_text()
    assert {found[1] for found in SERIES.finditer(rules)} <= METRICS.keys()
    alerts = re.findall(r"- alert: (\w+)\n(?:.*\n)*?\s+severity: (\w+)", rules)
    page = (ROOT / "docs" / "dashboard.md").read_text()
    assert re.findall(r"^\| `(Bitcoin\w+)` \| (\w+) \|", page, re.MULTILINE) == alerts
