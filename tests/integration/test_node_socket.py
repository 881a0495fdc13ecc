"""What the node's socket and process show, read from the real thing: processes, their threads, their sockets."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.nodes import StartNode, StartPlugin, value
from support.processes import StartProcess
from support.standing import StartGuard

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable
from telegraf_bitcoin_ipc.guard import node as module
from telegraf_bitcoin_ipc.guard.node import SETTLED_SECONDS
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket

HIDDEN = (0, 0, 0)
"""What SO_PEERCRED says of a process in another namespace."""


LISTENER = """
import signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
signal.pause()
"""


@contextmanager
def listening(path: Path) -> Iterator[None]:
    """Listen on a new socket at the path."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield


def test_a_node_shows_when_its_chain_is_loaded(
    start_node: StartNode, start_guard: StartGuard, start_plugin: StartPlugin
) -> None:
    """A Core 30 that loads its chain is left alone, however old its socket is, and lives; then it is served.

    Before either guard.
    """
    node = start_node("--dialect", "stock-30", "--warmup", "3600")
    os.utime(node.socket, (0, 0))
    plugins = [start_plugin(socket=socket) for socket in (node.socket, start_guard().socket)]
    for plugin in plugins:
        plugin.logged("may be starting or stopping")
    node.do("load")
    for plugin in plugins:
        plugin.shows(lambda series: value(series, "up") == 1, "the node is served")
    assert not node.lines("abort")


def test_where_threads_are_hidden_the_time_since_the_socket_was_seen_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wall clock that is set forward, or an old mtime, makes no node look settled; a new socket starts anew."""
    monkeypatch.setattr(module, "peer_of", lambda connection: HIDDEN)
    path, now = tmp_path / "node.sock", 1000.0
    node_socket = NodeSocket(str(path), lambda: now)
    with listening(path):
        os.utime(path, (0, 0))
        monkeypatch.setattr(time, "time", lambda: 1e10)
        node_socket.connect().close()
        assert not node_socket.is_loaded()
        now += SETTLED_SECONDS - 1
        node_socket.connect().close()
        assert not node_socket.is_loaded()
        now += 1
        assert node_socket.is_loaded()
    with listening(path):
        node_socket.connect().close()
        assert not node_socket.is_loaded()


def test_a_node_that_was_seen_to_stop_is_not_connected_to_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the same socket is there nobody connects to it; the socket of the next start is another."""
    monkeypatch.setattr(module, "peer_of", lambda connection: HIDDEN)
    path = tmp_path / "node.sock"
    node_socket = NodeSocket(str(path))
    with listening(path):
        node_socket.connect().close()
        node_socket.stopping()
        for _ in range(2):
            with pytest.raises(NodeStopping):
                node_socket.connect()
    with listening(path):
        node_socket.connect().close()


def test_a_node_whose_process_has_gone_is_not_stopping(tmp_path: Path, start_process: StartProcess) -> None:
    """Where the process can be seen its end counts, too: what it left behind is a stale socket."""
    path = tmp_path / "node.sock"
    process = start_process([sys.executable, "-c", LISTENER, path])
    process.wait_until(lambda: "ready" in process.stdout, "it listened")
    node_socket = NodeSocket(str(path))
    with closing(node_socket.connect()):
        node_socket.stopping()
    with pytest.raises(NodeStopping):
        node_socket.connect()
    process.kill()
    with pytest.raises(NodeUnavailable, match="nothing listens on it"):
        node_socket.connect()
