"""The command `guard`: its options, the socket that it makes or is given, and what it says to systemd."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.another_user import as_nobody, needs_root
from support.nodes import PROGRAM, StartNode, StartPlugin, call_program, value
from support.processes import START_SECONDS, Process
from support.standing import StartGuard, service_command

from telegraf_bitcoin_ipc.cli.output import PROGRAM as NAME
from telegraf_bitcoin_ipc.guard.listener import NotListening, listening

HANDS_OVER = """
import os, socket, sys
kind, path, *command = sys.argv[1:]
if kind != "FILE":
    listener = socket.socket(socket.AF_UNIX, getattr(socket, kind))
    listener.bind(path)
    if kind != "SOCK_DGRAM":
        listener.listen()
    os.dup2(listener.fileno(), 3)
else:
    os.dup2(os.open(path, os.O_CREAT), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""
"""Starts a program as systemd does, with a socket as its file descriptor 3."""


SEE = f" (see {NAME} --help)"
MISTAKES = {
    "node": "guard: give --listen PATH, or a socket by systemd (LISTEN_FDS)",
    "--listen= node": "guard: give --listen PATH, or a socket by systemd (LISTEN_FDS)",
    "--listen new": f"the following arguments are required: NODE_SOCKET{SEE}",
    "--listen new --group missing node": f"argument --group: there is no group 'missing'{SEE}",
    "--listen new --mode rw node": f"argument --mode: 'rw' is not a mode such as 0660{SEE}",
    "--listen new --mode 1777 node": f"argument --mode: '1777' is not a mode such as 0660{SEE}",
    "--listen new --max-clients 0 node": f"argument --max-clients: '0' is not a number of clients{SEE}",
    "--listen file node": "guard: --listen: file is not a socket",
    "--listen new file": "guard: NODE_SOCKET: file is not a socket",
    "--listen ./node node": "guard: PATH of --listen and NODE_SOCKET must differ",
}


def test_a_mistake_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the command line ends it with status 2, before anything is done."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for arguments, sentence in MISTAKES.items():
        done = call_program("guard", *arguments.split())
        assert (done.returncode, done.stderr) == (2, f"{NAME}: {sentence}\n")
    done = call_program("guard", "--mode", "0600", "node", LISTEN_FDS="1")
    assert done.returncode == 2
    assert "--mode and --group need --listen" in done.stderr, "of a socket from systemd they are systemd's"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def fails(*command: str | Path, **environment: str) -> str:
    """Run a guard that cannot begin; returns its sentence."""
    env = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_SECONDS, env=env)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix(f"{NAME} guard: ").rstrip("\n")


@contextmanager
def bound(kind: socket.SocketKind, path: Path) -> Iterator[None]:
    """Listen on a socket at a path, or only bind it."""
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            listener.listen()
        yield


def not_listening(path: Path) -> str:
    """Try to listen at a path where that cannot be; returns the reason."""
    with pytest.raises(NotListening) as raised:
        listening(str(path), 0o660, None)
    return str(raised.value).removeprefix(f"cannot listen on {path}: ")


