"""A node that accepts connections and does not answer: the plugin shows and says so, and every command ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nodes import PROGRAM, StartNode, StartPlugin, value
from support.processes import START_SECONDS, StartProcess, alive, children, wait_until

from telegraf_bitcoin_ipc.errors import NodeUnavailable
from telegraf_bitcoin_ipc.ipc import handshake
from telegraf_bitcoin_ipc.ipc.connection import look_at
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket


@pytest.fixture
def mute(socket_path: Path) -> Iterator[Path]:
    """The path of a socket on which connections are accepted and nothing is ever said."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_path))
        server.listen()
        yield socket_path


def test_the_first_emission_waits_for_no_node(mute: Path, start_plugin: StartPlugin) -> None:
    """A node that hangs from the start is shown as down at once, with the plugin's own metrics."""
    plugin = start_plugin()
    plugin.wait_until(lambda: plugin.emissions, "an emission")
    assert value(plugin.emissions[0], "up") == 0
    assert value(plugin.emissions[0], "connects_total") == 0
    assert "W!" not in plugin.stderr  # it was there before anything could be said of the node
    plugin.logged("W! the node has not answered yet")
    plugin.stdin.close()
    assert plugin.wait() == 0


@pytest.mark.parametrize("unguarded", [False, True])
async def test_a_look_at_a_node_that_does_not_answer_ends(mute: Path, unguarded: bool) -> None:
    """`check` and `once` end with a sentence, whatever the node does, and leave nothing behind."""
    sentence = r"no answer from the node within 0\.5 seconds: it accepts the conn"
    with pytest.raises(NodeUnavailable, match=sentence):
        async with look_at(NodeSocket(str(mute)), unguarded=unguarded, limit=0.5):
            raise AssertionError("it answered")


async def test_a_look_at_a_node_that_loads_ends(
    start_node: StartNode, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Core 31 that goes on loading its chain is not waited for by a command, and no guard stays with it."""
    monkeypatch.setattr(handshake, "LOADING_HINT", 0.05)  # long before the limit
    node = start_node("--dialect", "stock-31", "--warmup", "1000")
    with pytest.raises(NodeUnavailable, match="within 6 seconds: the node is still starting"):
        async with look_at(NodeSocket(str(socket_path)), limit=6):
            raise AssertionError("it answered")
    guards = set(children(os.getpid())) - {node.pid}
    wait_until(lambda: not any(map(alive, guards)), START_SECONDS, "the end of its guard")
    assert not node.lines("abort")


@pytest.mark.parametrize("command", ["check", "once"])
def test_a_frozen_node_ends_a_command_and_lives(
    start_node: StartNode, start_process: StartProcess, socket_path: Path, command: str
) -> None:
    """A node that is stopped (SIGSTOP) answers nothing: the command says so, exits with 1, and harms no node."""
    node = start_node()
    node.freeze()
    look = start_process([PROGRAM, command, socket_path], name=command)
    assert look.wait(timeout=30 + START_SECONDS) == 1
    assert "telegraf-bitcoin-ipc: construct: no answer within 10 seconds" in look.stderr
    node.send(signal.SIGCONT)
    node.do("block")
    assert node.stop() == 0
    assert not node.lines("abort")
