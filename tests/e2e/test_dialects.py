"""Nodes of every kind, each with a plugin under one Telegraf, told apart by a tag, to Prometheus and dashboard."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.dashboard import PANELS, VARIABLES, chosen, expressions
from support.nodes import SimulatedNode
from support.processes import free_port
from support.prometheus import Prometheus, Result, StartPrometheus, by_node
from support.telegraf import StartTelegraf, configuration

from telegraf_bitcoin_ipc.collect.dialect import Dialect
from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS, TRACING

pytestmark = pytest.mark.telegraf

ALL = ("--metrics", ",".join(CHOOSABLE_GROUPS), "--poll-interval", "1", "--emit-interval", "1")

UNTAGGED = ""
"""A node whose plugin has no tag, beside the others."""

DIALECT_OF = dict(zip(("alpha", "beta", "gamma", "delta", "epsilon", UNTAGGED), DIALECTS, strict=True))
"""The nodes by their tag, and what each of them is."""

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"


@dataclass
class Watched:
    """A node of a dialect, with blocks from before it was watched, and what Prometheus has under its tag."""

    tag: str
    dialect: Dialect
    node: SimulatedNode
    earlier: int
    prometheus: Prometheus

    def shows(self, expected: dict[str, float]) -> None:
        """Wait until Prometheus has these values of metrics without tags of their own."""
        self.prometheus.shows(
            f'{{__name__=~"bitcoin_.+",node="{self.tag}"}}',
            lambda found: expected.items() <= _plain(found).items(),
            f"{expected} of {self.dialect.name}",
        )

    def has_names(self) -> None:
        """Wait until there is each metric that the table gives the dialect or the plugin itself, and no other."""
        names = {metric.name for metric in CATALOGUE if metric.group == "plugin"}
        names |= {metric for metric, origin in self.dialect.origins.items() if origin is not None}
        self.prometheus.shows(
            f'count by (__name__) ({{__name__=~"bitcoin_.+",node="{self.tag}"}})',
            lambda found: {labels["__name__"].removeprefix("bitcoin_") for labels, _ in found} == names,
            f"{sorted(names)} of {self.dialect.name}",
        )

    def lives(self) -> None:
        """Have the node do something of every kind that shows; a tip that nobody saw would not count."""
        node = self.node
        node.do("fee_estimates", rates={"2": 12.5, "6": 7, "144": 1})
        node.do("indexes", heights={"txindex": None})
        node.do("peer", network="onion", type="outbound-full-relay", transport="v2", ping=0.1)
        node.do("peer", network="ipv4", type="inbound", transport="v1", ping=0.3)
        node.do("traffic", received=123_456, sent=654_321)
        node.do("accept", count=20)
        self.shows({"block_height": node.do("block", outputs=100)["height"]})
        node.do("accept", count=10)
        node.do("reorg", depth=2)

    def expected(self) -> dict[str, float]:
        """What the node says of itself."""
        state = self.node.totals
        expected: dict[str, float] = {"up": 1, "chain_height": state["height"], "block_height": state["height"]}
        if self.dialect.statistics is not None:
            expected |= {
                "blocks_connected_total": state["happened"]["blockConnected"] - self.earlier,
                "blocks_disconnected_total": state["happened"]["blockDisconnected"],
                "reorgs_total": 1,
                "reorg_depth_max": 2,
                "mempool_size": state["mempool_size"],
                "mempool_bytes": state["mempool_usage"],
                "bytes_recv_total": state["bytes_recv"],
                "peers": 2,
            }
        return expected


def _plain(found: Result) -> dict[str, float]:
    """The metrics without tags of their own, by field."""
    return {
        labels["__name__"].removeprefix("bitcoin_"): number
        for labels, number in found
        if labels.keys() - {"node"} == {"__name__", "instance", "job"}
    }


def of_all(texts: list[str]) -> str:
    """The first configuration, with the plugins of the others as well: put together as docs/fleet.md says."""
    (recipe,) = re.findall(r"\| (sed -n '.*?') >>", PAGE.read_text())
    first, *others = texts
    return first + "".join(
        subprocess.run(shlex.split(recipe), input=text, check=True, capture_output=True, text=True).stdout
        for text in others
    )


@pytest.fixture
def fleet(
    processes: ExitStack,
    start_telegraf: StartTelegraf,
    start_prometheus: StartPrometheus,
    tmp_path: Path,
    socket_path: Path,
) -> dict[str, Watched]:
    """All of them, each of a height of its own, under one Telegraf, and watched from now on."""
    nodes: dict[str, SimulatedNode] = {}
    for tag, dialect in DIALECT_OF.items():
        socket = socket_path.with_name(f"{tag or 'untagged'}.sock")
        options = ("--dialect", dialect.name, "--seed", "1", "--pruned")
        nodes[tag] = processes.enter_context(SimulatedNode(socket, tmp_path / tag, *options))
    earlier = {tag: len(nodes) - number for number, tag in enumerate(nodes)}
    for tag, node in nodes.items():
        for _ in range(earlier[tag]):
            node.do("block")
    address = f"127.0.0.1:{free_port()}"
    tags = {tag: ["--tag", f"node={tag}"] if tag else [] for tag in nodes}
    start_telegraf(of_all([configuration(node.socket, address, *ALL, *tags[tag]) for tag, node in nodes.items()]))
    prometheus = start_prometheus(address)
    for node in nodes.values():
        if node.dialect.subscriptions:
            node.says("subscribed", len(node.dialect.subscriptions))
    prometheus.wait_for(f"count(bitcoin_block_height or bitcoin_ibd) == {len(nodes)}")
    return {tag: Watched(tag, node.dialect, node, earlier[tag], prometheus) for tag, node in nodes.items()}


def blocks_and_trace_count_the_same_coins(watched: Watched) -> None:
    """Where blocks only come, getblockstats and the UTXO trace agree on every coin and every satoshi."""
    for _ in range(4):
        watched.node.do("accept", count=15)
        watched.node.do("block", outputs=50)
    counts, values = watched.node.totals["delivered"], watched.node.totals["delivered_value"]
    assert counts["spend"] > 0
    watched.shows(
        {
            "utxo_cache_add_total": counts["add"],
            "utxo_cache_spend_total": counts["spend"],
            "utxo_cache_add_value_total": values["add"],
            "utxo_cache_spend_value_total": values["spend"],
            "utxo_created_total": counts["add"],
            "utxo_spent_total": counts["spend"],
            "utxo_created_value_sat_total": values["add"],
            "utxo_spent_value_sat_total": values["spend"],
        }
    )
    asked = watched.node.do("flush")["rpc_calls"]["getblockstats"]
    assert asked == 1 + 4, "once for the tip that was there, and once for each block"


def the_dashboard_compares_all_or_shows_one(prometheus: Prometheus) -> None:
    """The variable `node` at All shows every node, tagged or not; at some, only those; no panel mixes them."""
    (height,) = expressions([next(each for each in PANELS if each["title"] == "Height")])

    def has(expression: str, *tags: str) -> None:
        prometheus.shows(expression, lambda found: by_node(found).keys() == set(tags), f"the heights of {tags}")

    has(chosen(height), *DIALECT_OF)
    has(chosen(height, node="beta"), "beta")
    has(chosen(height, node="(alpha|gamma)"), "alpha", "gamma")
    series = re.fullmatch(r"label_values\((.*), node\)", VARIABLES["node"]["query"]["query"])
    assert series
    has(f"count by (node) ({chosen(series[1])})", *DIALECT_OF)
    for expression in expressions():
        assert {labels["node"] for labels, _ in prometheus.query(chosen(expression, node="alpha"))} <= {"alpha"}


def test_every_dialect_arrives_under_its_tag(fleet: dict[str, Watched]) -> None:
    """Each node has its dialect's metrics, no other, with its own values."""
    prometheus = fleet["alpha"].prometheus
    assert fleet["alpha"].dialect is TRACING
    blocks_and_trace_count_the_same_coins(fleet["alpha"])
    for watched in fleet.values():
        watched.lives()
    for watched in fleet.values():
        watched.shows(watched.expected())
        watched.has_names()
        prometheus.wait_for(f'bitcoin_node_info{{node="{watched.tag}",dialect="{watched.dialect.name}"}}')
    assert len({watched.node.totals["height"] for watched in fleet.values()}) == len(fleet)
    the_dashboard_compares_all_or_shows_one(prometheus)
