"""The simulated node and the plugin as the real processes that they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import IO, Any, TypeVar
from unittest.mock import patch

from support.processes import POLL_SECONDS, START_SECONDS, STOP_SECONDS, Process

from telegraf_bitcoin_ipc.cli import main
from telegraf_bitcoin_ipc.ipc.dialects import BY_NAME

T = TypeVar("T")

PROGRAM = Path(sysconfig.get_path("scripts")) / "telegraf-bitcoin-ipc"
"""The installed program."""

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by field name and tags."""


def run_program(
    *arguments: str | Path, stdout: int | IO[Any] = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, with only a PATH in its environment besides."""
    return subprocess.run(
        [PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def call_program(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in the test's process instead, for tests of arguments and messages: starting Python takes longer."""
    stdout, stderr = StringIO(), StringIO()
    with patch.dict(os.environ, environment, clear=True), redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # --help and --version
            status = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, status, stdout.getvalue(), stderr.getvalue())


class SimulatedNode(Process):
    """`simulate` with a script on stdin: nothing happens but what a test has it do."""

    def __init__(
        self, socket: Path, directory: Path, *options: str, script: bool = True, name: str = "simnode"
    ) -> None:
        self.socket = socket
        script_options = ["--script", "-"] if script else []
        # How soon a subscriber leaves says nothing on a busy machine: that it leaves at all is what is tested.
        patience = ["--patience", str(STOP_SECONDS / 2)]
        super().__init__(
            [PROGRAM, "simulate", *script_options, *patience, *options, socket],
            directory,
            name=name,
            stdin=subprocess.PIPE,
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        super().start()
        (listening,) = self.wait_until(lambda: self.lines("listening"), "the simulated node listened")
        self.dialect = BY_NAME[listening["dialect"]]

    def lines(self, action: str | None = None) -> list[dict[str, Any]]:
        """What it says it did: all of it, or one kind of action."""
        whole = self.stdout.rpartition("\n")[0].splitlines()
        lines = [json.loads(line) for line in whole]
        return [line for line in lines if action in (None, line["action"])]

    def do(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Have it do something, and return its line about it: every callback is answered by then."""
        done = len(self.lines("settled"))
        self.begin(action, **parameters)
        return self.wait_until(lambda: self.lines("settled")[done:], f"{action} was done")[0]

    def begin(self, action: str, **parameters: Any) -> None:
        """Have it do something, without waiting for it."""
        self.stdin.write(json.dumps({"do": action, **parameters}).encode() + b"\n")
        self.stdin.flush()

    def begin_stop(self) -> None:
        """Tell it to stop, without waiting for its end."""
        self.send(signal.SIGTERM)

    def hasten_stop(self) -> None:
        """Have a node with --stop-seconds go on to the second half of its stop, or to its end."""
        self.send(signal.SIGTERM)

    def says(self, action: str, count: int = 1, timeout: float = START_SECONDS) -> dict[str, Any]:
        """Wait until it has said that kind of line so many times, and return the last of them."""
        return self.wait_until(
            lambda: self.lines(action)[count - 1 :], f"{count} of the lines {action!r}", timeout
        )[0]

    @property
    def totals(self) -> dict[str, Any]:
        """Its newest line."""
        newest: dict[str, Any] = json.loads(self.last_line)
        return newest


class Plugin(Process):
    """The plugin as Telegraf runs it: stdin is a pipe, and line protocol comes out."""

    def __init__(
        self,
        socket: Path,
        directory: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        """Run it by the command `before` its own, if there is one."""
        super().__init__(
            [*before, PROGRAM, *options, socket],
            directory,
            name="plugin",
            stdin=subprocess.PIPE,
            environment=environment,
        )
        self._by_time: dict[int, Series] = {}
        self._characters = 0  # of its output that were read

    def start(self) -> None:
        """Start it, or start it again: its emissions begin anew, too."""
        self._by_time, self._characters = {}, 0
        super().start()

    @property
    def emissions(self) -> list[Series]:
        """Everything that it has emitted since its start, oldest first."""
        text = self.stdout
        end = text.rfind("\n") + 1
        for line in text[self._characters : end].splitlines():
            time, series = read_line(line)
            self._by_time.setdefault(time, {}).update(series)
        self._characters = end
        return list(self._by_time.values())

    @property
    def latest(self) -> Series:
        """The newest emission."""
        return (self.emissions or [{}])[-1]

    def ask(self) -> Series:
        """Send a newline, as Telegraf does with signal = "STDIN", and return the emission that answers it."""
        before = len(self.emissions)
        self.stdin.write(b"\n")
        self.stdin.flush()
        return self.wait_until(lambda: self.emissions[before:], "an emission after a newline")[-1]

    def shows(self, condition: Callable[[Series], bool], what: str, timeout: float = START_SECONDS) -> Series:
        """Ask until the answer fulfils the condition, and return it."""

        def answer() -> Series | None:
            series = self.ask()
            return series if condition(series) else None

        return self.wait_until(answer, what, timeout) or {}

    def settled(self, view: Callable[[Series], T], polls: int, pause: float = POLL_SECONDS) -> T:
        """Wait until so many polls in a row have changed nothing in a view of the emissions; return that."""
        found, times = view(self.ask()), set[float]()

        def same() -> bool:
            nonlocal found
            series = self.ask()
            if (now := view(series)) != found:
                found = now
                times.clear()
            times.update(at for (name, _), at in series.items() if name == "last_poll_timestamp_seconds")
            return len(times) > polls

        self.wait_until(same, "polls changed nothing", pause=pause)
        return found


StartNode = Callable[..., SimulatedNode]
StartPlugin = Callable[..., Plugin]


def value(series: Series, field: str, **tags: str) -> float | None:
    """The value of a field, or None where it is absent."""
    return series.get((field, frozenset(tags.items())))


def read_line(line: str) -> tuple[int, Series]:
    """Read one line of line protocol, as this project writes it: quickly, as the benchmark reads meanwhile."""
    head, fields, time = line.split(" ")
    measurement, *tags = head.split(",")
    assert measurement == "bitcoin", line
    pairs = frozenset((key, text) for key, _, text in (tag.partition("=") for tag in tags))
    series: Series = {}
    for field in fields.split(","):
        name, _, text = field.partition("=")
        series[name, pairs] = int(text[:-1]) if text.endswith("i") else float(text)
    return int(time), series
