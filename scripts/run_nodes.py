"""The nodes that run.py watches: a real one, or several simulated kinds, one of which goes down at times.

Standard library only.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from running import Processes, say
from support.nodes import SimulatedNode
from support.processes import Failure

FIRST_ANSWER_SECONDS = 60.0
SOCKET_PATH_BYTES = 107  # sockaddr_un's, less the final zero

DIALECT_OF = {
    "alpha": "tracing",
    "beta": "stock-chain",
    "gamma": "stock",
    "delta": "stock-31",
    "epsilon": "chain",
    "zeta": "stock-30",
}
"""Several simulated nodes by their tag `node`, in the order in which they are taken: each of another kind."""

DOWN_SHARE = 1 / 3
"""For this part of the time between two outages the node is down."""


@dataclass(frozen=True)
class Watched:
    """A node that a plugin watches; one of several has a name, which is its tag `node`."""

    socket: Path
    name: str = ""
    process: SimulatedNode | None = None

    @property
    def label(self) -> str:
        """What the last lines call it."""
        return f"{self.name} ({DIALECT_OF[self.name]})" if self.name else "node"

    @property
    def options(self) -> list[str]:
        """The plugin's options for it."""
        return ["--tag", f"node={self.name}"] if self.name else []


def start_simulated_nodes(
    processes: Processes, directory: Path, count: int, timeline: Sequence[str]
) -> list[Watched]:
    """Start `count` simulated nodes, each of another kind, and wait until they listen; a single one is unnamed."""
    if count == 1:
        return [_simulated(processes, directory / "node.sock", timeline)]
    return [
        _simulated(processes, directory / f"{name}.sock", ["--dialect", dialect, *timeline], name)
        for name, dialect in islice(DIALECT_OF.items(), count)
    ]


def _simulated(processes: Processes, node_socket: Path, options: Sequence[str], name: str = "") -> Watched:
    if len(os.fsencode(node_socket)) > SOCKET_PATH_BYTES:
        raise Failure(f"A socket's path may not be as long as {node_socket}: set TMPDIR to a shorter one.")
    say(f"Starting a simulated node on {node_socket}.")
    node = SimulatedNode(node_socket, node_socket.parent, *options, script=False, name=name or "simnode")
    return Watched(node_socket, name, processes.start(node))


class FallingNode:
    """A simulated node that is killed and started again, over and over."""

    def __init__(self, node: SimulatedNode, processes: Processes, every: float) -> None:
        """`every` is the time in seconds between two outages."""
        self._node = node
        self._processes = processes
        self._down = every * DOWN_SHARE
        self._up = every - self._down
        self._due = time.monotonic() + self._up
        say(f"Node {node.name} goes down every {every:g} s, and comes back {self._down:g} s later.")

    def step(self) -> None:
        """Kill it or start it again if that is due."""
        if time.monotonic() < self._due:
            return
        if self._node.running:
            say(f"{time.strftime('%H:%M:%S')} Node {self._node.name} goes down.")
            self._processes.kill(self._node)
            wait = self._down
        else:
            self._processes.start_again(self._node)
            say(f"{time.strftime('%H:%M:%S')} Node {self._node.name} is back.")
            wait = self._up
        self._due = time.monotonic() + wait


def real_node(node_socket: Path) -> Watched:
    """Print which real node is watched; raise Failure if it cannot be watched."""
    say(f"Watching the node on {node_socket}.")
    try:
        node_socket.stat()
    except PermissionError as error:
        raise Failure(f"{node_socket} cannot be reached by this user: {error.strerror}.") from error
    except OSError:
        wait = f"{FIRST_ANSWER_SECONDS:.0f} s"
        say(f"There is no such socket yet: the plugin waits for it, and this script for {wait}.")
        return Watched(node_socket)
    if not _is_socket(node_socket):
        raise Failure(f"{node_socket} is no socket. A node makes one when it is started with -ipcbind=unix.")
    return Watched(node_socket)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
