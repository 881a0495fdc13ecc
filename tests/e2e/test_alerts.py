"""The alerts as Prometheus's own checker sees them: right in form, firing where they should and nowhere else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.nodes import StartNode
from support.processes import free_port
from support.prometheus import Prometheus
from support.telegraf import StartTelegraf, configuration, remote_write

RULES = Path(__file__).parents[2] / "prometheus" / "alerts.yml"
TESTS = RULES.with_name("alerts_test.yml")

ALERT = re.compile(r"^( +- alert: )(\w+)\n(?:^ +#.*\n)*^( +expr: )(.+(?:\n {10,}.+)*)$", re.MULTILINE)
"""An alert's name and expression, as the file has them."""

EXPRESSIONS = {found[2]: found[4] for found in ALERT.finditer(RULES.read_text())}
ALERTS = list(EXPRESSIONS)

SERIES = re.compile(r"\bbitcoin_\w+(?:\{[^}]*\})?")
AGE_LIMIT = re.compile(r"(absent|last|present)_over_time\((\S+?)\[90s\]\)")
"""How a rule ignores the last value of a series that has ended."""

ANNOTATIONS = re.compile(r"^ +annotations:\n(?: {10,}.+\n)+", re.MULTILINE)
"""Texts, which take most of the time where everything fires."""

FAILED = re.compile(r'alertname=\\+"(\w+)')
"""The alert in a query whose answer promtool reports as wrong."""

NEVER = "vector(1) < 0"
ALWAYS = "any_node or vector(1)"
"""Fires for every node, and where there is none."""

ANY_NODE = """\
groups:
  - name: any
    rules:
      - record: any_node
        expr: count by (instance, node) ({__name__=~"bitcoin_.+"})
"""
"""What ALWAYS uses, evaluated once instead of for each alert."""

Promtool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def promtool(promtool_binary: Path) -> Promtool:
    """Run promtool to its end."""
    return lambda *arguments: subprocess.run(
        [promtool_binary, *arguments], capture_output=True, text=True, check=False, timeout=600
    )


def test_the_rules_are_right_in_form(promtool: Promtool) -> None:
    """Prometheus takes the file: every expression and every template in it."""
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_each_fires_where_it_should(promtool: Promtool) -> None:
    """Simulated days and hours bring each alert about, and what comes near brings none."""
    done = promtool("test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expression", [NEVER, ALWAYS])
def test_none_goes_untested(expression: str, promtool: Promtool, tmp_path: Path) -> None:
    """Each alert that never fires, or that fires for every node, is found by its test."""

    def replaced(found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}\n{found[3]}{expression}"

    changed, count = ALERT.subn(replaced, RULES.read_text())
    assert count == len(ALERTS)
    changed = ANNOTATIONS.sub("", changed.replace("groups:\n", ANY_NODE, 1))
    assert failed_with(changed, promtool, tmp_path) == set(ALERTS)


def test_none_outlives_its_series_where_prometheus_does_not_notice_the_end(
    promtool: Promtool, tmp_path: Path
) -> None:
    """By remote write a series ends without a marker: each rule without its age limit is found by its test."""

    def without_limit(found: re.Match[str]) -> str:
        return f"absent({found[2]})" if found[1] == "absent" else found[2]

    changed = AGE_LIMIT.sub(without_limit, RULES.read_text())
    limited = {alert for alert, expression in EXPRESSIONS.items() if AGE_LIMIT.search(expression)}
    assert failed_with(changed, promtool, tmp_path) == limited


def test_each_value_has_an_age_limit() -> None:
    """No rule uses a value without a range: it would be used for five minutes after the end of its series."""
    for alert, expression in EXPRESSIONS.items():
        assert all(expression[found.end() :].startswith("[") for found in SERIES.finditer(expression)), alert


@pytest.mark.telegraf
def test_by_remote_write_the_plugin_is_missed(
    start_node: StartNode,
    start_telegraf: StartTelegraf,
    processes: ExitStack,
    prometheus_binary: Path,
    socket_path: Path,
    tmp_path: Path,
) -> None:
    """After Telegraf's death the alert fires while Prometheus still has `bitcoin_up 1`; with shorter times."""
    rules = tmp_path / "alerts.yml"
    rules.write_text(RULES.read_text().replace("[90s]", "[10s]").replace("for: 30s", "for: 2s"))
    receiver = Prometheus(prometheus_binary, [], tmp_path, "--web.enable-remote-write-receiver", rules=rules)
    prometheus = processes.enter_context(receiver)
    start_node()
    page = f"127.0.0.1:{free_port()}"
    config = configuration(socket_path, page, "--emit-interval", "1", "--tag", "node=gone")
    telegraf = start_telegraf(config + remote_write(prometheus.write_url, '  flush_interval = "1s"'))
    prometheus.wait_for("bitcoin_up == 1")
    telegraf.kill()
    ((labels, _),) = prometheus.wait_for('ALERTS{alertname="BitcoinPluginDown", alertstate="firing"}')
    assert labels["node"] == "gone"
    ((labels, up),) = prometheus.query("bitcoin_up")
    assert (labels["node"], up) == ("gone", 1)


def failed_with(rules: str, promtool: Promtool, directory: Path) -> set[str]:
    """Return the alerts whose tests fail with these rules instead."""
    (directory / RULES.name).write_text(rules)
    (directory / TESTS.name).write_text(TESTS.read_text())
    assert promtool("check", "rules", directory / RULES.name).returncode == 0
    done = promtool("test", "rules", directory / TESTS.name)
    assert done.returncode == 1
    return set(FAILED.findall(done.stdout + done.stderr))
