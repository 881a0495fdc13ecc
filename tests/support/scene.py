"""A merciless node, the plugin before it, and what must hold when everything is over."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from support.counts import differences
from support.defective import Defective
from support.nodes import Plugin, Series, SimulatedNode, value
from support.processes import START_SECONDS, alive, wait_until
from support.standing import StandingGuard
from support.subscriber import BRAKE_AFTER, Subscriber

from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.ipc.dialects import BY_NAME

MARK = "GUARD_TEST_SCENE"
"""An environment variable that every process of a scene inherits, but the node and a standing guard."""

BURST_COINS, BURST_TRANSACTIONS = 1000, 200


class Setting(NamedTuple):
    """Whether the plugins of a scene are behind a standing guard or start their own, and the kind of node."""

    guard: str
    dialect: str = "tracing"

    def __str__(self) -> str:
        return f"{self.guard} guard, {self.dialect}"


OWN, STANDING = Setting("own"), Setting("standing")
OWN_CHAIN, STANDING_CHAIN = (Setting(guard, "stock-chain") for guard in ("own", "standing"))


def scenes(*settings: Setting) -> pytest.MarkDecorator:
    """Run a test in scenes with these settings; without, it is in one with a guard of the plugin's own."""
    return pytest.mark.parametrize("scene", settings, indirect=True, ids=str)


with_both_guards = scenes(OWN, STANDING)
"""For what is about the UTXO cache trace, or does not depend on the kind of node: both guards, on `tracing`."""

with_either_guard = scenes(OWN, STANDING_CHAIN)
"""Each guard and each kind of node once: all four end a client's subscriptions by the same code."""


class Scene:
    """One node on one socket; plugins, and their guards, are known by the mark in their environment.

    With a standing guard `socket`, which the plugins are given, is the guard's.
    """

    def __init__(self, processes: ExitStack, socket: Path, directory: Path, setting: Setting = OWN) -> None:
        self._processes = processes
        self.dialect = BY_NAME[setting.dialect]
        self._node_socket = self.socket = socket
        self._directory = directory
        self.mark = {MARK: str(socket)}
        self.standing: StandingGuard | None = None
        if setting.guard == "standing":
            self.socket = socket.with_name("guard.sock")
            guard = StandingGuard(socket, self.socket, directory)
            self.standing = processes.enter_context(guard)

    def node(self, *options: str) -> SimulatedNode:
        """Start the merciless node, of the scene's kind unless the options say otherwise."""
        of_its_kind = ("--dialect", self.dialect.name, *options)
        return self._processes.enter_context(SimulatedNode(self._node_socket, self._directory, *of_its_kind))

    def plugin(self, *options: str, defect: str | None = None) -> Plugin:
        """Start the plugin, with a defect if one is named."""
        if defect is None:
            plugin = Plugin(self.socket, self._directory, *options, environment=self.mark)
        else:
            plugin = Defective(defect, self.socket, self._directory, *options, environment=self.mark)
        return self._processes.enter_context(plugin)

    def watching(self, *options: str, defect: str | None = None) -> Plugin:
        """Start the plugin and wait until all its subscriptions stand."""
        plugin = self.plugin(*options, defect=defect)
        self.watched(plugin)
        return plugin

    def watched(self, plugin: Plugin, times: int = 1) -> None:
        """Wait until all subscriptions of a plugin stand, for the given time, and the first poll is over."""
        watched(plugin, times, self.dialect.subscriptions[-1])
        plugin.shows(lambda series: value(series, "up") == 1, "a poll")

    def left(self, node: SimulatedNode, plugins: int = 1) -> None:
        """Wait until so many plugins have ended all their subscriptions in good order."""
        node.says("unsubscribed", plugins * len(self.dialect.subscriptions))

    def burst(self, node: SimulatedNode, coins: int = BURST_COINS) -> None:
        """Have the node begin many events, of the kind of which it has the most."""
        if Subscription.UTXO_CACHE in self.dialect.subscriptions:
            node.begin("block", outputs=coins)
        else:
            node.begin("accept", count=BURST_TRANSACTIONS)

    def held_burst(self, node: SimulatedNode, plugin: Plugin) -> Subscriber:
        """Have the node send many events, and hold it up in the middle, until SIGCONT to what this returns.

        That is a second subscriber, which has to be stopped at the end.
        """
        last = self.dialect.subscriptions[-1]
        brake = self._processes.enter_context(
            Subscriber(self._node_socket, self._directory, last, "brake", dialect=self.dialect.name)
        )
        brake.logged("ready")
        self.burst(node, coins=3 * BRAKE_AFTER)
        brake.wait_until(lambda: brake.frozen, "the burst was held up")
        counter = "utxo_cache_add_total" if last is Subscription.UTXO_CACHE else "mempool_tx_added_total"
        plugin.shows(lambda series: (value(series, counter) or 0) > 0, "a burst")
        assert not node.lines("block" if last is Subscription.UTXO_CACHE else "accept")
        return brake

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


def watched(plugin: Plugin, times: int = 1, last: Subscription = Subscription.UTXO_CACHE) -> None:
    """Wait until the subscription that is made last stands, for the given time."""
    plugin.wait_until(lambda: plugin.stderr.count(f"subscribed: {last}") == times, f"subscription number {times}")


def counted(plugin: Plugin, node: SimulatedNode) -> Series:
    """Wait until the plugin shows every event that the node delivered, none lost, and return what it shows."""
    wait_until(
        lambda: not differences(plugin.ask(), node),
        START_SECONDS,
        lambda: f"{differences(plugin.latest, node)}\n{plugin.log}",
    )
    return plugin.latest


def follows(plugin: Plugin, node: SimulatedNode) -> Series:
    """Have the node take transactions, connect a block and reorganise; see the plugin show all that."""
    node.do("accept", count=20)
    node.do("block", outputs=100)
    node.do("reorg", depth=2)
    return counted(plugin, node)


def shows(plugin: Plugin, wanted: dict[str, int]) -> Series:
    """Wait until the plugin shows these values, and return what it shows."""
    return plugin.shows(lambda series: all(value(series, each) == wanted[each] for each in wanted), str(wanted))


def connections(node: SimulatedNode) -> int:
    """How many clients are connected to the node's socket."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    there = [line.split() for line in lines if line.endswith(f" {node.socket}")]
    connected = "03"  # SS_CONNECTED; the listening socket is unconnected
    return sum(fields[5] == connected for fields in there)


def descriptors(pid: int) -> int:
    """How many file descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
