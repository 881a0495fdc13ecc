"""Real processes for tests, benchmark and scripts: every wait has a deadline, and each is stopped.

Standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Self, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05
START_SECONDS = 240.0  # only a test that fails waits for so long, however busy the machine is
STOP_SECONDS = 240.0  # likewise; Telegraf gives a plugin two times 5 s to end
LOG_CHARACTERS = 8000
PIPE_BYTES = 64 * 1024  # what a pipe holds
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

# The environment's proxy is not meant for this machine's own addresses.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failure(AssertionError):
    """A process did not do what was waited for; says what, with the end of its output."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on, and that no other test gets before this run ends.

    It is none of those that the system gives to outgoing connections. A name in the abstract namespace, which the
    system takes back when this process ends, keeps it from tests in other processes.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(1024, first_outgoing) if first_outgoing > 10_000 else random.randrange(1024, 65536)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0telegraf-bitcoin-ipc test port {port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        name.detach()  # it stays open until this process ends
        return port


def wait_until_full(*pipes: IO[bytes] | None) -> None:
    """Wait until so much waits in each pipe to be read that its writer is, or will be, held up."""

    def full(pipe: IO[bytes]) -> bool:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder) > PIPE_BYTES / 2

    for pipe in pipes:
        assert pipe is not None
        wait_until(partial(full, pipe), START_SECONDS, "a full pipe")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends: so none is out of `descendants`' sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> dict[int, str]:
    """The processes that this one started, and those that they started, by id, with their command lines."""
    found: dict[int, str] = {}
    unseen = children(os.getpid())
    while unseen:
        pid = unseen.pop()
        with suppress(OSError):  # it has just ended
            if alive(pid):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                unseen += children(pid)
    return found


def alive(pid: int) -> bool:
    """Whether a process of that id is there and is no zombie."""
    return state(Path(f"/proc/{pid}")) not in ("", "Z")


def state(entry: Path) -> str:
    """The letter for the state of a process or thread, as proc(5) has it; empty where there is none any more."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid: int) -> list[int]:
    """The ids of a process's children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def resident(pid: int) -> int:
    """The bytes that a process has in memory, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def proportional(pid: int) -> int:
    """The bytes that a process has in memory, of pages shared by several processes its share (PSS)."""
    return 1024 * int(Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0])


def wait_until(
    condition: Callable[[], T], timeout: float, describe: str | Callable[[], str], pause: float = POLL_SECONDS
) -> T:
    """Ask until the condition holds, and return what it returned; raise Failure after `timeout` seconds.

    `describe` says what was waited for; as a function it is called at the failure, and may add a log. `pause` is
    the time between two questions, in seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            what = describe if isinstance(describe, str) else describe()
            raise Failure(f"not within {timeout:g} s: {what}")
        time.sleep(pause)


def get(url: str, timeout: float = 30.0) -> str | None:
    """The page at that URL, or None while nobody answers there; fails on any status but 200."""
    try:
        with _opener.open(url, timeout=timeout) as response:
            page: str = response.read().decode()
            return page
    except urllib.error.HTTPError as error:
        with error:
            raise Failure(f"{url}: status {error.code}: {error.read().decode(errors='replace')}") from error
    except (OSError, http.client.HTTPException):
        return None


OURS = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
"""The environment in which `module_command` finds its module."""


def module_command(name: str, *arguments: str | Path) -> list[str | Path]:
    """The command that runs one of these modules as a program of its own."""
    return [sys.executable, "-P", "-m", f"support.{name}", *arguments]