def test_a_path_at_which_there_can_be_no_socket(guard_path: Path) -> None:
    """The reason is the system's; or somebody uses the socket, of whatever type, or another guard is starting."""
    assert not_listening(guard_path / "guard.sock") == "No such file or directory"
    assert not_listening(guard_path.with_name("x" * 120)) == "AF_UNIX path too long"
    directory = os.open(guard_path.parent, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    assert not_listening(guard_path) == "another guard is starting there"
    os.close(directory)
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with bound(kind, guard_path):
            assert not_listening(guard_path) == "it is already in use"
        guard_path.unlink()  # it is still there


@needs_root
def test_what_one_may_not_make(socket_path: Path, guard_path: Path) -> None:
    """Who may not make a socket there, or give it to that group, gets a sentence; nothing is left behind."""
    command = as_nobody(PROGRAM, "guard", "--listen", guard_path)
    assert fails(*command, socket_path) == f"cannot listen on {guard_path}: Permission denied"
    socket_path.parent.chmod(0o777)
    said = fails(*command, "--group", "root", socket_path)
    assert said == f"cannot listen on {guard_path} with that group and mode: Operation not permitted"
    assert list(socket_path.parent.iterdir()) == []


def test_never_over_a_living_guard(start_guard: StartGuard, start_plugin: StartPlugin, socket_path: Path) -> None:
    """A second guard on the same path ends with a sentence; the first notices nothing, and counts no client."""
    first = start_guard()
    said = fails(*service_command(socket_path, first.socket))
    assert said == f"cannot listen on {first.socket}: it is already in use"
    start_plugin(socket=first.socket).logged("there is no such socket (is the node running, with -ipcbind=unix?)")
    assert first.stderr.count(": connected") == 1
    assert first.stop() == 0


def test_over_a_stale_socket(start_guard: StartGuard, guard_path: Path) -> None:
    """A guard that was killed leaves its socket behind; the next one takes its place, and removes its own."""
    first = start_guard()
    first.kill()
    assert guard_path.is_socket()
    second = start_guard()
    assert second.stop() == 0
    assert not guard_path.exists()


def test_somebody_elses_socket_stays(start_guard: StartGuard, guard_path: Path) -> None:
    """At its end a guard removes no socket that somebody else has made meanwhile."""
    guard = start_guard()
    guard_path.unlink()
    with bound(socket.SOCK_SEQPACKET, guard_path):
        assert guard.stop() == 0
        assert guard_path.is_socket()


@pytest.mark.parametrize(("options", "mode"), [((), 0o660), (("--mode", "0606"), 0o606)])
def test_mode(start_guard: StartGuard, options: tuple[str, ...], mode: int) -> None:
    """The socket's mode is the one that was asked for, whatever the umask is; else owner and group may open it."""
    before = os.umask(0o077)
    try:
        guard = start_guard(*options)
    finally:
        os.umask(before)
    assert stat.S_IMODE(guard.socket.stat().st_mode) == mode


@needs_root
def test_group(start_guard: StartGuard) -> None:
    """The socket is of the group that was asked for."""
    group = next(each for each in grp.getgrall() if each.gr_gid not in (0, os.getegid()))
    assert start_guard("--group", group.gr_name).socket.stat().st_gid == group.gr_gid


def handed_over(kind: str, path: Path, node: Path) -> list[str | Path]:
    """Return a command that starts a guard with a socket of its own as its descriptor 3."""
    return [sys.executable, "-c", HANDS_OVER, kind, path, PROGRAM, "guard", node]


def test_a_socket_that_is_handed_over(
    start_process: Callable[..., Process],
    start_node: StartNode,
    start_plugin: StartPlugin,
    guard_path: Path,
) -> None:
    """On a socket by LISTEN_FDS clients are served as on its own; it is not the guard's to remove."""
    node = start_node()
    guard = start_process(handed_over("SOCK_SEQPACKET", guard_path, node.socket), name="guard")
    guard.wait_until(lambda: "watching " in guard.stderr, "the guard listened")
    plugin = start_plugin(socket=guard_path)
    plugin.shows(lambda series: value(series, "guard_standing") == 1, "a session")
    assert plugin.stop() == 0
    assert guard.stop() == 0
    assert guard_path.is_socket()


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "FILE"])
def test_a_wrong_socket_that_is_handed_over(socket_path: Path, guard_path: Path, kind: str) -> None:
    """Anything else than a listening socket of packets is refused with what the unit has to say."""
    reason = (
        "cannot be used: Socket operation on non-socket" if kind == "FILE" else "is not of ListenSequentialPacket="
    )
    assert fails(*handed_over(kind, guard_path, socket_path)) == f"the socket from systemd {reason}"


def test_a_socket_that_was_handed_to_another_process(socket_path: Path) -> None:
    """LISTEN_FDS that was meant for a parent is not taken for one's own."""
    said = fails(PROGRAM, "guard", socket_path, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    assert said == "give --listen PATH, or one socket by systemd (LISTEN_FDS)"


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_what_it_says_to_systemd(start_guard: StartGuard, socket_path: Path, abstract: bool) -> None:
    """READY=1 once clients can connect, STOPPING=1 when it was told to stop."""
    name = f"{'@' if abstract else ''}{socket_path.with_name('notify')}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(name.replace("@", "\0"))
        systemd.settimeout(START_SECONDS)
        guard = start_guard(environment={"NOTIFY_SOCKET": name})
        assert systemd.recv(100) == b"READY=1"
        assert guard.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"


def test_socket_of_every_command_may_be_a_guards(start_node: StartNode, start_guard: StartGuard) -> None:
    """No option says what SOCKET is; `check` says that it is a guard's."""
    start_node()
    guard = start_guard()
    for command, wanted in (
        ("check", f"socket   {guard.socket} (a standing guard)\n"),
        ("once", "guard_standing=1"),
        ("config", f'"{guard.socket}"]'),
    ):
        assert wanted in call_program(command, guard.socket).stdout
