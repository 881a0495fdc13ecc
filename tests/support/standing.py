"""The standing guard as the real process that it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from support.nodes import PROGRAM
from support.processes import Process, children

from telegraf_bitcoin_ipc.ipc.guard_command import MOST_CLIENTS

CLIENTS = MOST_CLIENTS
"""How many clients it serves at a time, unless it is told otherwise."""


class StandingGuard(Process):
    """`guard --listen`, with a relay in a process of its own for each client."""

    def __init__(
        self, node: Path, socket: Path, directory: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.socket = socket
        command = [PROGRAM, "guard", "--listen", socket, *options, node]
        super().__init__(command, directory, name="guard", environment=environment)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        super().start()
        self.logged("watching ")

    def logged(self, text: str, count: int = 1) -> None:
        """Wait until so many lines of its log contain the text."""
        self.wait_until(lambda: self.stderr.count(text) >= count, f"{text!r} in the log, {count} times")

    @property
    def relays(self) -> list[int]:
        """The processes that each serve a client."""
        return children(self.pid) if self.running else []
