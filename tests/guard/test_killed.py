"""However the plugin or Telegraf ends: the node lives, and nothing is left.

Real processes: a merciless simulated node, the plugin, its guard. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from support.nodes import PROGRAM, Series, SimulatedNode, value
from support.processes import START_SECONDS, alive, free_port, wait_until
from support.scene import OWN, STANDING, STANDING_CHAIN, Scene, with_both_guards, with_either_guard
from support.telegraf import Telegraf

from telegraf_bitcoin_ipc.telegraf.sample_config import render

StartTelegraf = Callable[..., Telegraf]


@with_either_guard
def test_killed_one_after_another(scene: Scene) -> None:
    """A crash in C code, memory used up in a callback, SIGKILL while idle: the guard leaves the node instead."""
    node = scene.node()
    crashing = scene.watching(defect="segmentation fault")
    node.do("block", outputs=200)
    assert crashing.wait() == -signal.SIGSEGV
    scene.left(node)
    swollen = scene.watching(defect="memory used up")
    for _ in range(2):  # it dies, or is of no more use
        node.do("block", outputs=200)
        node.do("accept", count=50)
    swollen.kill()
    scene.left(node, 2)
    idle = scene.watching()
    node.do("block")
    idle.kill()
    scene.left(node, 3)
    scene.unharmed(node)


@with_both_guards
def test_killed_in_a_burst(scene: Scene) -> None:
    """SIGKILL in the middle of a burst, with a poll under way, or after SIGTERM: each event is answered."""
    node = scene.node()
    polls, *leave = scene.watching("--poll-interval", "0.1"), scene.watching(), scene.watching()
    brake = scene.held_burst(node, polls)

    def held_up(series: Series) -> bool:  # ten polls are due by then
        return time.time() - (value(series, "last_poll_timestamp_seconds") or time.time()) > 1

    polls.shows(held_up, "a poll that is held up")
    polls.kill()
    for delay, plugin in zip((0, 0.05), leave, strict=True):
        plugin.send(signal.SIGTERM)
        time.sleep(delay)
        plugin.kill()
    brake.send(signal.SIGCONT)
    scene.left(node, 3)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


@with_both_guards
def test_killed_before_it_watches(scene: Scene) -> None:
    """SIGKILL in the handshake, while the node loads its chain, and with one of two subscriptions made."""
    node = scene.node("--warmup", "3600")
    node.freeze()
    plugin = scene.plugin()
    guard = scene.guard()  # it is started with a socket that is connected
    plugin.kill()
    node.send(signal.SIGCONT)
    wait_until(lambda: not alive(guard), START_SECONDS, "the end of the guard")
    plugin = scene.plugin()
    plugin.logged("the node is still starting")
    plugin.kill()
    scene.empty()
    node.do("load")
    node.do("ibd", on=True)
    plugin = scene.plugin()
    plugin.logged("the UTXO cache trace starts after initial block download")
    plugin.kill()
    node.says("unsubscribed")
    scene.unharmed(node)


@with_either_guard
def test_killed_at_any_moment_of_its_start(scene: Scene) -> None:
    """SIGKILL at increasing delays after the start, while the node is at work."""
    node = scene.node()
    plugin = scene.plugin()
    began = time.monotonic()
    scene.watched(plugin)
    whole = time.monotonic() - began
    assert plugin.stop() == 0
    for eighth in range(3, 11):
        plugin.start()
        node.begin("block", outputs=20, transactions=0)
        node.begin("accept", count=5)
        time.sleep(whole * eighth / 8)
        plugin.kill()
    scene.unharmed(node)


def telegraf_with(scene: Scene, node: SimulatedNode, start_telegraf: StartTelegraf) -> Telegraf:
    """Start a Telegraf that watches the node, and wait until it does."""
    text = render([str(PROGRAM), str(scene.socket)], f"127.0.0.1:{free_port()}", 10.0)
    telegraf = start_telegraf(text, environment=scene.mark)
    node.says("subscribed", len(scene.dialect.subscriptions))
    return telegraf


@pytest.mark.parametrize(
    ("scene", "everything"),
    [(OWN, False), (STANDING_CHAIN, False), (STANDING, True)],
    indirect=["scene"],
    ids=str,
)
@pytest.mark.telegraf
def test_telegraf_is_killed(scene: Scene, start_telegraf: StartTelegraf, everything: bool) -> None:
    """SIGKILL in a burst, to Telegraf or, as to a control group, to its plugin at once: all of them end."""
    node = scene.node()
    telegraf = telegraf_with(scene, node, start_telegraf)
    scene.burst(node)
    for pid in scene.processes() if everything else (telegraf.pid,):
        os.kill(pid, signal.SIGKILL)
    telegraf.wait()
    scene.left(node)
    node.says("settled")
    scene.unharmed(node)


@with_either_guard
@pytest.mark.telegraf
def test_telegraf_is_reloaded_and_stopped(scene: Scene, start_telegraf: StartTelegraf) -> None:
    """In a burst: the plugin leaves with its guard, after SIGHUP a new one comes, and the node is unharmed."""
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
    scene.burst(node)
    assert telegraf.stop() == 0
    scene.left(node, 2)
    node.says("settled", 2)
    scene.unharmed(node)
