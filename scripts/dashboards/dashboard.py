"""The dashboard: its rows, variables and JSON, and every generated file."""

import json
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from dashboards import chain, fees, mempool, network, overview, plugin, provisioning, replaced, utxo
from dashboards.panels import DATA_SOURCE, Row

TITLE: Final = "Bitcoin node (IPC)"
UID: Final = "bitcoin-node-ipc"

LABEL_VALUES: Final = 1
"""The query type that Grafana's variable editor stores for label_values."""


def rows() -> tuple[Row, ...]:
    """Return the rows, from top to bottom, with new panels."""
    modules = (overview, chain, mempool, fees, network, utxo, plugin)
    return tuple(module.row() for module in modules)


def dashboard() -> Dashboard:
    """Return the dashboard as Grafana's own model."""
    builder = (
        builders.Dashboard(TITLE)
        .uid(UID)
        .description("A Bitcoin node, monitored by telegraf-bitcoin-ipc. Made by `make dashboards`.")
        .tags(["bitcoin"])
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("instance", "Instance", "label_values(bitcoin_up, instance)"))
        .with_variable(_choice("node", "Node", 'label_values(bitcoin_up{instance=~"$instance"}, node)'))
    )
    for row in rows():
        builder.with_row(builders.Row(row.title))
        for panel in row.panels:
            builder.with_panel(panel)
    return _numbered(builder.build())


def text() -> str:
    """Return the dashboard's JSON, the same at each call."""
    return json.dumps(dashboard(), cls=JSONEncoder, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def files() -> dict[str, str]:
    """Return every generated file by its path in grafana/."""
    return {
        "dashboards/bitcoin-node.json": text(),
        "provisioning/datasources/prometheus.yml": provisioning.DATA_SOURCE,
        "provisioning/dashboards/bitcoin.yml": provisioning.PROVIDER,
        "README.md": replaced.markdown(tuple(panel for row in rows() for panel in row.panels)),
    }


def _choice(name: str, label: str, query: str) -> builders.QueryVariable:
    """Return a variable for one, some or all values of a label.

    A series may lack either label: users set the tag `node`, and only a scrape adds `instance`. All also matches
    series without them; a list of values would not.
    """
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(DATA_SOURCE)
        .query({"query": query, "qryType": LABEL_VALUES, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text=["All"], value=["$__all"]))
    )


def _numbered(made: Dashboard) -> Dashboard:
    """Give each row and panel the id that links use."""
    for number, panel in enumerate(made.panels or [], start=1):
        panel.id_val = number
    return made
