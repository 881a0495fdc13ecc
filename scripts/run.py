"""Run the plugin under a real Telegraf, on a simulated node or on a real one, until Ctrl-C; Prometheus if asked.

Standard library only. Run by `make run` and `make demo`, with the Python of the environment that holds the plugin.
Everything is written into one temporary directory, which is deleted at the end.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import CalledProcessError
from types import FrameType
from typing import TypeVar

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.nodes import PROGRAM, SimulatedNode
from support.processes import Failure, Process, get
from support.prometheus import Prometheus
from support.telegraf import Telegraf, configuration

ProcessT = TypeVar("ProcessT", bound=Process)

DEFAULT_ADDRESS = "127.0.0.1:9332"
DEMO_TIMELINE = ("--block-interval", "15", "--tx-rate", "5", "--reorg-every", "5")
DEMO_OPTIONS = ("--poll-interval", "2", "--emit-interval", "2")  # a person watches graphs of some minutes
SCRAPE_INTERVAL = "2s"
NODE_TIMELINE = ("--block-interval", "5", "--tx-rate", "5", "--reorg-every", "10")
FIRST_ANSWER_SECONDS = 60.0
PROGRESS_SECONDS = 5.0
PAUSE_SECONDS = 0.2
SAMPLES_SHOWN = 25
SOCKET_PATH_BYTES = 107  # sockaddr_un's, less the final zero


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

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: list[Process] = []

    def start(self, process: ProcessT) -> ProcessT:
        """Start one."""
        self._stack.callback(process.stop)
        process.start()
        self._started.append(process)
        return process

    def require_alive(self) -> None:
        """Raise Failure if one has ended."""
        for process in self._started:
            if not process.running:
                raise Failure(f"{process.name} has ended, which it should not have.\n{process.log}")

    def stop(self) -> None:
        """Stop all; raise Failure if one ended badly."""
        for process in reversed(self._started):
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


def samples_of(page: str | None) -> list[str] | None:
    """The plugin's sample lines on a page, or None without one."""
    return None if page is None else [line for line in page.splitlines() if line.startswith("bitcoin_")]


def tool(name: str, target: str) -> Path:
    """The Telegraf or Prometheus that make found or built, or else the one on the PATH."""
    variable = f"{name.upper()}_BINARY"
    program = os.environ.get(variable) or shutil.which(name)
    if not program:
        raise Failure(
            f"There is no {name.capitalize()}: start this with `make {target}`, which gets one, or set {variable}."
        )
    return Path(program)


def require_plugin() -> None:
    """Raise Failure without the installed plugin, and put it on the PATH, where Telegraf looks for it."""
    if not PROGRAM.exists():
        raise Failure("telegraf-bitcoin-ipc is not installed here: start this with `make run`, which installs it.")
    os.environ["PATH"] = f"{PROGRAM.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def telegraf_configuration(address: str, node_socket: Path, options: Sequence[str]) -> str:
    """The output of `telegraf-bitcoin-ipc config`."""
    try:
        return configuration(node_socket, address, *options)
    except CalledProcessError as error:
        raise Failure(f"`telegraf-bitcoin-ipc config` failed:\n{error.stderr.strip()}") from error


def start_simulated_node(processes: Processes, directory: Path, timeline: Sequence[str]) -> Path:
    """Start the simulated node, wait until it listens, and return its socket."""
    node_socket = directory / "node.sock"
    if len(os.fsencode(node_socket)) > SOCKET_PATH_BYTES:
        raise Failure(f"A socket's path may not be as long as {node_socket}: set TMPDIR to a shorter one.")
    say(f"Starting a simulated node on {node_socket}.")
    processes.start(SimulatedNode(node_socket, directory, *timeline, script=False))
    return node_socket


def is_socket(path: Path) -> bool:
    """Whether there is a Unix socket at that path."""
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def describe_real_node(node_socket: Path) -> None:
    """Print which node is watched; raise Failure if it cannot be watched."""
    say(f"Watching the node on {node_socket}.")
    try:
        node_socket.stat()
    except PermissionError as error:
        raise Failure(f"{node_socket} cannot be reached by this user: {error.strerror}.") from error
    except OSError:
        wait = f"{FIRST_ANSWER_SECONDS:.0f} s"
        say(f"There is no such socket yet: the plugin waits for it, and this script for {wait}.")
        return
    if not is_socket(node_socket):
        raise Failure(f"{node_socket} is no socket. A node makes one when it is started with -ipcbind=unix.")


