"""Every command from a directory that its user cannot use, as after `sudo -u bitcoin` in a home of mode 0700."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support.directories import UNUSABLE, USABLE, started_in
from support.nodes import PROGRAM, StartNode
from support.processes import Process, StartProcess

Start = Callable[..., Process]

SOCKET = "SOCKET"
"""Stands for the node's socket, by its absolute path."""

ONE_AFTER_ANOTHER = """
import json, sys
from telegraf_bitcoin_ipc.cli import main
(status,) = {main(arguments) for arguments in json.loads(sys.argv[1])}
sys.exit(status)
"""
"""Runs commands of the program, which have to end with the same status, in one process."""


@pytest.fixture
def start_in(start_process: StartProcess, tmp_path: Path, socket_path: Path) -> Iterator[Start]:
    """Start commands of the program in a directory of a kind; they end with the test at the latest."""
    directory = tmp_path / "home" / "directory"

    def make_usable() -> None:
        directory.parent.mkdir(exist_ok=True)
        directory.parent.chmod(0o700)
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)

    def start(what: str, *commands: list[str]) -> Process:
        make_usable()
        each = [[str(socket_path) if word is SOCKET else word for word in command] for command in commands]
        in_one = [sys.executable, "-P", "-c", ONE_AFTER_ANOTHER, json.dumps(each)]
        command = [str(PROGRAM), *each[0]] if len(each) == 1 else in_one
        return start_process(started_in(what, command), name="it", cwd=directory, stdin=subprocess.PIPE)

    make_usable()
    yield start
    make_usable()


@pytest.fixture(params=UNUSABLE)
def start(request: pytest.FixtureRequest, start_in: Start) -> Start:
    """Start commands of the program in an unusable directory."""
    return partial(start_in, request.param)


def test_every_command_works(start_node: StartNode, start: Start) -> None:
    """With an absolute path the working directory does not matter; the plugin connects and ends as ever."""
    node = start_node()
    commands = start(["once", SOCKET], ["check", SOCKET])
    assert (commands.wait(), commands.stderr) == (0, "")
    assert commands.stdout.count(" chain_height=") == commands.stdout.count(" bitcoin_chain_height = ") == 1
    plugin = start([SOCKET])
    node.says("subscribed", 2)
    plugin.stdin.close()
    assert plugin.wait() == 0, plugin.log
    node.says("unsubscribed", 2)


def test_the_simulated_node_works(start: Start, socket_path: Path) -> None:
    """The simulated node listens, and ends as ever."""
    node = start(["simulate", SOCKET])
    node.wait_until(lambda: '"listening"' in node.stdout, "it listens")
    assert (node.stop(), node.stderr) == (0, "")
    assert not socket_path.exists()


def test_a_relative_path_is_refused(start: Start) -> None:
    """A path that leads nowhere from there is a mistake, in one sentence; it is not looked for elsewhere."""
    commands = [[*command, "node.sock"] for command in ([], ["once"], ["check"], ["config"], ["simulate"])]
    process = start(*commands, ["simulate", "--script", "node.sock", SOCKET])
    assert (process.wait(), process.stdout) == (2, "")
    assert process.stderr.splitlines() == [
        f"telegraf-bitcoin-ipc: {option}: node.sock is relative, and the working directory cannot be entered: "
        "give an absolute path"
        for option in [*["SOCKET"] * len(commands), "--script"]
    ]


@pytest.mark.parametrize("what", USABLE)
def test_a_relative_path_is_taken_where_it_leads_somewhere(
    start_node: StartNode, start_in: Start, socket_path: Path, tmp_path: Path, what: str
) -> None:
    """Only what the system refuses is refused: a directory that can be entered is enough."""
    start_node()
    (tmp_path / "home" / "directory" / "node.sock").symlink_to(socket_path)
    process = start_in(what, ["once", "node.sock"])
    assert (process.wait(), process.stderr) == (0, "")
    assert "chain_height" in process.stdout
