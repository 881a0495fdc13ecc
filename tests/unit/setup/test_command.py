"""`setup` on a directory that stands for a machine's root; the commands of the system are only recorded."""

import argparse
import io
import os
import pty
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.setup import command, plan
from telegraf_bitcoin_ipc.setup.carry_out import StepFailed
from telegraf_bitcoin_ipc.setup.machine import Root

PROGRAM = "/usr/bin/telegraf-bitcoin-ipc"
TELEGRAF = "[Service]\nUser=telegraf\nExecStart=/usr/bin/telegraf\n"
NODE_UNIT = "[Service]\nUser=bitcoin\nExecStart=/usr/bin/bitcoin-node -datadir=/var/lib/bitcoind\n"


class Machine(Root):
    """A machine with Telegraf and the package, but no node."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.commands: list[str] = []
        self.fails = ""
        bitcoin = f"bitcoin:x:{os.getuid()}:{os.getgid()}::/var/lib/bitcoind:\n"
        # The + lines are of NIS, and have no ids.
        self.write("etc/passwd", f"{bitcoin}telegraf:x:998:998::/:\n+::::::\n")
        self.write("etc/group", f"bitcoin:x:{os.getgid()}:\ntelegraf:x:998:\nwatchers:x:997:\n+:::\n")
        self.write("etc/systemd/system/.keep", "")
        self.write("lib/systemd/system/bitcoin-ipc-guard.socket", "")
        self.write("lib/systemd/system/telegraf.service", TELEGRAF)
        self.write("etc/telegraf/telegraf.conf", "[agent]\n")

    def write(self, name: str, text: str) -> None:
        """Write a file of the machine."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text)

    def execute(self, words: Sequence[str]) -> None:
        """Stand in for the system: remember the command, and do what it changes in /etc, unless it fails."""
        self.commands.append(" ".join(words))
        if (words[1], self.fails) == ("enable", "before"):
            raise StepFailed("systemctl: no")
        wanted = self.path(f"etc/systemd/system/sockets.target.wants/{plan.GUARD_SOCKET_UNIT}")
        if words[1] == "enable":
            wanted.parent.mkdir(exist_ok=True)
            wanted.symlink_to("/lib/systemd/system/bitcoin-ipc-guard.socket")
        elif words[1] == "disable":
            wanted.unlink(missing_ok=True)
        elif words[0] == "usermod":
            self.write("etc/group", self.read("etc/group").replace("watchers:x:997:", "watchers:x:997:telegraf"))
        elif words[0] == "gpasswd":
            self.write("etc/group", self.read("etc/group").replace("997:telegraf", "997:"))
        if (words[1], self.fails) == ("enable", "after"):
            raise StepFailed("systemctl: no")

    def setup(self, *arguments: str) -> int:
        """Run `setup` on it."""
        parser = argparse.ArgumentParser()
        command.add_options(parser)
        return command.set_up(parser.parse_args(arguments), self, self.execute, PROGRAM)

    def state(self) -> dict[str, str]:
        """Return every file that is there, with its text."""
        files = (path for path in self.directory.rglob("*") if path.is_file() or path.is_symlink())
        return {str(path): path.read_text() if path.exists() else "" for path in files}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without a node."""
    return Machine(tmp_path)


@pytest.fixture
def watched(machine: Machine) -> Machine:
    """A machine with a node in a unit."""
    machine.write("etc/systemd/system/bitcoind.service", NODE_UNIT)
    machine.write("var/lib/bitcoind/bitcoin.conf", "ipcbind=unix\n")
    return machine


UNITS = "systemctl daemon-reload"
JOIN = "usermod --append --groups watchers telegraf"
ENABLE = "systemctl enable --now bitcoin-ipc-guard.socket"
RELOAD = "systemctl try-reload-or-restart telegraf.service"
RESTART = "systemctl try-restart telegraf.service"


@pytest.mark.parametrize(
    ("groups", "commands"),
    [
        (["telegraf"], [UNITS, ENABLE, RELOAD]),
        (["watchers"], [UNITS, JOIN, ENABLE, RESTART]),
        # A socket that is there already is made again, with the group, and the guard starts with it.
        (
            ["telegraf", "watchers"],
            [UNITS, ENABLE, RELOAD, UNITS, JOIN, "systemctl try-restart bitcoin-ipc-guard.socket", RESTART],
        ),
    ],
)
def test_from_nothing_and_back(
    watched: Machine, groups: list[str], commands: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything is set up, twice changes nothing, and --undo leaves the machine as it was."""
    before = watched.state()
    for group in groups:
        assert watched.setup("--yes", "--group", group) == 0
    out = capsys.readouterr().out
    assert "node: /var/lib/bitcoind/node.sock, account bitcoin, group bitcoin, bitcoind.service" in out
    assert "User=bitcoin" in watched.read(plan.DROP_IN)
    assert watched.read(plan.TELEGRAF_CONFIG)
    after = watched.state()
    assert watched.setup("--yes", "--group", group) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert watched.state() == after
    assert watched.commands == commands
    assert watched.setup("--undo", "--yes") == 0
    assert watched.state() == before
    assert watched.setup("--undo", "--yes") == 0
    assert "nothing to do" in capsys.readouterr().out.splitlines()


