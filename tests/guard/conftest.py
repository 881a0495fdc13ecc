"""What tests of guards have in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.nodes import Plugin, SimulatedNode, value
from support.subscriber import BRAKE_AFTER, Subscriber

# An event is answered before the next is sent: on a busy machine each costs two turns of the scheduler.
BURST = 5 * BRAKE_AFTER

StartSubscriber = Callable[..., Subscriber]
HoldABurst = Callable[[SimulatedNode, Plugin], Subscriber]


@pytest.fixture
def hold_a_burst(start_subscriber: StartSubscriber) -> HoldABurst:
    """Have a node send a burst of UTXO events, and hold it up in the middle, until SIGCONT to what it returns.

    That is a second subscriber, which has to be stopped at the end.
    """

    def hold(node: SimulatedNode, plugin: Plugin) -> Subscriber:
        brake = start_subscriber("utxo_cache", "brake")
        brake.logged("ready")
        node.begin("block", outputs=BURST)
        brake.wait_until(lambda: brake.frozen, "the burst was held up")
        plugin.shows(lambda series: (value(series, "utxo_cache_add_total") or 0) > 0, "a burst")
        assert not node.lines("block")
        return brake

    return hold
