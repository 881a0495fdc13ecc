"""What tests of guards have in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.nodes import Plugin, SimulatedNode, value
from support.subscriber import BRAKE_AFTER, Subscriber

from telegraf_bitcoin_ipc.collect.tags import Subscription

# An event is answered before the next is sent: on a busy machine each costs two turns of the scheduler.
BURST = 3 * BRAKE_AFTER

StartSubscriber = Callable[..., Subscriber]
HoldABurst = Callable[[SimulatedNode, Plugin], Subscriber]


@pytest.fixture
def hold_a_burst(start_subscriber: StartSubscriber) -> HoldABurst:
    """Have a node send a burst of events, and hold it up in the middle, until SIGCONT to what it returns.

    That is a second subscriber, which has to be stopped at the end. The events are of coins, or of transactions
    where the node's dialect has no coins.
    """

    def hold(node: SimulatedNode, plugin: Plugin) -> Subscriber:
        last = node.dialect.subscriptions[-1]
        action, size, counter = (
            ("block", {"outputs": BURST}, "utxo_cache_add_total")
            if last is Subscription.UTXO_CACHE
            else ("accept", {"count": BURST}, "mempool_tx_added_total")
        )
        brake = start_subscriber(last, "brake", dialect=node.dialect.name)
        brake.logged("ready")
        node.begin(action, **size)
        brake.wait_until(lambda: brake.frozen, "the burst was held up")
        plugin.shows(lambda series: (value(series, counter) or 0) > 0, "a burst")
        assert not node.lines(action)
        return brake

    return hold