def test_nothing_without_leave(watched: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cannot be asked, or answers with Ctrl-D, gets nothing done, and no traceback."""
    before = watched.state()
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ConfigError, match="use --yes"):
        watched.setup()
    ours, theirs = pty.openpty()
    os.write(ours, b"\x04")
    with os.fdopen(theirs) as terminal, os.fdopen(ours):
        monkeypatch.setattr("sys.stdin", terminal)
        assert watched.setup() == 1
    assert (watched.state(), watched.commands) == (before, [])


def test_a_socket_in_a_usual_directory(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that no unit runs is found by its socket, with the account that owns it."""
    machine.write("home/me/.bitcoin/regtest/x", "")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        monkeypatch.chdir(machine.path("home/me/.bitcoin/regtest"))  # the whole path may be too long for a socket
        listener.bind("node.sock")
        machine.setup("--yes")
    out = capsys.readouterr().out
    assert "node: /home/me/.bitcoin/regtest/node.sock, account bitcoin, group bitcoin, no unit known" in out
    assert "ProtectHome=read-only" in machine.read(plan.DROP_IN)


def test_no_node(machine: Machine) -> None:
    """Without a node, or with one that has no IPC socket, it says what would help."""
    with pytest.raises(ConfigError, match="no node found"):
        machine.setup("--yes")
    machine.write("etc/systemd/system/bitcoind.service", NODE_UNIT)
    with pytest.raises(ConfigError, match=r"bitcoind.service: the node has no IPC socket"):
        machine.setup("--yes")
    with pytest.raises(ConfigError, match="there is no socket at /nowhere"):
        machine.setup("--yes", "/nowhere")


def test_several_nodes(watched: Machine) -> None:
    """Which one is meant has to be said."""
    regtest = NODE_UNIT.replace("-datadir", "-regtest -datadir")
    watched.write("etc/systemd/system/regtest.service", regtest)
    with pytest.raises(ConfigError, match=r"several nodes; .*/var/lib/bitcoind/regtest/node.sock"):
        watched.setup("--yes")
    assert watched.setup("--yes", "/var/lib/bitcoind/regtest/node.sock") == 0
    assert "After=regtest.service" in watched.read(plan.DROP_IN)


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_step_that_fails(watched: Machine, fails: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what the system said; what was done can be undone, also a socket that was enabled and fails."""
    before = watched.state()
    watched.fails = fails
    assert watched.setup("--yes") == 1
    assert "systemctl: no" in capsys.readouterr().err
    watched.fails = ""
    assert watched.setup("--undo", "--yes") == 0
    assert watched.state() == before


def test_not_the_package(machine: Machine) -> None:
    """Without the guard's units there is nothing to enable."""
    machine.path("lib/systemd/system/bitcoin-ipc-guard.socket").unlink()
    with pytest.raises(ConfigError, match="is not installed"):
        machine.setup("--yes")


def test_a_record_that_cannot_be_read(watched: Machine) -> None:
    """Setup does nothing if the record of earlier steps is not what it wrote."""
    watched.write(plan.RECORD.lstrip("/"), "{")
    before = watched.state()
    with pytest.raises(ConfigError, match="cannot be read"):
        watched.setup("--yes")
    assert watched.state() == before
