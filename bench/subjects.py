"""The subjects of the measurements, each in its own processes, and the resources that they use."""

import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.nodes import PROGRAM, read_line
from support.processes import Process, children, state
from support.standing import StandingGuard

from bench.driver import CHAIN, TRACE, Node, Subscriber, wait_for

HERE: Final = Path(__file__).resolve().parent

SPIN_MICROSECONDS: Final = 300
BUSY_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 0.3


def processor_seconds(*pids: int) -> float:
    """Return what processes have used of the processors, all threads, user and system."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def wakes(pid: int) -> int:
    """Return how often a process's threads have slept, and so been woken."""
    lines = (line for task in Path(f"/proc/{pid}/task").iterdir() for line in (task / "status").open())
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def sleeps(pid: int) -> bool:
    """Say whether a process of one thread waits for something."""
    return state(Path(f"/proc/{pid}")) == "S"


class Subject:
    """A process that the node calls, and its connection."""

    def __init__(self, name: str, process: Process, subscriber: Subscriber) -> None:
        """Hold a subscriber that runs."""
        self.name = name
        self.process = process
        self.subscriber = subscriber
        self.pids = [process.pid]
        """The processes that do its work."""


class Plugin(Subject):
    """The plugin and its guard."""

    def __init__(self, process: Process, subscriber: Subscriber, guard: list[int]) -> None:
        """Read its output while `reading` is set; `guard` is the process of its guard, if there is one."""
        super().__init__("plugin", process, subscriber)
        self.pids += guard
        self.values: dict[str, float] = {}
        self.emissions = 0
        self.reading = threading.Event()
        self.reading.set()
        threading.Thread(target=self._read, daemon=True).start()

    def emit(self) -> None:
        """Have it write the whole set, as Telegraf does with signal = "STDIN"."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def value(self, name: str) -> float:
        """Return a value (the sum over its tags) as it is now."""
        before = self.emissions
        self.emit()
        wait_for(lambda: self.emissions > before, "an emission")
        return self.values.get(name, 0.0)

    def _read(self) -> None:
        stamp = 0
        for line in self.process.reader:
            self.reading.wait()
            time, series = read_line(line.decode().rstrip("\n"))
            if time != stamp:
                batch, stamp = defaultdict[str, float](float), time
            for (name, _), number in series.items():
                batch[name] += number
            if "up" in batch:
                self.values = batch
            self.emissions += any(name == "up" for name, _ in series)


def running(node: Node, *command: str | Path) -> Process:
    """Return a process, not yet started, that finds nothing but what is installed."""
    without_checkout = {"PYTHONPATH": ""}
    return Process(command, node.path.parent, stdin=subprocess.PIPE, reads=True, environment=without_checkout)


@contextmanager
def echo(node: Node, *, busy: bool = False) -> Iterator[Subject]:
    """Run `echo`; a busy one takes a processor for itself, so only while it is measured."""
    options = ["busy"] if busy else []
    with running(node, sys.executable, "-I", "-S", HERE / "echo.py", node.path, *options) as process:
        yield Subject("busy echo" if busy else "echo", process, node.accepted())


@contextmanager
def pycapnp(node: Node) -> Iterator[Subject]:
    """Run `pycapnp`, subscribed."""
    with running(node, sys.executable, "-P", HERE / "pycapnp_subscriber.py", node.path) as process:
        subscriber = node.accepted()
        wait_for(lambda: len(subscriber.callbacks) == 2, "both subscriptions of pycapnp")
        time.sleep(QUIET_SECONDS)
        yield Subject("pycapnp", process, subscriber)


def standing_guard(node: Node) -> StandingGuard:
    """Return the installed plugin's standing guard, not yet started."""
    return StandingGuard(node.path, node.path.with_name("guard.sock"), node.path.parent)


@contextmanager
def plugin(
    node: Node, *options: str, spin: int | None = None, busy: bool = False, guard: StandingGuard | None = None
) -> Iterator[Plugin]:
    """Run the installed plugin, subscribed; changed where `spin` (in microseconds) or `busy` says so.

    With a standing `guard` it is behind that, else behind its own.
    """
    command: list[str | Path] = [PROGRAM]
    if spin is not None or busy:
        changes = [str(SPIN_MICROSECONDS if spin is None else spin), str(BUSY_SECONDS)]
        command = [sys.executable, "-P", HERE / "plugin.py", *changes]
    others = set(guard.relays) if guard else set()
    with running(node, *command, *options, guard.socket if guard else node.path) as process:
        subscriber = node.accepted()
        wait_for(lambda: {CHAIN, TRACE} <= subscriber.callbacks.keys(), "the plugin's subscriptions")
        time.sleep(QUIET_SECONDS)
        yield Plugin(process, subscriber, list(set(guard.relays) - others) if guard else children(process.pid))
