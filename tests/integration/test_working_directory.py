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
from support.processes import START_SECONDS, STOP_SECONDS, wait_until

Start = Callable[..., subprocess.Popen[str]]

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
def start_in(tmp_path: Path, socket_path: Path) -> Iterator[Start]:
    """Start commands of the program in a directory of a kind; they end with the test at the latest."""
    home = tmp_path / "home"
    directory = home / "directory"
    directory.mkdir(parents=True)
    started: list[subprocess.Popen[str]] = []

    def popen(what: str, *commands: list[str]) -> subprocess.Popen[str]:
        each = [[str(socket_path) if word is SOCKET else word for word in command] for command in commands]
        in_one = [sys.executable, "-P", "-c", ONE_AFTER_ANOTHER, json.dumps(each)]
        command = [str(PROGRAM), *each[0]] if len(each) == 1 else in_one
        started.append(
            subprocess.Popen(
                started_in(what, command),
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield popen
    for process in started:
        process.kill()
        process.communicate()
    home.chmod(0o700)
    if directory.exists():
        directory.chmod(0o700)


@pytest.fixture(params=UNUSABLE)
def start(request: pytest.FixtureRequest, start_in: Start) -> Start:
    """Start commands of the program in an unusable directory."""
    return partial(start_in, request.param)


def test_commands_work(start_node: StartNode, start: Start) -> None:
    """With an absolute path the working directory does not matter."""
    start_node()
    process = start(["once", SOCKET], ["check", SOCKET])
    out, err = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, err) == (0, "")
    assert out.count(" chain_height=") == out.count(" bitcoin_chain_height = ") == 1


def test_the_plugin_works(start_node: StartNode, start: Start) -> None:
    """The plugin connects, subscribes, and ends with its stdin."""
    node = start_node()
    plugin = start([SOCKET])
    node.says("subscribed", 2)
    _, err = plugin.communicate(timeout=START_SECONDS)
    assert plugin.returncode == 0, err
    node.says("unsubscribed", 2)


def test_the_simulated_node_works(start: Start, socket_path: Path) -> None:
    """The simulated node listens, and ends as ever."""
    node = start(["simulate", SOCKET])
    assert node.stdout is not None
    assert '"listening"' in node.stdout.readline()
    node.terminate()
    _, err = node.communicate(timeout=START_SECONDS)
    assert (node.returncode, err) == (0, "")
    wait_until(lambda: not socket_path.exists(), STOP_SECONDS, "the socket removed")


def test_a_relative_path_is_refused(start: Start) -> None:
    """A path that leads nowhere from there is a mistake, in one sentence; it is not looked for elsewhere."""
    commands = [[*command, "node.sock"] for command in ([], ["once"], ["check"], ["config"], ["simulate"])]
    process = start(*commands, ["simulate", "--script", "node.sock", SOCKET])
    out, err = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines() == [
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
    out, err = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, err) == (0, "")
    assert "chain_height" in out