class Process:
    """One real process, with stdout and stderr in files of `directory`; stopped at the end of its `with`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        directory: Path,
        *,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        reads: bool = False,
        cwd: Path | None = None,
    ) -> None:
        """`environment` is added to the test run's own; `stdin=subprocess.PIPE` gives a pipe in `.stdin`.

        With `reads` its stdout is a pipe in `.reader` instead of a file. It runs in `directory`, or in `cwd`.
        """
        self.command = [str(part) for part in command]
        self.name = name or Path(self.command[0]).name
        self._environment = {**os.environ, **(environment or {})}
        self._stdin = stdin
        self._reads = reads
        self._cwd = cwd or directory
        self._directory = directory
        self._popen: subprocess.Popen[bytes] | None = None
        self._stdout = self._stderr = Path(os.devnull)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, or start it again after a stop: the files of each start have a number of their own."""
        assert not self.running, f"{self.name} runs already"
        self._directory.mkdir(parents=True, exist_ok=True)
        number = 1
        while (self._directory / f"{self.name}.{number}.stderr").exists():
            number += 1
        self._stdout = self._directory / f"{self.name}.{number}.stdout"
        self._stderr = self._directory / f"{self.name}.{number}.stderr"
        with self._stdout.open("xb") as stdout, self._stderr.open("xb") as stderr:
            try:
                # A process group of its own: a Ctrl-C reaches this program alone, which then stops the process.
                self._popen = subprocess.Popen(
                    self.command,
                    stdin=self._stdin,
                    stdout=subprocess.PIPE if self._reads else stdout,
                    stderr=stderr,
                    env=self._environment,
                    cwd=self._cwd,
                    process_group=0,
                )
            except OSError as error:
                raise Failure(f"{self.name} could not be started: {self.command[0]}: {error.strerror}") from error

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        assert self._popen is not None, f"{self.name} was not started"
        return self._popen

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started.pid

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to its stdin; write bytes, then flush; close it for an end of file."""
        assert self._started.stdin is not None, f"{self.name} was started without stdin=subprocess.PIPE"
        return self._started.stdin

    @property
    def reader(self) -> IO[bytes]:
        """The pipe from its stdout."""
        assert self._started.stdout is not None, f"{self.name} was started without reads=True"
        return self._started.stdout

    @property
    def stdout(self) -> str:
        """What the last start wrote to stdout so far."""
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What the last start wrote to stderr so far."""
        return self._stderr.read_text(errors="replace")

    @property
    def last_line(self) -> str:
        """The newest whole line of its stdout, which is shorter than 64 KiB; empty without one."""
        with self._stdout.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - PIPE_BYTES))
            return file.read().decode(errors="replace").rpartition("\n")[0].rpartition("\n")[2]

    @property
    def log(self) -> str:
        """How it stands and the end of what it wrote, for a failure's message."""
        status = None if self._popen is None else self._popen.poll()
        state = "not started" if self._popen is None else "running" if status is None else f"exit status {status}"
        return (
            f"{self.name} ({state}): {' '.join(self.command)}\n"
            f"--- stdout\n{self.stdout[-LOG_CHARACTERS:]}\n--- stderr\n{self.stderr[-LOG_CHARACTERS:]}"
        )

    def wait_until(
        self, condition: Callable[[], T], what: str, timeout: float = START_SECONDS, pause: float = POLL_SECONDS
    ) -> T:
        """As the function of that name, but fail at once if the process ends; a failure shows the log."""

        def holds_or_ended() -> T:
            result = condition()
            # Once more if it has ended: its last output may be the one that was waited for.
            if not result and not self.running:
                result = condition()
                if not result:
                    raise Failure(f"{self.name} ended before {what}\n{self.log}")
            return result

        return wait_until(holds_or_ended, timeout, lambda: f"{what}\n{self.log}", pause)

    def logged(self, text: str, count: int = 1) -> None:
        """Wait until its log has the text so many times."""
        self.wait_until(lambda: self.stderr.count(text) >= count, f"{text!r} in the log, {count} times")

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Wait for its end by itself; return the exit status (negative: the signal)."""
        wait_until(lambda: not self.running, timeout, lambda: f"the end of {self.log}")
        return self._started.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        self._started.send_signal(number)

    def freeze(self) -> None:
        """Stop it by SIGSTOP, and wait until none of it runs any more; SIGCONT has it go on."""
        self.send(signal.SIGSTOP)
        self.wait_until(lambda: self.frozen, f"{self.name} was stopped")

    @property
    def frozen(self) -> bool:
        """Whether it is stopped, with all its threads."""
        return all(state(task) == "T" for task in Path(f"/proc/{self.pid}/task").iterdir())

    def kill(self) -> None:
        """End it by SIGKILL, as an out-of-memory killer would."""
        if self.running:
            self.send(signal.SIGKILL)
            self._started.wait()
        self._close()

    def stop(self, timeout: float = STOP_SECONDS) -> int | None:
        """End it by SIGTERM and return the exit status; SIGKILL and a failure if that takes too long.

        Without effect on one that has ended, or was not started (None).
        """
        if self._popen is None:
            return None
        if self.running:
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)  # one that is frozen takes it only now
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                log = self.log
                self.kill()
                raise Failure(f"no end within {timeout:g} s of SIGTERM: {log}") from None
        self._close()
        return self._popen.wait()

    def _close(self) -> None:
        if self._popen is not None and self._popen.stdin is not None:
            with suppress(BrokenPipeError):  # what was not flushed has no reader any more
                self._popen.stdin.close()


StartProcess = Callable[..., Process]
