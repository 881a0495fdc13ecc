"""A plugin that does not answer, fails or is not read: the node goes on, and what it said is counted.

Real processes: a merciless simulated node, the plugin, its guard. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

from support.counts import CHAIN, differences, happened
from support.defective import BLOCKED, UNBLOCKED
from support.nodes import PROGRAM, Plugin, Series, value
from support.processes import START_SECONDS, wait_until, wait_until_full
from support.scene import Scene, counted, shows, with_either_guard


def test_stopped_and_what_is_lost_is_counted(scene: Scene) -> None:
    """SIGSTOP, more events than the socket takes, SIGCONT: all are counted, with a small bound some as dropped."""
    node = scene.node()
    plugin, loses = scene.watching(), scene.watching(defect="small queue")
    for each in (plugin, loses):
        each.freeze()
    for _ in range(2):
        node.do("block", outputs=200)
    node.do("reorg", depth=2)
    node.do("accept", count=700)
    node.do("block", transactions=0)
    node.do("flush")
    assert plugin.frozen
    assert loses.frozen
    for each in (plugin, loses):
        each.send(signal.SIGCONT)
    wanted = happened(node)
    coins = {field: number for field, number in wanted.items() if field not in CHAIN}
    chain = sum(wanted.values()) - sum(coins.values())

    def all_there(series: Series) -> bool:
        here = sum(value(series, field) or 0 for field in CHAIN)
        return here + (value(series, "events_dropped_total") or 0) == chain

    assert value(shows(plugin, wanted), "events_dropped_total") == 0
    series = loses.shows(all_there, f"counted and dropped together {chain}")
    assert 0 < (value(series, "events_dropped_total") or 0) < chain
    assert value(series, "block_height") == node.totals["height"]  # the oldest went, the newest are there
    shows(loses, coins)  # the guard has counted every one
    for each in (plugin, loses):
        assert each.stop() == 0
    scene.unharmed(node)


@with_either_guard
def test_callbacks_that_fail(scene: Scene) -> None:
    """Callbacks raise, or are not there, or only `destroy` raises: the guard's answers and counts are right."""
    node = scene.node()
    raises, has_none = (scene.watching("--debug", defect=f"callbacks {how}") for how in ("raise", "missing"))
    destroyed = scene.watching(defect="destroy raises")
    node.do("accept", count=20)
    node.do("block", outputs=100)
    node.do("reorg", depth=2)
    node.do("flush")
    wanted = happened(node)
    coins = {field: number for field, number in wanted.items() if field not in CHAIN}
    shows(destroyed, wanted)
    for plugin in (raises, has_none):
        assert value(shows(plugin, coins), "blocks_connected_total") == 0
    for plugin in (raises, has_none, destroyed):
        assert plugin.stop() == 0
    scene.left(node, 3)
    scene.unharmed(node)


@with_either_guard
def test_a_blocked_event_loop(scene: Scene, tmp_path: Path) -> None:
    """The plugin does not come out of a callback: the node goes on, and everything is counted in the end."""
    node = scene.node()
    plugin = scene.watching(defect="loop blocked")
    node.do("block")
    plugin.wait_until((tmp_path / BLOCKED).exists, "the loop was blocked")
    node.do("accept", count=100)
    node.do("block", outputs=200)
    node.do("flush")
    (tmp_path / UNBLOCKED).touch()
    counted(plugin, node)
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_output_that_is_never_read(scene: Scene, tmp_path: Path) -> None:
    """Full pipes on stdout and stderr, with every UTXO event logged, hold nothing up; what is read later is right.

    Only `tracing` has so many that are logged.
    """
    node = scene.node()
    command = [str(PROGRAM), "--debug", "--emit-interval", "0.1", str(scene.socket)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **scene.mark}
    ) as popen:
        assert popen.stdin is not None
        try:
            node.says("subscribed", 2)
            for _ in range(3):  # some 700 lines of log each: more than pipe and queue hold
                node.do("block", outputs=600)
                node.do("accept", count=50)
            wait_until_full(popen.stdout, popen.stderr)
            node.do("block")
            plugin = _Read(popen, scene.socket, tmp_path)
            wait_until(
                lambda: not differences(plugin.latest, node),
                START_SECONDS,
                lambda: str(differences(plugin.latest, node)),
            )
        finally:
            popen.stdin.close()
            popen.stdin = None
        wait_until(lambda: popen.poll() is not None, START_SECONDS, "the end of the plugin")
        assert popen.returncode == 0
        plugin.drained()
    scene.unharmed(node)


class _Read(Plugin):
    """A plugin that was started by others, whose pipes are read from now on."""

    def __init__(self, popen: subprocess.Popen[bytes], socket: Path, directory: Path) -> None:
        super().__init__(socket, directory)
        self._text = b""
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._threads = [
            threading.Thread(target=self._read, args=(popen.stdout.fileno(), True), daemon=True),
            threading.Thread(target=self._read, args=(popen.stderr.fileno(), False), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, descriptor: int, kept: bool) -> None:
        while data := os.read(descriptor, 1 << 16):
            if kept:
                self._text += data

    @property
    def stdout(self) -> str:
        return self._text.decode()

    def drained(self) -> None:
        """Wait for the end of both pipes."""
        for thread in self._threads:
            thread.join(START_SECONDS)
            assert not thread.is_alive()
