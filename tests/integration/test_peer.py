"""What the node's process shows of itself, read from the real thing: processes, their threads, their sockets."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from support.nodes import Plugin, SimulatedNode, value

from telegraf_bitcoin_ipc.ipc.peer import SETTLED, is_loaded, process_of

NOBODY = 0
"""The id of a process that cannot be seen."""


def test_a_node_shows_when_its_chain_is_loaded(
    start_node: Callable[..., SimulatedNode], start_plugin: Callable[..., Plugin], socket_path: Path
) -> None:
    """A Core 30 that loads its chain is left alone, however old its socket is, and lives; then it is served."""
    node = start_node("--dialect", "stock-30", "--warmup", "3600")
    os.utime(node.socket, (0, 0))
    plugin = start_plugin()
    plugin.logged("may still be starting")
    node.do("load")
    plugin.shows(lambda series: value(series, "up") == 1, "the node is served")
    assert not node.lines("abort")


def test_the_process_at_the_other_end_is_known(
    start_node: Callable[..., SimulatedNode], socket_path: Path
) -> None:
    """The socket tells which process listens, whatever its path is."""
    node = start_node()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path))
        assert process_of(connection) == node.pid


def test_where_threads_are_hidden_the_sockets_age_decides(tmp_path: Path) -> None:
    """Of a process that cannot be seen only the age of its socket is known, and one that is gone is young."""
    path = tmp_path / "node.sock"
    assert not is_loaded(NOBODY, str(path))
    path.touch()
    assert not is_loaded(NOBODY, str(path))
    then = time.time() - SETTLED - 1
    os.utime(path, (then, then))
    assert is_loaded(NOBODY, str(path))
