"""A merciless node, the plugin before it, and what must hold when everything is over."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from support.counts import differences
from support.defective import Defective
from support.nodes import Plugin, Series, SimulatedNode
from support.processes import START_SECONDS, alive, wait_until
from support.standing import StandingGuard

MARK = "GUARD_TEST_SCENE"
"""An environment variable that every process of a scene inherits, but the node and a standing guard."""

OWN, STANDING = "own guard", "standing guard"

with_both_guards = pytest.mark.parametrize("scene", [OWN, STANDING], indirect=True)
"""Runs a test with plugins that start a guard of their own, and with plugins behind a standing one."""


class Scene:
    """One node on one socket; plugins, and their guards, are known by the mark in their environment.

    With a standing guard `socket`, which the plugins are given, is the guard's.
    """

    def __init__(self, processes: ExitStack, socket: Path, directory: Path, *, standing: bool = False) -> None:
        self._processes = processes
        self._node_socket = self.socket = socket
        self._directory = directory
        self.mark = {MARK: str(socket)}
        self.standing: StandingGuard | None = None
        if standing:
            self.socket = socket.with_name("guard.sock")
            guard = StandingGuard(socket, self.socket, directory)
            self.standing = processes.enter_context(guard)

    def node(self, *options: str) -> SimulatedNode:
        """Start the merciless node."""
        return self._processes.enter_context(SimulatedNode(self._node_socket, self._directory, *options))

    def plugin(self, *options: str, defect: str | None = None) -> Plugin:
        """Start the plugin, with a defect if one is named."""
        if defect is None:
            plugin = Plugin(self.socket, self._directory, *options, environment=self.mark)
        else:
            plugin = Defective(defect, self.socket, self._directory, *options, environment=self.mark)
        return self._processes.enter_context(plugin)

    def watching(self, *options: str, defect: str | None = None) -> Plugin:
        """Start the plugin and wait until both subscriptions stand."""
        plugin = self.plugin(*options, defect=defect)
        watched(plugin)
        return plugin

    def processes(self) -> dict[int, str]:
        """The plugins, their guards and whatever else they may have started, by id, with their command lines."""
        wanted = f"{MARK}={self._node_socket}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has just ended, or is another user's
                continue
        return found

    def guards(self) -> list[int]:
        """The ids of the guards that run, each for one plugin."""
        if self.standing is not None:
            return self.standing.relays
        return [pid for pid, command in self.processes().items() if "guard import loop" in command]

    def guard(self) -> int:
        """The id of the one guard, as soon as it runs."""
        wait_until(self.guards, START_SECONDS, "a guard started")
        (pid,) = self.guards()
        return pid

    def empty(self) -> None:
        """Wait until no process of the scene is left."""
        wait_until(
            lambda: not self.processes() and not self.guards(),
            START_SECONDS,
            lambda: f"their end: {self.processes()}, {self.guards()}",
        )

    def nothing_left(self) -> None:
        """A standing guard ends in good order when it is told to, and there is no socket or other file left."""
        if self.standing is not None:
            assert self.standing.stop() == 0, self.standing.log
        assert list(self.socket.parent.iterdir()) == []

    def unharmed(self, node: SimulatedNode) -> None:
        """Nothing is left of plugin and guard, and the node lives, works, waits for nobody, and stops."""
        self.empty()
        wait_until(lambda: connections(node) == 0, START_SECONDS, "the node's connections closed")
        node.do("accept", count=2)
        node.do("block")
        node.do("reorg")
        assert node.stop() == 0, node.log
        assert not node.lines("abort")
        self.nothing_left()


def watched(plugin: Plugin, times: int = 1) -> None:
    """Wait until both subscriptions stand, for the given time."""
    plugin.wait_until(
        lambda: plugin.stderr.count("subscribed: utxo_cache") == times, f"subscription number {times}"
    )


def counted(plugin: Plugin, node: SimulatedNode) -> Series:
    """Wait until the plugin shows every event that the node delivered, none lost, and return what it shows."""
    wait_until(
        lambda: not differences(plugin.ask(), node),
        START_SECONDS,
        lambda: f"{differences(plugin.latest, node)}\n{plugin.log}",
    )
    return plugin.latest


def connections(node: SimulatedNode) -> int:
    """How many clients are connected to the node's socket."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    there = [line.split() for line in lines if line.endswith(f" {node.socket}")]
    connected = "03"  # SS_CONNECTED; the listening socket is unconnected
    return sum(fields[5] == connected for fields in there)


def descriptors(pid: int) -> int:
    """How many file descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
