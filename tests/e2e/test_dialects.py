"""Every kind of node through the whole chain: simulated node, plugin, the real Telegraf, the real Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.defective import impatient
from support.nodes import SimulatedNode, StartNode
from support.processes import START_SECONDS, free_port, wait_until
from support.prometheus import Prometheus
from support.telegraf import Telegraf, configuration

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS, TRACING, Dialect

pytestmark = pytest.mark.telegraf

StartTelegraf = Callable[..., Telegraf]
StartPrometheus = Callable[..., Prometheus]

ALL = ("--metrics", ",".join(CHOOSABLE_GROUPS), "--poll-interval", "1", "--emit-interval", "1")


class Watched:
    """A node of a dialect, and what Prometheus has of it."""

    def __init__(self, node: SimulatedNode, prometheus: Prometheus, dialect: Dialect) -> None:
        self.node = node
        self._prometheus = prometheus
        self.dialect = dialect

    def begins(self) -> None:
        """Wait until every change from now on is counted."""
        self._prometheus.wait_for(f'bitcoin_node_info{{dialect="{self.dialect.name}"}}')
        subscriptions = self.dialect.subscriptions or ("",)
        if self.dialect.subscriptions:
            self.node.says("subscribed", len(subscriptions))
        else:
            self._prometheus.wait_for("bitcoin_block_height")

    def values(self) -> dict[str, float]:
        """The metrics without tags, by field."""
        found = self._prometheus.query('{__name__=~"bitcoin_.+"}')
        return {
            labels["__name__"].removeprefix("bitcoin_"): number
            for labels, number in found
            if labels.keys() == {"__name__", "instance", "job"}
        }

    def names(self) -> set[str]:
        """The fields of all metrics, with tags or without."""
        found = self._prometheus.query('count by (__name__) ({__name__=~"bitcoin_.+"})')
        return {labels["__name__"].removeprefix("bitcoin_") for labels, _ in found}

    def shows(self, expected: dict[str, float]) -> None:
        """Wait until Prometheus has these values."""
        wait_until(
            lambda: expected.items() <= self.values().items(),
            START_SECONDS,
            lambda: f"{expected}, and Prometheus has {self.values()}",
        )


@pytest.fixture
def watch(
    start_node: StartNode, start_telegraf: StartTelegraf, start_prometheus: StartPrometheus, socket_path: Path
) -> Callable[[Dialect], Watched]:
    """Start a node of a dialect, Telegraf with all groups, and Prometheus."""

    def start(dialect: Dialect, *options: str) -> Watched:
        address = f"127.0.0.1:{free_port()}"
        node = start_node("--dialect", dialect.name, "--seed", "1", "--pruned")
        start_telegraf(configuration(socket_path, address, *ALL, *options))
        watched = Watched(node, start_prometheus(address), dialect)
        watched.begins()
        return watched

    return start


def live(watched: Watched) -> None:
    """Have the node do something of every kind that shows; a tip that nobody saw would not count."""
    node = watched.node
    node.do("fee_estimates", rates={"2": 12.5, "6": 7, "144": 1})
    node.do("indexes", heights={"txindex": None})
    node.do("peer", network="onion", type="outbound-full-relay", transport="v2", ping=0.1)
    node.do("peer", network="ipv4", type="inbound", transport="v1", ping=0.3)
    node.do("traffic", received=123_456, sent=654_321)
    node.do("accept", count=20)
    watched.shows({"block_height": node.do("block", outputs=100)["height"]})
    node.do("accept", count=10)
    node.do("reorg", depth=2)


def expected_names(dialect: Dialect) -> set[str]:
    """What the table says that a dialect gives, and what the plugin says of itself."""
    own = {metric.name for metric in CATALOGUE if metric.group == "plugin"}
    return own | {metric for metric, origin in dialect.origins.items() if origin is not None}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_arrives_in_prometheus(dialect: Dialect, watch: Callable[[Dialect], Watched]) -> None:
    """Prometheus has each metric that the dialect gives, no other, and the values are the node's own."""
    watched = watch(dialect)
    live(watched)
    state = watched.node.totals
    expected: dict[str, float] = {"up": 1, "chain_height": state["height"], "block_height": state["height"]}
    if dialect.statistics is not None:
        expected |= {
            "blocks_connected_total": state["happened"]["blockConnected"],
            "blocks_disconnected_total": state["happened"]["blockDisconnected"],
            "reorgs_total": 1,
            "reorg_depth_max": 2,
            "mempool_size": state["mempool_size"],
            "mempool_bytes": state["mempool_usage"],
            "bytes_recv_total": state["bytes_recv"],
            "peers": 2,
        }
    watched.shows(expected)
    wait_until(
        lambda: watched.names() == expected_names(dialect),
        START_SECONDS,
        lambda: f"the right names: {sorted(watched.names() ^ expected_names(dialect))} are too many or missing",
    )


def test_blocks_and_trace_count_the_same_coins(watch: Callable[[Dialect], Watched]) -> None:
    """Where blocks only come, getblockstats and the UTXO trace agree on every coin and every satoshi."""
    watched = watch(TRACING)
    for _ in range(4):
        watched.node.do("accept", count=15)
        watched.node.do("block", outputs=50)
    counts, values = watched.node.totals["delivered"], watched.node.totals["delivered_value"]
    traced = {
        "utxo_cache_add_total": counts["add"],
        "utxo_cache_spend_total": counts["spend"],
        "utxo_cache_add_value_total": values["add"],
        "utxo_cache_spend_value_total": values["spend"],
    }
    assert counts["spend"] > 0
    by_blocks = {
        "utxo_created_total": counts["add"],
        "utxo_spent_total": counts["spend"],
        "utxo_created_value_sat_total": values["add"],
        "utxo_spent_value_sat_total": values["spend"],
    }
    watched.shows(traced | by_blocks)
    asked = watched.node.do("flush")["rpc_calls"]["getblockstats"]
    assert asked == 1 + 4, "once for the tip that was there, and once for each block"


def test_a_node_may_come_back_as_another_kind(
    start_node: StartNode, start_telegraf: StartTelegraf, start_prometheus: StartPrometheus, socket_path: Path
) -> None:
    """After each restart the node is another kind, and is served as what it is; counters go on."""
    address = f"127.0.0.1:{free_port()}"
    prometheus = None
    for sessions, dialect in enumerate(DIALECTS, start=1):
        node = start_node("--dialect", dialect.name)
        if prometheus is None:
            start_telegraf(impatient(configuration(socket_path, address, *ALL)))
            prometheus = start_prometheus(address)
        watched = Watched(node, prometheus, dialect)
        watched.begins()
        prometheus.wait_for(f"bitcoin_up == 1 and bitcoin_connects_total == {sessions}")
        node.do("block")
        prometheus.wait_for(f"bitcoin_block_height == {node.totals['height']}")
        (info,) = prometheus.wait_for("bitcoin_node_info")
        assert info[0]["dialect"] == dialect.name
        assert node.stop() == 0
        prometheus.wait_for("bitcoin_up == 0")
    served_with_blocks = sum(dialect.statistics is not None for dialect in DIALECTS)
    assert prometheus is not None
    prometheus.wait_for(f"bitcoin_blocks_connected_total == {served_with_blocks}")
