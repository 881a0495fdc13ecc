"""The node's socket: connects to it, and remembers from one connection to the next what it showed of its node.

A node makes its socket anew at each start, so the socket's inode and ctime identify one run of a node.
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable

NETWORK_THREAD: Final = "b-msghand"
"""The thread of Bitcoin Core that handles P2P messages. It runs from the time the chain is loaded until the node
begins to shut down (measured on Core 30)."""

SETTLED_SECONDS: Final = 600.0
"""How long a socket must have been there before a node whose threads are hidden counts as loaded."""

START_TIME: Final = 19
"""Index of `starttime` in /proc/PID/stat, counted from the state, which follows the name in parentheses."""


class Made(NamedTuple):
    """What tells a socket file from one made later at the same path."""

    device: int
    inode: int
    ctime_ns: int


class Process(NamedTuple):
    """A process and when it started, in clock ticks since boot: ids are used again."""

    pid: int
    started: str


class NodeSocket:
    """The socket at a path. `clock` is monotonic, in seconds: a wall clock can be set forward."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet."""
        self.path = path
        self._clock = clock
        self._made: Made | None = None
        self._first_seen = 0.0
        self._pid = 0
        self._stopping: tuple[Made, Process | None] | None = None

    def connect(self) -> socket.socket:
        """Return a connected, non-blocking socket.

        Raises NodeStopping, without connecting, while the node that was seen to stop is still there, and
        NodeUnavailable with what its operator could look at.
        """
        before = self._look()
        if self._stopping is not None and self._is_same(before, *self._stopping):
            raise NodeStopping
        try:
            connection = _connected(self.path)
        except OSError as error:
            reason = _WHY_NO_CONNECTION.get(type(error), error.strerror or error)
            raise NodeUnavailable(f"{self.path}: {reason}") from error
        made = self._look()
        if made is None or made != before:
            connection.close()
            raise NodeUnavailable(f"{self.path}: the node is restarting")
        if made != self._made:
            self._made, self._first_seen = made, self._clock()
        self._pid = _peer_of(connection)
        return connection

    def stopping(self) -> None:
        """Remember that the node behind the last connection has begun to stop."""
        if self._made is not None:
            self._stopping = self._made, _process(self._pid)

    def is_loaded(self) -> bool:
        """Say whether the node has loaded its chain and is not shutting down, without asking it anything.

        Its threads show it. Where they are hidden (another process namespace, hidepid) the socket must have been
        seen for SETTLED_SECONDS, and a shutdown does not show.
        """
        try:
            names = [thread.read_text().strip() for thread in Path(f"/proc/{self._pid}/task").glob("*/comm")]
        except OSError:  # a thread has just ended
            return False
        if names:
            return NETWORK_THREAD in names
        return self._clock() - self._first_seen >= SETTLED_SECONDS

    def _look(self) -> Made | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return Made(status.st_dev, status.st_ino, status.st_ctime_ns)

    @staticmethod
    def _is_same(made: Made | None, stopping: Made, process: Process | None) -> bool:
        """Say whether the node that was seen to stop may still be behind the socket."""
        return made == stopping and (process is None or _process(process.pid) == process)


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)  # a full backlog must not hold anything up
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _peer_of(connection: socket.socket) -> int:
    """Return the id of the process that listens at the other end; 0 if it is not in our process namespace."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def _process(pid: int) -> Process | None:
    """Return a process that is there and can be seen, else None; a zombie is not there."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else Process(pid, fields[START_TIME - 1])


_WHY_NO_CONNECTION: Final[Mapping[type[OSError], str]] = {
    FileNotFoundError: "there is no such socket (is the node running, with -ipcbind=unix?)",
    ConnectionRefusedError: "nobody answers on it (the node is not running, or it is no socket)",
    PermissionError: "this user may not open it (it belongs to the user that the node runs as)",
    BlockingIOError: "the node does not take connections",
}