def first_samples(endpoint: Endpoint, telegraf: Telegraf, stop: StopRequest) -> list[str]:
    """Wait until the page says that the node answers (`bitcoin_up 1`); return its samples."""
    say(f"Metrics: {endpoint.url}/metrics")
    began = said = time.monotonic()

    def up() -> list[str] | None:
        nonlocal said
        stop.check()
        samples = samples_of(get(f"{endpoint.url}/metrics"))
        if samples and any(re.match(r"bitcoin_up(\{.*\})? 1$", line) for line in samples):
            return samples
        if (now := time.monotonic()) - said > PROGRESS_SECONDS:
            said = now
            state = "no answer yet" if samples is None else "Telegraf answers, but the node is not up"
            say(f"Waiting for the first metrics ({now - began:.0f} s of {FIRST_ANSWER_SECONDS:.0f}): {state}.")
        return None

    return telegraf.wait_until(up, f"bitcoin_up 1 at {endpoint.url}/metrics", FIRST_ANSWER_SECONDS) or []


def show(samples: list[str]) -> None:
    """Print the first samples."""
    say("")
    for line in samples[:SAMPLES_SHOWN]:
        say(f"    {line}")
    if len(samples) > SAMPLES_SHOWN:
        say(f"    ... and {len(samples) - SAMPLES_SHOWN} more")
    say("")


def start_prometheus(
    processes: Processes, binary: Path, directory: Path, metrics: Endpoint, endpoint: Endpoint, stop: StopRequest
) -> None:
    """Start Prometheus, and wait until it has scraped Telegraf's page."""
    say(f"Starting Prometheus on {endpoint.address}.")
    pages = os.environ.get("PROMETHEUS_PAGES")
    prometheus = Prometheus(
        binary,
        metrics.target,
        directory,
        *([f"--web.local-assets={pages}"] if pages else []),
        scrape_interval=SCRAPE_INTERVAL,
        address=endpoint.target,
        listen=endpoint.address,
    )
    processes.start(prometheus)

    def scraped() -> bool:
        stop.check()
        return bool(prometheus.query("bitcoin_up"))

    prometheus.wait_until(scraped, "bitcoin_up in Prometheus", FIRST_ANSWER_SECONDS)


def run(arguments: argparse.Namespace, directory: Path, stop: StopRequest, processes: Processes) -> None:
    """Start everything, print the first metrics, and run until a signal; with --once, stop then."""
    endpoint = Endpoint(arguments.address, "Telegraf", "address")
    endpoint.require_free()
    prometheus, timeline = None, NODE_TIMELINE
    options: Sequence[str] = ()
    if arguments.prometheus is not None:
        prometheus = Endpoint(arguments.prometheus, "Prometheus", "prometheus")
        prometheus.require_free()
        prometheus_binary = tool("prometheus", "demo")
        timeline, options = DEMO_TIMELINE, DEMO_OPTIONS
    require_plugin()
    telegraf_binary = tool("telegraf", "run")
    if arguments.socket is None:
        node_socket = start_simulated_node(processes, directory, timeline)
    else:
        node_socket = arguments.socket.absolute()
        describe_real_node(node_socket)
    say("Starting Telegraf.")
    text = telegraf_configuration(arguments.address, node_socket, options)
    telegraf = processes.start(Telegraf(telegraf_binary, text, directory))
    show(first_samples(endpoint, telegraf, stop))
    if prometheus is not None:
        start_prometheus(processes, prometheus_binary, directory, endpoint, prometheus, stop)
    say(f"Everything runs. Configuration and logs: {directory}  Stop: Ctrl-C")
    say(f"  node        {node_socket}   (try: {PROGRAM} top {node_socket})")
    say(f"  metrics     {endpoint.url}/metrics")
    if prometheus is not None:
        say(f"  Prometheus  {prometheus.url}/graph")
    while not arguments.once:
        processes.require_alive()
        stop.check()
        time.sleep(PAUSE_SECONDS)


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory that is deleted at the end of its `with` block."""
    try:
        return tempfile.TemporaryDirectory(prefix="telegraf-bitcoin-ipc-")
    except OSError as error:
        raise Failure(f"No temporary directory can be made: {error}. Set TMPDIR to one that exists.") from error


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="run.py", description="Run the plugin under Telegraf, on a simulated node or on a real one."
    )
    parser.add_argument(
        "--socket", type=Path, metavar="PATH", help="a real node's IPC socket (default: simulate a node)"
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        default=DEFAULT_ADDRESS,
        help="address of the metrics page (default: %(default)s)",
    )
    parser.add_argument("--prometheus", metavar="HOST:PORT", help="also run Prometheus, on this address")
    parser.add_argument("--once", action="store_true", help="stop as soon as everything runs")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 after Ctrl-C, SIGTERM or --once, 1 after a failure."""
    parsed = parse(arguments)
    stop = StopRequest()
    try:
        with temporary_directory() as directory, ExitStack() as stack:
            processes = Processes(stack)
            with suppress(Stopped):
                run(parsed, Path(directory), stop, processes)
            processes.stop()
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr, flush=True)
        return 1
    if stop.requested:
        say("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
