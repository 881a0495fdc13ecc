"""With the guard, without it, and where it cannot be started.

Real processes: a merciless simulated node, the plugin, its guard. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.defective import GUARD_MAY_START, LAST_WORDS
from support.nodes import Series, value
from support.processes import children
from support.scene import OWN, OWN_CHAIN, Scene, connections, follows, scenes


@pytest.mark.parametrize(
    ("scene", "defect", "reason"),
    [
        (OWN, "no interpreter", "the guard cannot be started: "),
        (OWN_CHAIN, "guard ends", "the guard did not start (exit status 1); "),
    ],
    indirect=["scene"],
    ids=str,
)
def test_the_guard_cannot_be_started(scene: Scene, defect: str, reason: str) -> None:
    """Without its guard the plugin subscribes to nothing, polls, says so, and may be killed."""
    node = scene.node()
    plugin = scene.plugin("--poll-interval", "0.1", defect=defect)
    plugin.logged(f"E! {reason}")
    plugin.logged("polling only: without the guard, subscribing is not safe")
    state = node.do("block", outputs=100)

    def polled(series: Series) -> bool:
        return value(series, "chain_height") == state["height"] and value(series, "up") == 1

    series = plugin.shows(polled, "a poll")
    for subscription in ("chain", "utxo_cache"):
        assert value(series, "subscription_active", subscription=subscription) == 0
    assert value(series, "blocks_connected_total") is None
    assert not node.lines("subscribed")
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_a_python_without_memfd(scene: Scene) -> None:
    """Where Python has no memfd_create the totals of coins are in an unnamed file, and all is counted as ever."""
    node = scene.node()
    shared = set(Path("/dev/shm").iterdir())
    plugin = scene.watching(defect="no memfd")
    follows(plugin, node)
    assert set(Path("/dev/shm").iterdir()) <= shared
    plugin.kill()
    scene.left(node)
    scene.unharmed(node)


def test_a_guard_that_starts_later(scene: Scene, tmp_path: Path) -> None:
    """A session without its guard ends after a while and a new one tries again; the log says why, once."""
    node = scene.node()
    plugin = scene.plugin("--poll-interval", "0.1", defect="no luck")
    plugin.logged("E! the guard did not start (exit status 3); it wrote: " + LAST_WORDS)
    plugin.shows(lambda series: (value(series, "connects_total") or 0) >= 4, "some tries")
    assert not node.lines("subscribed")
    (tmp_path / GUARD_MAY_START).touch()
    scene.watched(plugin)
    follows(plugin, node)
    assert plugin.stderr.count("the guard did not start") == 1
    assert "W! " not in plugin.stderr
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_a_guard_that_dies_is_reported(scene: Scene) -> None:
    """The log says that the guard has ended, and how, for a node of the kind `tracing` aborts by it."""
    node = scene.node("--lenient")
    plugin = scene.watching()
    os.kill(scene.guard(), signal.SIGABRT)
    plugin.logged("E! the guard ended with status -6")
    node.says("abort")
    assert plugin.stop() == 0


@scenes(OWN_CHAIN)
def test_a_guard_that_dies_while_idle(scene: Scene) -> None:
    """A node of the kind `stock-chain` survives that, and is watched again, through another guard."""
    node = scene.node()
    plugin = scene.watching()
    guard = scene.guard()
    os.kill(guard, signal.SIGKILL)
    plugin.logged("E! the guard ended with status -9")
    scene.watched(plugin, 2)
    assert scene.guard() != guard
    assert plugin.stop() == 0
    scene.left(node)
    scene.unharmed(node)


def test_no_guard(scene: Scene) -> None:
    """--no-guard works, says what it risks, starts no process, and leaves as cleanly."""
    node = scene.node()
    plugin = scene.watching("--no-guard")
    assert "W! running without the guard" in plugin.stderr
    assert list(scene.processes()) == [plugin.pid]
    assert value(follows(plugin, node), "guard_standing") is None
    scene.burst(node)
    assert plugin.stop() == 0
    scene.left(node)
    scene.unharmed(node)


def test_nothing_is_left_after_a_clean_stop(scene: Scene) -> None:
    """The guard is the plugin's only child and holds what it needs; both go, with their memory and sockets."""
    node = scene.node()
    plugin = scene.watching()
    guard = scene.guard()
    assert children(plugin.pid) == [guard]
    assert set(scene.processes()) == {plugin.pid, guard}
    assert connections(node) == 1
    links = [os.readlink(path) for path in Path(f"/proc/{guard}/fd").iterdir()]
    assert sorted(link.partition(":")[0] for link in links) == ["/dev/null"] * 2 + ["/memfd"] * 2 + ["socket"] * 2
    assert os.readlink(f"/proc/{guard}/cwd") == "/"
    follows(plugin, node)
    for pid in (plugin.pid, guard):
        assert "/dev/shm" not in Path(f"/proc/{pid}/maps").read_text(), "their memory has no name"
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_a_short_soak(pytestconfig: pytest.Config) -> None:
    """Under steady load the guard's memory stays as it is, and every event is counted."""
    script = str(pytestconfig.rootpath / "scripts" / "soak.py")
    command = [sys.executable, "-P", script, "--seconds", "8", "--tx-rate", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
