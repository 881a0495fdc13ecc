"""The dashboard as Grafana reads it, and its expressions as Grafana sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "grafana" / "dashboards" / "bitcoin-node.json").read_text()
)

PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
"""Those that show something."""

VARIABLES: dict[str, dict[str, Any]] = {each["name"]: each for each in DASHBOARD["templating"]["list"]}

RATE_INTERVAL = "5s"
"""What Grafana would work out for a scrape interval of a second or so."""


def expressions(panels: Iterable[Mapping[str, Any]] = PANELS) -> list[str]:
    """Every expression of panels."""
    return [target["expr"] for panel in panels for target in panel["targets"]]


def chosen(expression: str, **choice: str) -> str:
    """An expression or a query of a variable, with values for the variables; one that is not given is All."""
    for name in ("instance", "node"):
        expression = expression.replace(f"${name}", choice.get(name, VARIABLES[name]["allValue"]))
    return expression.replace("$__rate_interval", RATE_INTERVAL)
