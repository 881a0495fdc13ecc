"""The dashboard for real: each expression of each panel on the real Prometheus, after a life at quick rates."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dashboards.queries import metrics_in
from support.dashboard import PANELS, VARIABLES, chosen, expressions
from support.nodes import SimulatedNode, StartNode
from support.processes import free_port
from support.prometheus import Prometheus, StartPrometheus
from support.telegraf import Telegraf, configuration

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS, DEFAULT_GROUPS

pytestmark = pytest.mark.telegraf

LIFE = ("--block-interval", "0.5", "--tx-rate", "20", "--reorg-every", "5", "--pruned", "--seed", "1")
"""A block every half second: 20 minutes of the real network in a second."""

ENOUGH_BLOCKS = 10

PLUGIN_OWN = {metric.name for metric in CATALOGUE if metric.lifetime == "process"}
"""What is known without a node."""


@dataclass
class Watched:
    """A node that lives quickly, and the Prometheus that scrapes two pages with its metrics."""

    node: SimulatedNode
    prometheus: Prometheus
    full: str
    """The page with all groups."""
    default: str
    """The page with the default groups."""

    def shows_all_but(self, instance: str, panels: list[dict[str, Any]]) -> None:
        """Wait until every expression of the other panels has given data, and see that none of these does."""
        for expression in expressions(panel for panel in PANELS if panel not in panels):
            self.prometheus.wait_for(chosen(expression, instance=instance))
        for expression in expressions(panels):
            assert not self.prometheus.query(chosen(expression, instance=instance)), expression


@pytest.fixture
def watched(
    start_node: StartNode,
    start_prometheus: StartPrometheus,
    processes: ExitStack,
    telegraf_binary: Path,
    socket_path: Path,
    tmp_path: Path,
) -> Watched:
    """Start a node, a Telegraf with all groups and one with the default ones, and wait for enough of life."""
    node = start_node(*LIFE, script=False)
    full, default = (f"127.0.0.1:{free_port()}" for _ in range(2))
    for address, groups in ((full, CHOOSABLE_GROUPS), (default, DEFAULT_GROUPS)):
        directory = tmp_path / address
        directory.mkdir()
        text = configuration(
            socket_path, address, "--poll-interval", "1", "--emit-interval", "1", "--metrics", ",".join(groups)
        )
        processes.enter_context(Telegraf(telegraf_binary, text, directory))
    prometheus = start_prometheus([full, default])
    prometheus.wait_for(f"count(bitcoin_blocks_connected_total > {ENOUGH_BLOCKS}) == 2")
    return Watched(node, prometheus, full, default)


def of_group_that_is_off(panel: dict[str, Any]) -> bool:
    """Whether the panel says that it is of a group that is off by default."""
    (off,) = set(CHOOSABLE_GROUPS) - set(DEFAULT_GROUPS)
    return bool(panel["fieldConfig"]["defaults"]["noValue"].startswith(f"group {off} is off"))


def the_variables_offer_what_there_is(watched: Watched) -> None:
    """The variable `instance` offers Telegraf's pages; without a tag `node` there is only All, which shows all."""
    prometheus = watched.prometheus
    ups = [labels for labels, _ in prometheus.wait_for("bitcoin_up")]
    assert VARIABLES["instance"]["query"]["query"] == "label_values(bitcoin_up, instance)"
    assert {labels["instance"] for labels in ups} == {watched.full, watched.default}
    assert not [labels for labels in ups if "node" in labels]
    height = expressions([panel for panel in PANELS if panel["title"] == "Height"])[0]
    assert len(prometheus.wait_for(chosen(height))) == 2
    ((labels, _),) = prometheus.wait_for(chosen(height, instance=watched.full))
    assert labels["instance"] == watched.full
    assert not prometheus.query(chosen(height, instance="another"))
    assert not prometheus.query(chosen(height, node="another"))


def no_present_value_outlives_the_node(watched: Watched) -> None:
    """When the node is gone the panels with present values show that it is down, and nothing of what it told."""
    prometheus = watched.prometheus
    present = [panel for panel in PANELS if panel["type"] in ("stat", "gauge")]
    assert watched.node.stop() == 0
    prometheus.wait_for("count(bitcoin_up == 0) == 2")
    told = [each for each in expressions(present) if not {metric.name for metric in metrics_in(each)} & PLUGIN_OWN]
    assert len(told) == len(present) - len(["Node", "Plugin version"])
    for each in told:
        prometheus.shows(chosen(each), lambda found: not found, "an end")


def test_every_expression_gives_data_while_there_is_a_node(watched: Watched) -> None:
    """No panel is empty, nor any of its lines, but those of a group that is off; nothing outlives the node."""
    off = [panel for panel in PANELS if of_group_that_is_off(panel)]
    assert off
    watched.shows_all_but(watched.full, [])
    watched.shows_all_but(watched.default, off)
    the_variables_offer_what_there_is(watched)
    no_present_value_outlives_the_node(watched)
