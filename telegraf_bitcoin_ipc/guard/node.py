"""Connects to the node's socket, and tells one run of the node from another.

A node creates its socket at each start, so the socket's inode and ctime identify one run of the node; so does its
process, where it can be seen.
"""

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from .contract import STOPPING
from .hello import NO_RUN, Run

NETWORK_THREAD = "b-msghand"
"""Bitcoin Core's thread for P2P messages. It runs from the time the chain is loaded until the node begins to shut
down (measured on Core 30)."""

SETTLED_SECONDS = 600.0
"""Seconds that a socket must have existed before a node whose threads are hidden counts as loaded."""

START_TIME = 19
"""Index of `starttime` in /proc/PID/stat, counted from the state, which follows the name in parentheses."""

NOBODY = (0, 0)
"""No process: its id and its start, in clock ticks since boot, which tells it from a later one of that id."""

WHY_NO_CONNECTION = {
    FileNotFoundError: "there is no such socket (is the node running, with -ipcbind=unix?)",
    ConnectionRefusedError: "nothing listens on it (the node is not running, or it is not a socket)",
    PermissionError: "permission denied (only the node's user may open its socket; a guard's is open to a group)",
    BlockingIOError: "the node does not accept connections",
}


class NoConnection(Exception):
    """There is no connection with the node; the message is a sentence for the operator."""


class IsGuard(NoConnection):
    """The socket is a guard's: it is of another type than a node's."""


class Stopping(NoConnection):
    """The node has begun to stop, and is still there."""


class NodeSocket:
    """The node's socket at a path. `clock` is monotonic, in seconds, because a wall clock can be set."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without having seen the socket."""
        self.path = path
        self.run = NO_RUN  # of the last connection
        self._clock = clock
        self._seen: tuple[int, ...] | None = None
        self._first_seen = 0.0

    def look(self) -> tuple[int, int, int] | None:
        """Return what identifies the socket, and remember since when it has been there; None if there is none."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        made = status.st_dev, status.st_ino, status.st_ctime_ns
        if made != self._seen:
            self._seen, self._first_seen = made, self._clock()
        return made

    def connect(self, stopped: Run = NO_RUN) -> socket.socket:
        """Return a connected, non-blocking socket.

        Raises Stopping, without connecting, while the run of the node that was seen to stop is still there, and
        NoConnection.
        """
        before = self.look()
        if before == stopped[:3] and stopped[3:] in (NOBODY, process(stopped[3])):
            raise Stopping(STOPPING)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)  # a full backlog must not hold anything up
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            if error.errno == errno.EPROTOTYPE:
                raise IsGuard(f"{self.path}: it is a guard's socket, not a node's") from error
            reason = WHY_NO_CONNECTION.get(type(error), error.strerror or str(error))
            raise NoConnection(f"{self.path}: {reason}") from error
        made = self.look()
        if made is None or made != before:
            connection.close()
            raise NoConnection(f"{self.path}: the node is restarting")
        self.run = (*made, *process(peer_of(connection)[0]))
        return connection

    def is_loaded(self) -> bool:
        """Return whether the node has loaded its chain and is not shutting down, without a call to it.

        Its threads show it. If they are hidden (another process namespace, hidepid) the socket must have been seen
        for SETTLED_SECONDS, and a shutdown goes unnoticed.
        """
        names = threads(self.run[3])
        if names:
            return NETWORK_THREAD in names or NETWORK_THREAD in threads(self.run[3])
        return self._clock() - self._first_seen >= SETTLED_SECONDS


def process(pid: int) -> tuple[int, int]:
    """Return a process's id and start; NOBODY if it does not exist, is hidden or is a zombie."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return NOBODY
    return NOBODY if state == "Z" else (pid, int(fields[START_TIME - 1]))


def threads(pid: int) -> list[str]:
    """Return the names of a process's threads; none if they are hidden.

    A thread can be missed if another one ends meanwhile.
    """
    names = []
    for thread in Path(f"/proc/{pid}/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # it has just ended
            names.append(thread.read_text().strip())
    return names


def peer_of(connection: socket.socket) -> tuple[int, int, int]:
    """Return (process id, user id, group id) of a Unix socket's peer; process 0 if it is not in our namespace."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, user, group = struct.unpack("3i", credentials)
    return pid, user, group
