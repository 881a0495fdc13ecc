"""The node stops, is killed, or cannot tell of its stop: it is left in time, and watched again.

Real processes: a merciless simulated node, the plugin, its guard. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import signal

import pytest
from support.counts import delivered, happened
from support.nodes import Series, value
from support.processes import START_SECONDS, alive, wait_until
from support.scene import OWN, OWN_CHAIN, Scene, counted, descriptors, shows, with_either_guard

GAUGES = ("chain_height", "header_height", "block_height", "ibd", "mempool_size", "peers", "bytes_recv_total")


def down(series: Series) -> bool:
    """Whether the plugin says that the node does not answer."""
    return value(series, "up") == 0


@with_either_guard
def test_the_node_is_told_to_stop(scene: Scene) -> None:
    """It stops cleanly, with plugins that are alive, stopped and just killed; the next one is watched again."""
    node = scene.node()
    living, stopped, dead = (scene.watching() for _ in range(3))
    node.do("block", outputs=100)
    stopped.freeze()
    node.do("accept", count=100)
    wanted = happened(node)
    dead.kill()
    assert node.stop() == 0, node.log
    assert not node.lines("abort")
    stopped.send(signal.SIGCONT)
    for plugin in (living, stopped):
        series = plugin.shows(down, "the node is down")
        assert not [field for field in GAUGES if value(series, field) is not None]
        plugin.logged("W! the node is stopping; trying again until it answers")
        shows(plugin, wanted)
    wait_until(lambda: not scene.guards(), START_SECONDS, "the end of the guards")  # each try has one
    node.start()
    for plugin in (living, stopped):
        scene.watched(plugin, 2)
    assert living.stop() == stopped.stop() == 0
    scene.unharmed(node)


@with_either_guard
def test_the_node_is_killed(scene: Scene) -> None:
    """Guard and plugin notice at once, the guard ends, and a node that is started again is watched as before."""
    node = scene.node()
    plugin = scene.watching("--poll-interval", "3600")
    guard = scene.guard()
    node.do("block", outputs=100)
    counted(plugin, node)
    before = descriptors(plugin.pid)
    node.kill()
    series = plugin.shows(down, "the node is down")
    assert value(series, "subscription_active", subscription="chain") == 0
    wait_until(lambda: not alive(guard), START_SECONDS, "the end of the guard")
    counts = delivered(node)
    node.start()
    scene.watched(plugin, 2)
    assert scene.guard() != guard
    node.do("block")
    added = {"blocks_connected_total", "utxo_cache_add_total"} & counts.keys()
    wanted = {field: counts[field] + 1 for field in added}
    series = shows(plugin, wanted)
    assert (value(series, "up"), value(series, "connects_total")) == (1, 2)
    assert value(series, "chain_height") is not None
    assert plugin.stderr.count("W! ") == 1
    wait_until(lambda: descriptors(plugin.pid) == before, START_SECONDS, "no descriptor is left over")
    assert plugin.stop() == 0
    scene.unharmed(node)


NO_WAIT = "Mining.waitTipChanged"


@pytest.mark.parametrize(
    ("dialect", "options"), [("tracing", []), ("stock-chain", ["--no-guard"]), ("stock", [])], ids=str
)
def test_a_node_that_cannot_tell_of_its_stop(scene: Scene, dialect: str, options: list[str]) -> None:
    """It is polled and not subscribed to, which the log says once, and stops cleanly."""
    node = scene.node("--dialect", dialect)
    node.do("fail", method=NO_WAIT)
    plugin = scene.plugin("--poll-interval", "0.1", *options)
    plugin.logged("not subscribing, because the node's stop would go unnoticed; polls continue")
    for _ in range(3):
        state = node.do("block")
    series = plugin.shows(lambda series: value(series, "chain_height") == state["height"], "a poll")
    assert value(series, "up") == 1
    assert value(series, "blocks_connected_total") is None
    for subscription in ("chain", "utxo_cache"):
        assert value(series, "subscription_active", subscription=subscription) == 0
    assert not node.lines("subscribed")
    assert plugin.stderr.count("W! waitTipChanged: ") == 1
    assert node.stop() == 0, node.log
    assert not node.lines("abort")
    assert plugin.stop() == 0
    scene.empty()


@pytest.mark.parametrize(
    ("scene", "options"), [(OWN, []), (OWN_CHAIN, ["--no-guard"])], indirect=["scene"], ids=str
)
def test_a_node_that_can_no_longer_tell_of_its_stop(scene: Scene, options: list[str]) -> None:
    """Its subscriptions are ended, polls go on; when it can tell again they are made again."""
    node = scene.node()
    plugin = scene.watching("--poll-interval", "0.1", *options)
    node.do("fail", method=NO_WAIT)
    node.do("block")  # without a guard the wait has no time limit: it is asked again at the next tip
    scene.left(node)
    plugin.logged("not subscribing, because the node's stop would go unnoticed; polls continue")
    plugin.shows(lambda series: value(series, "up") == 1, "polls")
    node.do("heal", method=NO_WAIT)
    scene.watched(plugin, 2)
    plugin.logged("I! waitTipChanged works again")
    assert plugin.stop() == 0
    scene.unharmed(node)
