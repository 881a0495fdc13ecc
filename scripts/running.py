"""What run.py needs whatever it runs: messages, requests to stop, processes, addresses and programs.

Standard library only.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TypeVar

from support.processes import Failure, Process

ProcessT = TypeVar("ProcessT", bound=Process)

DEFAULT_ADDRESS = "127.0.0.1:9332"


class Stopped(Exception):
    """A signal requested the end during a wait."""


def say(text: str) -> None:
    """Print and flush; ignore a closed pipe."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would report the error again when it flushes on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class StopRequest:
    """Records SIGINT, SIGTERM and SIGHUP, for waits to check. No signal interrupts the cleanup."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def check(self) -> None:
        """Raise Stopped once a stop was asked for."""
        if self.requested:
            raise Stopped


class Processes:
    """The processes that were started; they are stopped in the reverse order."""

    def __init__(self, stack: ExitStack, stop_request: StopRequest) -> None:
        self._stack = stack
        self.stop_request = stop_request
        self._started: list[Process] = []
        self.down: set[Process] = set()
        """Those that were killed on purpose."""

    def start(self, process: ProcessT) -> ProcessT:
        """Start one."""
        self._stack.callback(process.stop)
        process.start()
        self._started.append(process)
        return process

    def require_alive(self) -> None:
        """Raise Failure if one has ended."""
        for process in self._started:
            if process not in self.down and not process.running:
                raise Failure(f"{process.name} has ended, which it should not have.\n{process.log}")

    def stop(self) -> None:
        """Stop all; raise Failure if one ended badly."""
        for process in reversed([each for each in self._started if each not in self.down]):
            say(f"Stopping {process.name}.")
            if process.stop() not in (0, -signal.SIGTERM):
                raise Failure(f"{process.name} ended badly.\n{process.log}")


class Endpoint:
    """A server's address; error messages name the `server`, the option `--name`, and make's variable `NAME`."""

    def __init__(self, address: str, server: str, name: str) -> None:
        host, separator, port = address.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise Failure(f"--{name} must be HOST:PORT, such as {DEFAULT_ADDRESS}, but is '{address}'.")
        self.address = address
        self._server = server
        self._name = name
        self._host = host.removeprefix("[").removesuffix("]")
        self._port = int(port)
        reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        self.target = f"{f'[{reachable}]' if ':' in reachable else reachable}:{port}"
        self.url = f"http://{self.target}"

    def require_free(self) -> None:
        """Raise Failure if the server could not listen there."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
                probe.listen()
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or error
                taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
                raise Failure(
                    f"{self._server} could not listen on {self.address}: {reason}. "
                    f"{'Stop what uses it, or choose' if taken else 'Choose'} another address "
                    f"with: {self._name.upper()}=HOST:PORT for make (--{self._name} HOST:PORT)."
                ) from error


def tool(name: str, target: str) -> Path:
    """The Telegraf or Prometheus that make found or built, or else the one on the PATH."""
    variable = f"{name.upper()}_BINARY"
    program = os.environ.get(variable) or shutil.which(name)
    if not program:
        raise Failure(
            f"There is no {name.capitalize()}: start this with `make {target}`, which gets one, or set {variable}."
        )
    return Path(program)
