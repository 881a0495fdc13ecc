"""The generated parts of the documents, beyond their being current (tests/unit/documents/test_pages.py)."""

import re
from pathlib import Path

import pytest
from reference import all_metrics, delay_table, module_table, with_part

from telegraf_bitcoin_ipc.cli import main
from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.ipc.dialects import STOCK_30, STOCK_31

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "telegraf_bitcoin_ipc"


def test_every_metric_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`metrics` prints the tables that METRICS.md has: each metric with its type, and its help at the end."""
    assert main(["metrics"]) == 0
    text = capsys.readouterr().out
    assert text == all_metrics()
    rows = re.findall(r"^\| `bitcoin_(\w+)` \| (\w+) \|.*\| (.*) \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted((metric.name, metric.type, metric.help) for metric in CATALOGUE)
    assert STOCK_31.origins == STOCK_30.origins, "what a column says of Bitcoin Core 31 holds for 30"


def test_every_module_has_its_one_responsibility() -> None:
    """The table of modules has a row for each module, with the first words of its docstring."""
    rows = dict(re.findall(r"^\| `(\S+\.py)` \| (.*) \|$", module_table(), re.MULTILINE))
    paths = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    assert set(rows) == paths
    assert [module for module, text in rows.items() if not text] == []


@pytest.mark.parametrize("text", ["no markers", "<!-- a -->\n<!-- /a -->\n<!-- a -->\n<!-- /a -->"])
def test_a_page_without_its_markers_is_not_written(text: str) -> None:
    """A page that has lost its markers, or has them twice, is left alone."""
    with pytest.raises(ValueError, match="not once"):
        with_part(text, "a", "part")


def test_each_alert_has_its_delay() -> None:
    """Who reads how soon the alerts fire finds each, measured by every way to Prometheus, or said not to be."""
    alerts = set(re.findall(r"- alert: (\w+)", (ROOT / "prometheus" / "alerts.yml").read_text()))
    text, _, others = delay_table().partition("Not measured: ")
    measured = re.findall(r"^\| `(\w+)` \| [^|]+ \| \d+ s \| \d+ s \| \d+ s \|$", text, re.MULTILINE)
    not_measured = set(re.findall(r"`(\w+)`", others))
    assert not_measured | set(measured) == alerts
    assert not not_measured & set(measured)
