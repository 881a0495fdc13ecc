"""However the plugin or Telegraf ends: the node lives, and nothing is left.

Real processes: a merciless simulated node, the plugin, its guard. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from support.nodes import PROGRAM, Plugin, Series, SimulatedNode, value
from support.processes import START_SECONDS, alive, free_port, wait_until
from support.scene import STANDING, STANDING_CHAIN, Scene, scenes, with_both_guards, with_each, with_each_node
from support.subscriber import Subscriber
from support.telegraf import Telegraf

StartTelegraf = Callable[..., Telegraf]

HoldABurst = Callable[[SimulatedNode, Plugin], Subscriber]


@with_each_node
def test_killed_while_idle(scene: Scene) -> None:
    """SIGKILL while nothing happens: the guard leaves the node in its stead."""
    node = scene.node()
    plugin = scene.watching()
    node.do("block")
    plugin.kill()
    scene.left(node)
    scene.unharmed(node)


@with_each
def test_killed_in_a_burst(scene: Scene, hold_a_burst: HoldABurst) -> None:
    """SIGKILL in the middle of a burst of events: each that was sent is answered."""
    node = scene.node()
    plugin = scene.watching()
    brake = hold_a_burst(node, plugin)
    plugin.kill()
    brake.send(signal.SIGCONT)
    scene.left(node)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


@with_both_guards
def test_killed_in_a_poll(scene: Scene, hold_a_burst: HoldABurst) -> None:
    """SIGKILL while the node is at work on a poll, which its validation holds up."""
    node = scene.node()
    plugin = scene.watching("--poll-interval", "0.1")
    brake = hold_a_burst(node, plugin)

    def held_up(series: Series) -> bool:  # ten polls are due by then
        return time.time() - (value(series, "last_poll_timestamp_seconds") or time.time()) > 1

    plugin.shows(held_up, "a poll that is held up")
    plugin.kill()
    brake.send(signal.SIGCONT)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


@with_both_guards
def test_killed_between_the_two_subscriptions(scene: Scene) -> None:
    """SIGKILL with one subscription made and the other, which only `tracing` has, still to come."""
    node = scene.node()
    node.do("ibd", on=True)
    plugin = scene.plugin()
    plugin.logged("the UTXO cache trace starts after initial block download")
    plugin.kill()
    node.says("unsubscribed")
    scene.unharmed(node)


@with_both_guards
def test_killed_in_the_handshake(scene: Scene) -> None:
    """SIGKILL with the node's first answers, the same of every kind, outstanding after it was connected to."""
    node = scene.node()
    node.freeze()
    plugin = scene.plugin()
    guard = scene.guard()  # it is started with a socket that is connected
    plugin.kill()
    node.send(signal.SIGCONT)
    wait_until(lambda: not alive(guard), START_SECONDS, "the end of the guard")
    scene.unharmed(node)


@with_each_node
def test_killed_while_the_node_warms_up(scene: Scene) -> None:
    """SIGKILL while the node still loads its chain, when the wrong question would abort it."""
    node = scene.node("--warmup", "3600")
    plugin = scene.plugin()
    plugin.logged("the node is still starting")
    plugin.kill()
    scene.empty()
    node.do("load")
    late = scene.watching()
    assert late.stop() == 0
    scene.unharmed(node)


@with_each_node
def test_killed_at_any_moment_of_its_start(scene: Scene) -> None:
    """SIGKILL at increasing delays after the start, while the node is at work."""
    node = scene.node()
    plugin = scene.plugin()
    began = time.monotonic()
    scene.watched(plugin)
    whole = time.monotonic() - began
    assert plugin.stop() == 0
    for sixth in range(2, 8):
        plugin.start()
        node.begin("block", outputs=20, transactions=0)
        node.begin("accept", count=5)
        time.sleep(whole * sixth / 6)
        plugin.kill()
    scene.unharmed(node)


@with_each
@pytest.mark.parametrize("delay", [0, 0.05])
def test_killed_while_it_unsubscribes(scene: Scene, hold_a_burst: HoldABurst, delay: float) -> None:
    """SIGTERM, and SIGKILL right after it, in the middle of a burst: the guard goes on with what was begun."""
    node = scene.node()
    plugin = scene.watching()
    brake = hold_a_burst(node, plugin)
    plugin.send(signal.SIGTERM)
    time.sleep(delay)
    plugin.kill()
    brake.send(signal.SIGCONT)
    scene.left(node)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


@with_each_node
def test_a_real_segmentation_fault(scene: Scene) -> None:
    """C code that the plugin runs in a callback crashes."""
    node = scene.node()
    plugin = scene.watching(defect="segmentation fault")
    node.do("block", outputs=200)
    assert plugin.wait() == -signal.SIGSEGV
    scene.unharmed(node)


@with_each_node
def test_out_of_memory(scene: Scene) -> None:
    """The plugin uses up its memory in a callback, and dies or is of no more use."""
    node = scene.node()
    plugin = scene.watching(defect="memory used up")
    for _ in range(3):
        node.do("block", outputs=200)
        node.do("accept", count=200)
    plugin.kill()
    scene.unharmed(node)


def telegraf_with(scene: Scene, node: SimulatedNode, start_telegraf: StartTelegraf) -> Telegraf:
    """Start a Telegraf that watches the node, and wait until it does."""
    command = [str(PROGRAM), "config", "--metrics-addr", f"127.0.0.1:{free_port()}", str(scene.socket)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    telegraf = start_telegraf(text, environment=scene.mark)
    node.says("subscribed", len(scene.dialect.subscriptions))
    return telegraf


@with_each_node
@pytest.mark.telegraf
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_telegraf_ends(scene: Scene, start_telegraf: StartTelegraf, number: signal.Signals) -> None:
    """Telegraf is stopped, or killed, in the middle of a burst: plugin and guard go with it."""
    node = scene.node()
    telegraf = telegraf_with(scene, node, start_telegraf)
    scene.burst(node)
    telegraf.send(number)
    telegraf.wait()
    scene.left(node)
    node.says("settled")
    scene.unharmed(node)


@scenes(STANDING, STANDING_CHAIN)
@pytest.mark.telegraf
def test_everything_on_telegrafs_side_is_killed(scene: Scene, start_telegraf: StartTelegraf) -> None:
    """SIGKILL to Telegraf and its plugin at once, as to a control group: a standing guard is in another."""
    node = scene.node()
    telegraf = telegraf_with(scene, node, start_telegraf)
    scene.burst(node)
    for pid in scene.processes():
        os.kill(pid, signal.SIGKILL)
    telegraf.wait()
    scene.left(node)
    node.says("settled")
    scene.unharmed(node)


@with_each_node
@pytest.mark.telegraf
def test_telegraf_is_reloaded(scene: Scene, start_telegraf: StartTelegraf) -> None:
    """SIGHUP: the old plugin leaves with its guard, a new one comes, and the node notices nothing else."""
    node = scene.node()
    telegraf = telegraf_with(scene, node, start_telegraf)
    (guard,) = scene.guards()
    scene.burst(node)
    telegraf.reload()
    scene.left(node)
    node.says("subscribed", 2 * len(scene.dialect.subscriptions))
    wait_until(lambda: not alive(guard), START_SECONDS, "the end of the first guard")
    assert len(scene.guards()) == 1
    node.says("settled")
    node.do("block")
    assert telegraf.stop() == 0
    scene.unharmed(node)
