"""The dashboard for real: each expression of each panel on the real Prometheus, after a life at quick rates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from dashboards.queries import metrics_in
from support.dashboard import PANELS, VARIABLES, chosen, expressions
from support.nodes import SimulatedNode
from support.processes import START_SECONDS, free_port, wait_until
from support.prometheus import Prometheus
from support.telegraf import Telegraf, configuration

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS, DEFAULT_GROUPS

pytestmark = pytest.mark.telegraf

LIFE = ("--block-interval", "0.5", "--tx-rate", "50", "--reorg-every", "5", "--pruned", "--seed", "1")
"""A block every half second: 20 minutes of the real network in a second."""

ENOUGH_BLOCKS = 20

PLUGIN_OWN = {metric.name for metric in CATALOGUE if metric.lifetime == "process"}
"""What is known without a node."""


class Watched(NamedTuple):
    """A node that lives quickly, and the Prometheus that has its metrics."""

    node: SimulatedNode
    prometheus: Prometheus


Watch = Callable[..., Watched]


@pytest.fixture
def watch(
    start_node: Callable[..., SimulatedNode],
    start_telegraf: Callable[..., Telegraf],
    start_prometheus: Callable[..., Prometheus],
    socket_path: Path,
) -> Watch:
    """Start a node that lives quickly, Telegraf with these options, and Prometheus; wait for enough of life."""

    def start(*options: str) -> Watched:
        node = start_node(*LIFE, script=False)
        address = f"127.0.0.1:{free_port()}"
        quickly = ("--poll-interval", "1", "--emit-interval", "1")
        start_telegraf(configuration(socket_path, address, *quickly, *options))
        prometheus = start_prometheus(address)
        prometheus.wait_for(f"bitcoin_blocks_connected_total > {ENOUGH_BLOCKS}")
        return Watched(node, prometheus)

    return start


def without_data(prometheus: Prometheus, panels: list[dict[str, Any]]) -> list[str]:
    """The expressions of the panels that give nothing now."""
    return [each for each in expressions(panels) if not prometheus.query(chosen(each))]


def of_group_that_is_off(panel: dict[str, Any]) -> bool:
    """Whether the panel says that it is of a group that is off by default."""
    (off,) = set(CHOOSABLE_GROUPS) - set(DEFAULT_GROUPS)
    return bool(panel["fieldConfig"]["defaults"]["noValue"].startswith(f"group {off} is off"))


def shows_all_but(prometheus: Prometheus, panels: list[dict[str, Any]]) -> None:
    """Wait until every expression of the other panels gives data, and see that none of these does."""
    others = [panel for panel in PANELS if panel not in panels]
    wait_until(
        lambda: not without_data(prometheus, others),
        START_SECONDS,
        lambda: f"data for {without_data(prometheus, others)}",
    )
    assert without_data(prometheus, panels) == expressions(panels)


def test_every_expression_gives_data(watch: Watch) -> None:
    """With all groups on, no panel of the dashboard is empty, nor any of its lines."""
    _, prometheus = watch("--metrics", ",".join(CHOOSABLE_GROUPS))
    shows_all_but(prometheus, [])


def test_panels_of_a_group_that_is_off_are_empty(watch: Watch) -> None:
    """With the default groups the panels of the one that is off have no data, zeros included; all others have."""
    _, prometheus = watch()
    off = [panel for panel in PANELS if of_group_that_is_off(panel)]
    assert off
    shows_all_but(prometheus, off)


def test_the_variables_offer_what_there_is(watch: Watch) -> None:
    """The variable `instance` offers Telegraf's page; without a tag `node` there is only All, which shows it."""
    _, prometheus = watch()
    ((labels, _),) = prometheus.wait_for("bitcoin_up")
    assert VARIABLES["instance"]["query"]["query"] == "label_values(bitcoin_up, instance)"
    assert "node" not in labels
    height = expressions([panel for panel in PANELS if panel["title"] == "Height"])[0]
    assert len(prometheus.wait_for(chosen(height, instance=labels["instance"]))) == 1
    assert not prometheus.query(chosen(height, instance="another"))
    assert not prometheus.query(chosen(height, node="another"))


def test_no_present_value_outlives_the_node(watch: Watch) -> None:
    """When the node is gone the panels with present values show that it is down, and nothing of what it told."""
    node, prometheus = watch("--metrics", ",".join(CHOOSABLE_GROUPS))
    present = [panel for panel in PANELS if panel["type"] in ("stat", "gauge")]
    wait_until(lambda: not without_data(prometheus, present), START_SECONDS, "data for each of them")
    assert node.stop() == 0
    prometheus.wait_for("bitcoin_up == 0")
    told = [each for each in expressions(present) if not {metric.name for metric in metrics_in(each)} & PLUGIN_OWN]
    wait_until(
        lambda: not [each for each in told if prometheus.query(chosen(each))],
        START_SECONDS,
        "what the node told was gone",
    )
    assert len(told) == len(present) - len(["Node", "Plugin version"])
