"""The dashboard: its rows, variables and JSON, and every generated file."""

import json
from collections.abc import Mapping, Sequence
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

from dashboards import chain, mempool, network, overview, plugin, replaced, utxo
from dashboards.panels import DATA_SOURCE, Panel

TITLE: Final = "Bitcoin node (IPC)"
UID: Final = "bitcoin-node-ipc"

LABEL_VALUES: Final = 1
"""The query type that Grafana's variable editor stores for label_values."""


ROWS: Final[Mapping[str, Sequence[Panel]]] = {
    "Overview": overview.PANELS,
    "Chain": chain.PANELS,
    "Mempool": mempool.PANELS,
    "Fees": mempool.FEES,
    "Network": network.PANELS,
    "UTXO cache": utxo.PANELS,
    "Plugin": plugin.PANELS,
}
"""The rows from top to bottom, with their panels from left to right."""


DASHBOARDS: Final = "/var/lib/grafana/dashboards"
"""Where Grafana looks for the dashboard's file."""

PROVISIONED_SOURCE: Final = """\
# Grafana: /etc/grafana/provisioning/datasources/. Made by `make dashboards`.
apiVersion: 1
datasources:
  - name: Prometheus
    uid: prometheus
    type: prometheus
    access: proxy
    # Where Prometheus answers queries.
    url: http://127.0.0.1:9090
    jsonData:
      # Prometheus's scrape_interval: $__rate_interval is at least four times that.
      timeInterval: 15s
"""

PROVIDER: Final = f"""\
# Grafana: /etc/grafana/provisioning/dashboards/. Made by `make dashboards`.
apiVersion: 1
providers:
  - name: bitcoin
    type: file
    allowUiUpdates: false
    options:
      # The directory of the dashboard's JSON file.
      path: {DASHBOARDS}
"""


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
    for title, panels in ROWS.items():
        builder.with_row(builders.Row(title))
        for panel in panels:
            builder.with_panel(panel)
    made = builder.build()
    for number, each in enumerate(made.panels or [], start=1):
        each.id_val = number  # which links use
    return made


def text() -> str:
    """Return the dashboard's JSON, the same at each call."""
    return json.dumps(dashboard(), cls=JSONEncoder, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def files() -> dict[str, str]:
    """Return every generated file by its path in grafana/."""
    return {
        "dashboards/bitcoin-node.json": text(),
        "provisioning/datasources/prometheus.yml": PROVISIONED_SOURCE,
        "provisioning/dashboards/bitcoin.yml": PROVIDER,
        "README.md": replaced.markdown([panel for panels in ROWS.values() for panel in panels]),
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
