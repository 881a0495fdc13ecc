"""What the node's process shows of itself, without being asked anything: whether its chain is loaded."""

import os
import socket
import struct
import time
from pathlib import Path
from typing import Final

NETWORK_THREAD: Final = "b-msghand"
"""The thread of Bitcoin Core that handles P2P messages: started once the chain is loaded (measured on Core 30)."""

SETTLED: Final = 600.0
"""Seconds after which a node whose threads cannot be seen is taken for loaded: its socket is older than that."""


def process_of(connection: socket.socket) -> int:
    """Return the id of the process that listens at the other end; 0 if it is not in our process namespace."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process: int = struct.unpack("3i", credentials)[0]
    return process


def is_loaded(process: int, path: str) -> bool:
    """Say whether the node has loaded its chain: by its threads, or where they are hidden by its socket's age."""
    try:
        names = [thread.read_text().strip() for thread in Path(f"/proc/{process}/task").glob("*/comm")]
    except OSError:  # a thread has just ended
        return False
    return NETWORK_THREAD in names if names else _age(path) >= SETTLED


def _age(path: str) -> float:
    """Return for how many seconds the node has been listening: it makes its socket anew at each start."""
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:  # gone since it was connected to
        return 0.0
