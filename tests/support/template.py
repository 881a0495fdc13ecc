"""Processes of the installed program, and of what uses its modules, forked from one that has imported them.

The start of Python and the imports cost more processor time than what most tests have the program do. Otherwise a
forked process is as any: it has its own arguments, directory, environment and streams, and ends by itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

IMPORTED = ("cli", "check", "cli.configure", "parity.command", "plugin", "simnode.command")
TESTS = str(Path(__file__).resolve().parent.parent)
RUNS_MODULE = [sys.executable, "-P", "-m"]
REQUEST_BYTES = 1 << 17
PAUSE = 0.01


class Forked:
    """A forked process, with what `subprocess.Popen` has for one of its own."""

    stdout: IO[bytes] | None = None

    def __init__(self, pid: int, stdin: IO[bytes] | None) -> None:
        self.pid, self.stdin = pid, stdin
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status (negative: the signal), or None while it runs."""
        if self._status is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self._status = os.waitstatus_to_exitcode(ended[1])
        return self._status

    def wait(self, timeout: float = float("inf")) -> int:
        """Wait for its end and return the exit status; raise TimeoutExpired after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(PAUSE)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Template:
    """The process that all are forked from; it starts with the first, and ends with its `with`.

    Whoever uses it is the parent of all, and has to have called `adopt_orphans` for that.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs = theirs
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        self._theirs.close()
        if self._process is not None:
            self._process.wait()

    def fork(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> Forked:
        """Start the program, or a module if it is `RUNS_MODULE`; `stdin` is as for `subprocess.Popen`."""
        if self._process is None:
            template = [sys.executable, "-P", __file__, str(self._theirs.fileno())]
            self._process = subprocess.Popen(
                template, stdin=subprocess.DEVNULL, pass_fds=[self._theirs.fileno()], process_group=0
            )
            self._theirs.close()
        ours: IO[bytes] | None = None
        if stdin == subprocess.PIPE:
            theirs, writer = os.pipe()
            ours = os.fdopen(writer, "wb")
        else:
            theirs = os.open(os.devnull, os.O_RDONLY) if stdin == subprocess.DEVNULL else os.dup(stdin)
        try:
            request = json.dumps([list(command), str(directory), dict(environment)]).encode()
            socket.send_fds(self._channel, [request], [theirs, stdout, stderr])
            return Forked(int(self._channel.recv(REQUEST_BYTES)), ours)
        finally:
            os.close(theirs)


def main(channel: socket.socket) -> None:
    """Fork for each request until the other end is closed; returns in what is forked, too, after its end."""
    for module in IMPORTED:
        importlib.import_module(f"telegraf_bitcoin_ipc.{module}")
    sys.path.append(TESTS)
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, REQUEST_BYTES, 3)
        if not request:
            return
        ours, theirs = os.pipe()
        if middle := os.fork():
            os.close(theirs)
            os.waitpid(middle, 0)  # from now on what it forked is an orphan, which whoever asked may wait for
            channel.send(os.read(ours, 100))
            for descriptor in (ours, *descriptors):
                os.close(descriptor)
        elif pid := os.fork():
            os.write(theirs, str(pid).encode())
            os._exit(0)
        else:
            os.setpgid(0, 0)
            for stream, descriptor in enumerate(descriptors):
                os.dup2(descriptor, stream)
            channel.detach()
            os.closerange(3, max(*descriptors, ours, theirs) + 1)
            sys.argv, directory, environment = json.loads(request)
            os.chdir(directory)
            os.environ.clear()
            os.environ.update(environment)
            run(sys.argv)
            return


def run(command: list[str]) -> None:
    """Run the program, or a module, as a process of its own does."""
    if command[: len(RUNS_MODULE)] != RUNS_MODULE:
        sys.exit(importlib.import_module("telegraf_bitcoin_ipc.cli").main())
    sys.argv = command[len(RUNS_MODULE) :]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
