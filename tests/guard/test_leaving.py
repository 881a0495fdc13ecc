"""How a node is left: disconnect, `destroy`, its answer, then close; and no new call once the node stops.

Real processes: a merciless simulated node, the plugin, its guard. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from support.nodes import SimulatedNode
from support.scene import OWN_CHAIN, STANDING_CHAIN, Scene, connections

DISCONNECT, DESTROY, WAIT = "Handler.disconnect", "ChainNotifications.destroy", "Mining.waitTipChanged"

with_each_way = pytest.mark.parametrize(
    ("scene", "options"),
    [(OWN_CHAIN, []), (STANDING_CHAIN, []), (OWN_CHAIN, ["--no-guard"])],
    indirect=["scene"],
    ids=["own guard", "standing guard", "no guard"],
)


@with_each_way
def test_a_disconnect_that_returns_before_destroy(scene: Scene, options: list[str]) -> None:
    """The connection stays open until `destroy` was answered, though the disconnect returned long ago."""
    node = scene.node()
    plugin = scene.watching(*options)
    node.do("hang", method=DESTROY)
    plugin.send(signal.SIGTERM)
    node.wait_until(lambda: node.do("refuse")["calls"].get(DISCONNECT), "a disconnect")
    node.do("block")
    assert connections(node) == 1
    assert not node.lines("unsubscribed")
    node.do("heal", method=DESTROY)
    scene.left(node)
    assert plugin.wait() == 0
    plugin.stop()
    scene.unharmed(node)


def begun_since_the_stop(node: SimulatedNode) -> Counter[str]:
    """The calls that the node got between the begin of its stop and its teardown."""
    before, after = (Counter(node.says(moment)["calls"]) for moment in ("stopping", "torn down"))
    return after - before


@with_each_way
def test_no_call_is_begun_once_the_node_stops(scene: Scene, options: list[str]) -> None:
    """After the empty waitTipChanged the node only gets what leaving takes; one call may have been on its way."""
    node = scene.node("--stop-seconds", "3600")
    plugin = scene.watching("--poll-interval", "0.1", *options)
    node.begin_stop()
    plugin.logged("W! the node is stopping")
    scene.left(node)
    node.hasten_stop()
    begun = begun_since_the_stop(node)
    assert begun.pop(DISCONNECT) == 1
    begun.pop(WAIT, None)  # the guard's, before it knew
    assert begun.total() <= 1, begun
    node.hasten_stop()
    assert node.wait() == 0, node.log
    assert not node.lines("abort")
    assert plugin.stop() == 0
    scene.empty()
