"""Two nodes through a real Kafka to a central Telegraf and a real Prometheus, whatever fails between."""

from __future__ import annotations

from collections.abc import Callable

from support.kafka_fleet import KafkaFleet
from support.prometheus import by_node

OUTAGE = 20
"""How many emissions an outage takes."""

COUNTERS = 'label_replace({__name__=~"bitcoin_.+_total"}, "metric", "$1", "__name__", "(.+)")'
"""Every counter, with its name where `resets` keeps it."""


def live_a_little(fleet: KafkaFleet) -> None:
    """Have each node do what its kind can."""
    for node in fleet.nodes.values():
        node.do("peers", inbound=5, outbound=10)
        node.do("accept", count=30)
        node.do("block", outputs=20)
        node.do("reorg", depth=2)
        node.do("block")


def live_through(fleet: KafkaFleet, end: Callable[[], object], begin: Callable[[], object]) -> None:
    """Have the nodes live on during an outage: no line is lost or changed, and no counter is reset.

    A line may arrive twice, with the same time: a batch that failed in part is sent again as a whole, and what was
    not acknowledged is read again.
    """
    end()
    live_a_little(fleet)
    fleet.await_emissions(OUTAGE)
    begin()
    fleet.await_arrival()
    fleet.await_home()
    live_a_little(fleet)
    fleet.prometheus.wait_for('bitcoin_blocks_disconnected_total{node="alpha"} == 4')
    assert fleet.prometheus.query(f"resets({COUNTERS}[1h:1s]) >= 0")
    assert fleet.prometheus.query(f"resets({COUNTERS}[1h:1s]) > 0") == []


def test_everything_arrives_as_at_home(fleet: KafkaFleet) -> None:
    """Behind Kafka every series of both nodes has the value and the type that it has at home."""
    live_a_little(fleet)
    fleet.prometheus.wait_for('bitcoin_blocks_disconnected_total{node="alpha"} == 2')
    fleet.await_home()
    fleet.prometheus.follows_the_catalogue("node")
    shown = fleet.prometheus.metadata()
    assert shown.keys() == {line.split()[2] for line in fleet.pages_at_home if line.startswith("# TYPE")}


def test_an_outage_of_kafka(fleet: KafkaFleet) -> None:
    """Lines wait in the nodes' Telegrafs while Kafka is gone, and the central one may even start without it."""

    def end() -> None:
        fleet.kafka.kill()
        fleet.central.stop()
        fleet.central.start()

    live_through(fleet, end, fleet.kafka.start)


def test_an_outage_of_the_central_telegraf(fleet: KafkaFleet) -> None:
    """Lines wait in Kafka while the central Telegraf is gone, which goes on where it was."""
    live_through(fleet, fleet.central.kill, fleet.central.start)


def test_a_node_that_dies(fleet: KafkaFleet) -> None:
    """A node that is killed is down at the far end, under its own tag, until it is back; its counters go on."""
    live_a_little(fleet)
    node = fleet.nodes["beta"]
    node.kill()
    for far in (fleet.prometheus, fleet.victoria):
        far.shows("bitcoin_up", lambda found: by_node(found) == {"alpha": 1, "beta": 0}, "beta down")
    fleet.prometheus.shows(
        "bitcoin_chain_height", lambda found: by_node(found).keys() == {"alpha"}, "the height of alpha alone"
    )
    fleet.prometheus.fires("BitcoinNodeDown", "beta")
    node.start()
    fleet.prometheus.wait_for('bitcoin_up{node="beta"} == 1')
    fleet.await_home()
    assert fleet.prometheus.query('resets(bitcoin_blocks_connected_total{node="beta"}[1h]) > 0') == []


def test_a_telegraf_that_dies(fleet: KafkaFleet) -> None:
    """A node's Telegraf that is killed is gone from the page, and its node unharmed; remote write has no such end.

    VictoriaMetrics shows the last values for about 5 minutes more, as docs/fleet.md says.
    """
    node, telegraf = fleet.nodes["alpha"], fleet.telegrafs["alpha"]
    telegraf.kill()
    node.says("unsubscribed", 2)
    fleet.prometheus.shows("bitcoin_up", lambda found: by_node(found) == {"beta": 1}, "beta alone")
    last = max(time for labels, time, _ in fleet.victoria.samples() if ("node", "alpha") in labels) / 1000
    ups = [fleet.victoria.query('bitcoin_up{node="alpha"}', at=last + minutes * 60) for minutes in (4, 6)]
    assert [by_node(up) for up in ups] == [{"alpha": 1}, {}]
    fleet.prometheus.fires("BitcoinPluginDown", "alpha")
    telegraf.start()
    fleet.prometheus.shows("bitcoin_up", lambda found: by_node(found) == {"alpha": 1, "beta": 1}, "both")
    fleet.await_home()
    assert not node.lines("abort")


def test_tls_and_a_password(start_fleet: Callable[..., KafkaFleet]) -> None:
    """With certificate and password in the environment all arrives as without; with others, nothing does."""
    fleet = start_fleet(secure=True)
    fleet.start_telegraf("other-password", fleet.url, environment={"BITCOIN_FLEET_PASSWORD": "guessed"})
    fleet.start_telegraf("other-ca", fleet.url, environment={"BITCOIN_FLEET_CA": ""})
    live_a_little(fleet)
    for name, reason in (("other-password", "Authentication failed"), ("other-ca", "unknown authority")):
        fleet.telegrafs[name].logged(reason)
        del fleet.homes[name]
    fleet.await_arrival()
    fleet.await_home()
    assert not [line for line in fleet.lines() if "other" in line]
