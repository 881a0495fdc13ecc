"""Two nodes through a real Kafka to a central Telegraf and a real Prometheus: as at home, whatever fails between."""

from __future__ import annotations

from support.kafka_fleet import KafkaFleet, page_of
from support.processes import START_SECONDS, wait_until

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE


def live_a_little(fleet: KafkaFleet) -> None:
    """Have each node do what its kind can."""
    for member in fleet.members.values():
        member.node.do("peers", inbound=5, outbound=10)
        member.node.do("accept", count=30)
        member.node.do("block", outputs=20)
        member.node.do("reorg", depth=2)
        member.node.do("block")


def test_everything_arrives_as_at_home(fleet: KafkaFleet) -> None:
    """The central page is the nodes' own pages together, every series, value and type."""
    live_a_little(fleet)
    fleet.prometheus.wait_for('bitcoin_blocks_disconnected_total{node="alpha"} == 2')
    wait_until(
        lambda: page_of(fleet.page) == fleet.at_home != {},
        START_SECONDS,
        lambda: f"the same; different: {set(page_of(fleet.page).items()) ^ set(fleet.at_home.items())}",
    )
