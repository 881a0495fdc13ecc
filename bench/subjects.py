"""The subjects of the measurements, each in its own processes, and the resources that they use."""

import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.processes import Process, children, state

from bench.driver import CHAIN, TRACE, Node, Subscriber, wait_for

HERE: Final = Path(__file__).resolve().parent
PROGRAM: Final = Path(sysconfig.get_path("scripts")) / "telegraf-bitcoin-ipc"
"""The installed plugin."""

SPIN_MICROSECONDS: Final = 300
BUSY_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 0.3


def processor_seconds(*pids: int) -> float:
    """Return what processes have used of the processors, all threads, user and system."""
    nanoseconds = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def wakes(pid: int) -> int:
    """Return how often a process's threads have slept, and so been woken."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count


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

    @property
    def pids(self) -> list[int]:
        """The processes that do its work."""
        return [self.process.pid]


class Plugin(Subject):
    """The plugin and its guard."""

    def __init__(self, name: str, process: Process, subscriber: Subscriber) -> None:
        """Read its output while `reading` is set."""
        super().__init__(name, process, subscriber)
        self.guard = 0
        self.values: dict[str, float] = {}
        self.emissions = 0
        self.reading = threading.Event()
        self.reading.set()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pids(self) -> list[int]:
        """The plugin and the guard."""
        return [self.process.pid, self.guard]

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
        batch: dict[str, float] = {}
        stamp = ""
        for line in self.process.reader:
            self.reading.wait()
            _, fields, time_text = line.decode().rstrip("\n").split(" ")
            if time_text != stamp:
                stamp, batch = time_text, {}
            for field in fields.split(","):
                name, _, text = field.partition("=")
                batch[name] = batch.get(name, 0.0) + float(text.removesuffix("i"))
            if "up" in batch:
                self.values = batch
            if fields.startswith("up=") or ",up=" in fields or "up=" in fields.split(",")[0]:
                self.emissions += 1


@contextmanager
def echo(node: Node) -> Iterator[Subject]:
    """Run `echo`."""
    with running(node, sys.executable, "-I", "-S", HERE / "echo.py", node.path) as process:
        yield Subject("echo", process, node.accepted())


@contextmanager
def busy_echo(node: Node) -> Iterator[Subject]:
    """Run `echo` without a pause: it takes a processor for itself, so only while it is measured."""
    with running(node, sys.executable, "-I", "-S", HERE / "echo.py", node.path, "busy") as process:
        yield Subject("busy echo", process, node.accepted())


@contextmanager
def pycapnp(node: Node) -> Iterator[Subject]:
    """Run `pycapnp`, subscribed."""
    with running(node, sys.executable, "-P", HERE / "pycapnp_subscriber.py", node.path) as process:
        subscriber = node.accepted()
        wait_for(lambda: len(subscriber.callbacks) == 2, "both subscriptions of pycapnp")
        time.sleep(QUIET_SECONDS)
        yield Subject("pycapnp", process, subscriber)


class StandingGuard:
    """A standing guard, and where it listens."""

    def __init__(self, process: Process, path: Path) -> None:
        """Hold one that runs."""
        self.process = process
        self.path = path

    @property
    def relays(self) -> list[int]:
        """The processes that each serve a client, the last one last."""
        return sorted(children(self.process.pid))

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return [self.process.pid, *self.relays]


@contextmanager
def standing_guard(node: Node) -> Iterator[StandingGuard]:
    """Run the installed plugin's standing guard."""
    path = node.path.with_name("guard.sock")
    with running(node, PROGRAM, "guard", "--listen", path, node.path) as process:
        wait_for(path.exists, "a standing guard")
        yield StandingGuard(process, path)


@contextmanager
def plugin(
    node: Node,
    *options: str,
    spin: int | None = None,
    busy: bool = False,
    traced: bool = True,
    guard: StandingGuard | None = None,
) -> Iterator[Plugin]:
    """Run the installed plugin, subscribed; changed where `spin` (in microseconds) or `busy` says so.

    With a standing `guard` it is behind that, else behind its own.
    """
    command: list[str | Path] = [PROGRAM]
    if spin is not None or busy:
        changes = [str(SPIN_MICROSECONDS if spin is None else spin), str(BUSY_SECONDS)]
        command = [sys.executable, "-P", HERE / "plugin.py", *changes]
    others = [] if guard is None else guard.relays
    with running(node, *command, *options, node.path if guard is None else guard.path) as process:
        subscriber = node.accepted()
        subject = Plugin("plugin", process, subscriber)
        wanted = {CHAIN, TRACE} if traced else {CHAIN}
        wait_for(lambda: wanted <= subscriber.callbacks.keys(), "the plugin's subscriptions")
        if guard is not None:
            (subject.guard,) = set(guard.relays) - set(others)
        elif "--no-guard" not in options:
            (subject.guard,) = children(process.pid)
        time.sleep(QUIET_SECONDS)
        yield subject


def running(node: Node, *command: str | Path) -> Process:
    """Return a process, not yet started, that finds nothing but what is installed."""
    without_checkout = {"PYTHONPATH": ""}
    return Process(command, node.path.parent, stdin=subprocess.PIPE, reads=True, environment=without_checkout)
