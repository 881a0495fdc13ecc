"""Connects to the node's socket, and remembers between connections whether its node is stopping.

A node creates its socket at each start, so the socket's inode and ctime identify one run of the node.
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
"""Bitcoin Core's thread for P2P messages. It runs from the time the chain is loaded until the node begins to shut
down (measured on Core 30)."""

SETTLED_SECONDS: Final = 600.0
"""Seconds that a socket must have existed before a node whose threads are hidden counts as loaded."""

START_TIME: Final = 19
"""Index of `starttime` in /proc/PID/stat, counted from the state, which follows the name in parentheses."""


class Made(NamedTuple):
    """Identifies a socket file, even if another is created later at the same path."""

    device: int
    inode: int
    ctime_ns: int


class Process(NamedTuple):
    """A process, by its id and its start in clock ticks since boot: ids are reused."""

    pid: int
    started: str


class NodeSocket:
    """The socket at a path. `clock` is monotonic, in seconds, because a wall clock can be set."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without having seen the socket."""
        self.path = path
        self._clock = clock
        self._made: Made | None = None
        self._first_seen = 0.0
        self._pid = 0
        self._stopping: tuple[Made, Process | None] | None = None

    def connect(self) -> socket.socket:
        """Return a connected, non-blocking socket.

        Raises NodeStopping, without connecting, while a node that began to stop is still there, and
        NodeUnavailable with a hint for the operator.
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
        """Remember that the node of the last connection has begun to stop."""
        if self._made is not None:
            self._stopping = self._made, _process(self._pid)

    def is_loaded(self) -> bool:
        """Return whether the node has loaded its chain and is not shutting down, without a call to it.

        Its threads show it. If they are hidden (another process namespace, hidepid) the socket must have been seen
        for SETTLED_SECONDS, and a shutdown goes unnoticed.
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
        """Return whether the node that began to stop may still own the socket."""
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
    """Return the id of the listening process; 0 if it is not in our process namespace."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def _process(pid: int) -> Process | None:
    """Return a process; None if it does not exist, is hidden or is a zombie."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else Process(pid, fields[START_TIME - 1])


_WHY_NO_CONNECTION: Final[Mapping[type[OSError], str]] = {
    FileNotFoundError: "there is no such socket (is the node running, with -ipcbind=unix?)",
    ConnectionRefusedError: "nothing listens on it (the node is not running, or it is not a socket)",
    PermissionError: "permission denied (it belongs to the user that the node runs as)",
    BlockingIOError: "the node does not accept connections",
}
