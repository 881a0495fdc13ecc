"""Remote write to a real VictoriaMetrics: every sample arrives; types and the end of a series do not."""

from __future__ import annotations

import math

from support.kafka_fleet import KafkaFleet
from support.line_protocol import read
from support.processes import START_SECONDS, wait_until

Samples = dict[tuple[frozenset[tuple[str, str]], int], float]
"""Values by the labels of the series and the time in milliseconds."""


def emitted(fleet: KafkaFleet) -> Samples:
    """What the plugins emitted, as samples."""
    return {
        (frozenset({"__name__": f"bitcoin_{field}", **point.tags}.items()), point.timestamp // 1_000_000): value
        for point in map(read, fleet.emitted)
        for field, value in point.fields.items()
    }


def stored(fleet: KafkaFleet) -> Samples:
    """What VictoriaMetrics has; the label `host` is Telegraf's own. No sample is there twice."""
    found = fleet.victoria.samples()
    by_key = {
        (frozenset(pair for pair in labels if pair[0] != "host"), time): value for labels, time, value in found
    }
    assert len(by_key) == len(found)
    return by_key


def test_every_sample_arrives_through_an_outage(fleet: KafkaFleet) -> None:
    """What is emitted while VictoriaMetrics is gone is there afterwards, with its own time, once; no type is."""
    fleet.await_emissions(3)
    fleet.victoria.stop()
    for node in fleet.nodes.values():
        node.do("accept", count=30)
        node.do("block", outputs=20)
    fleet.await_emissions(20)
    fleet.victoria.start()
    expected = emitted(fleet)
    wait_until(
        lambda: expected.keys() <= stored(fleet).keys(),
        START_SECONDS,
        lambda: f"{len(expected.keys() - stored(fleet).keys())} of {len(expected)} samples",
    )
    found = stored(fleet)
    assert all(math.isclose(found[key], value, rel_tol=1e-12) for key, value in expected.items())
    assert fleet.victoria.metadata() == {}
