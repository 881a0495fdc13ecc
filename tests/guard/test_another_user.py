"""What another user, who may open the guard's socket only, can do: watch the node, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.another_user import as_nobody, needs_root
from support.nodes import PROGRAM, StartNode, StartPlugin, value
from support.processes import Process
from support.scene import follows, watched
from support.standing import StartGuard

TESTS = Path(__file__).resolve().parent.parent

DENIED = "permission denied (only the node's user may open its socket; a guard's is open to a group)"

StartProcess = Callable[..., Process]


@needs_root
def test_the_plugin_as_another_user(
    start_node: StartNode,
    start_guard: StartGuard,
    start_plugin: StartPlugin,
    start_process: StartProcess,
) -> None:
    """Who cannot open the node's socket sees everything through the guard's, if its mode or group allows that."""
    node, guard = start_node(), start_guard()
    for socket in (node.socket, guard.socket):
        once = start_process(as_nobody(PROGRAM, "once", socket), name="once")
        assert once.wait() == 1
        assert DENIED in once.stderr
    assert guard.stop() == 0
    guard = start_guard("--mode", "0666")
    plugin = start_plugin(socket=guard.socket, before=as_nobody())
    watched(plugin)
    assert value(follows(plugin, node), "guard_standing") == 1
    assert plugin.stop() == 0
    guard.logged(f"client {plugin.pid} (user nobody): gone\n")
    assert node.stop() == 0
    assert not node.lines("abort")


@pytest.mark.parametrize("user", ["the same", pytest.param("another", marks=needs_root)])
def test_the_totals_cannot_be_written_to(
    start_node: StartNode, start_guard: StartGuard, start_process: StartProcess, user: str
) -> None:
    """A client can read the guard's totals; in no way can it change them, or their size."""
    start_node()
    guard = start_guard("--mode", "0666")
    command = [sys.executable, "-P", "-m", "support.tries_to_write", str(guard.socket)]
    client = start_process(
        command if user == "the same" else as_nobody(*command),
        name="client",
        environment={"PYTHONPATH": str(TESTS)},
    )
    assert client.wait() == 0, client.log
    assert client.stdout.splitlines() == [
        "map EPERM",
        "write EPERM",
        "write to a read-only map TypeError",
        "reopen EPERM" if user == "the same" else "reopen EACCES",
        "truncate by name EPERM" if user == "the same" else "truncate by name EACCES",
        "shrink EPERM",
        "grow EPERM",
        "allocate EPERM",
        "seal EPERM",
        "0",
    ]
    guard.logged(": gone\n")
