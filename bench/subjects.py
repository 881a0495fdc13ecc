"""What is measured, each in processes of its own, and what they use of the machine."""

import os
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.processes import children

from bench.driver import CHAIN, DEADLINE, TRACE, Failure, Node, Subscriber, wait_for

HERE: Final = Path(__file__).resolve().parent
PROGRAM: Final = Path(sysconfig.get_path("scripts")) / "telegraf-bitcoin-ipc"
"""The installed plugin."""

SPIN_MICROSECONDS: Final = 300
BUSY_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 0.3
KIB: Final = 1024


def processor_seconds(*pids: int) -> float:
    """Return what processes have used of the processors, all threads, user and system."""
    nanoseconds = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def wakes(pid: int) -> int:
    """Return how often a process's threads have gone to sleep, and so been woken."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count


def resident(pid: int) -> int:
    """Return the bytes that a process has in memory, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sleeps(pid: int) -> bool:
    """Say whether a process of one thread waits for something."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


class Subject:
    """A process that the node calls, and its connection."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], subscriber: Subscriber) -> None:
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

    def __init__(self, name: str, process: subprocess.Popen[bytes], subscriber: Subscriber) -> None:
        """Read what it writes, until told not to."""
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
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def value(self, name: str) -> float:
        """Return a value (the sum over its tags) as it is now."""
        before = self.emissions
        self.emit()
        wait_for(lambda: self.emissions > before, "an emission")
        return self.values.get(name, 0.0)

    def _read(self) -> None:
        assert self.process.stdout is not None
        batch: dict[str, float] = {}
        stamp = ""
        for line in self.process.stdout:
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
    command = [sys.executable, "-I", "-S", str(HERE / "echo.py"), str(node.path)]
    with _running(command) as process:
        yield Subject("echo", process, node.accepted())


@contextmanager
def pycapnp(node: Node) -> Iterator[Subject]:
    """Run `pycapnp`, subscribed."""
    with _running([sys.executable, "-P", str(HERE / "pycapnp_subscriber.py"), str(node.path)]) as process:
        subscriber = node.accepted()
        wait_for(lambda: len(subscriber.callbacks) == 2, "both subscriptions of pycapnp")
        time.sleep(QUIET_SECONDS)
        yield Subject("pycapnp", process, subscriber)


@contextmanager
def plugin(
    node: Node, *options: str, spin: int | None = None, busy: bool = False, traced: bool = True
) -> Iterator[Plugin]:
    """Run the installed plugin, subscribed; changed where `spin` (in microseconds) or `busy` says so."""
    command = [str(PROGRAM), *options, str(node.path)]
    if spin is not None or busy:
        changes = [str(SPIN_MICROSECONDS if spin is None else spin), str(BUSY_SECONDS)]
        command[:1] = [sys.executable, "-P", str(HERE / "plugin.py"), *changes]
    with _running(command) as process:
        subscriber = node.accepted()
        subject = Plugin("plugin", process, subscriber)
        wanted = {CHAIN, TRACE} if traced else {CHAIN}
        wait_for(lambda: wanted <= subscriber.callbacks.keys(), "the plugin's subscriptions")
        if "--no-guard" not in options:
            (subject.guard,) = children(process.pid)
        time.sleep(QUIET_SECONDS)
        yield subject


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if Path(command[0]) != PROGRAM and not any(part.endswith("plugin.py") for part in command):
            process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failure(f"no end of {command}") from None
