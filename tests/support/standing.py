"""The standing guard as the real process that it is."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from support.frames import bootstrap, done, reading
from support.guard import Side
from support.processes import START_SECONDS, Process, children

from telegraf_bitcoin_ipc.guard import hello
from telegraf_bitcoin_ipc.ipc.guard_command import MOST_CLIENTS, add_options, become
from telegraf_bitcoin_ipc.ipc.guard_process import Totals

CLIENTS = MOST_CLIENTS
"""How many clients it serves at a time, unless it is told otherwise."""


def service_command(node: Path, socket: Path, *options: str) -> list[str]:
    """Return the command that the program becomes as `guard --listen`: without the start that it takes before."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return become(parser.parse_args(["--listen", str(socket), *options, str(node)]))


class StandingGuard(Process):
    """`guard --listen`, with a relay in a process of its own for each client."""

    def __init__(
        self,
        node: Path,
        socket: Path,
        directory: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.socket = socket
        super().__init__(service_command(node, socket, *options), directory, name="guard", environment=environment)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        super().start()
        self.logged("watching ")

    @property
    def relays(self) -> list[int]:
        """The processes that each serve a client."""
        return children(self.pid) if self.running else []


StartGuard = Callable[..., StandingGuard]


class Client:
    """A program that speaks to a standing guard in a test's own packets and frames, as badly as it likes."""

    def __init__(self, path: Path) -> None:
        """Connect to the guard."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(START_SECONDS)
        self.socket.connect(str(path))
        self._session: socket.socket | None = None
        self.descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go, wherever it is."""
        self.socket.close()
        if self._session is not None:
            self._session.close()
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def hear(self) -> hello.Answer:
        """Wait for the guard's answer."""
        packet, descriptors, _, _ = socket.recv_fds(self.socket, hello.MOST_BYTES, 2)
        answer = hello.Answer.of(packet)
        assert len(descriptors) == (0 if answer.sentence else 2)
        if descriptors:
            session, self.descriptor = descriptors
            self._session = socket.socket(fileno=session)
        return answer

    def ask(self, packet: bytes | None = None) -> hello.Answer:
        """Send a request, a right one unless it is given, and wait for the answer."""
        self.socket.send(hello.request(forward_utxo=False) if packet is None else packet)
        return self.hear()

    def begin(self) -> Side:
        """Ask for a session, and return it."""
        answer = self.ask()
        assert self._session is not None, answer.sentence
        return Side(self._session)

    def init(self) -> tuple[Side, int]:
        """Begin a session, and return it with the node's Init."""
        session = self.begin()
        session.send(bootstrap(0))
        with reading(session.take()) as message:
            (init,) = (each.senderHosted for each in getattr(message, "return").results.capTable)
        session.send(done(0))
        return session, init

    def totals(self) -> Mapping[str, int]:
        """Read the guard's totals for this client."""
        assert self.descriptor is not None
        return Totals(self.descriptor).read()
