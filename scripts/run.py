"""Run the plugin under a real Telegraf, on a simulated node or on a real one, until Ctrl-C; Prometheus if asked.

Standard library only. Run by `make run` and `make demo`, with the Python of the environment that holds the plugin.
Everything is written into one temporary directory, which goes at the end, as do the processes.
"""

from __future__ import annotations

import argparse
import errno
import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType

DEFAULT_ADDRESS = "127.0.0.1:9332"
DEMO_TIMELINE = ("--block-interval", "15", "--tx-rate", "5", "--reorg-every", "5")
DEMO_OPTIONS = ("--poll-interval", "2", "--emit-interval", "2")  # somebody looks at graphs of some minutes
SCRAPE_INTERVAL = "2s"
NODE_TIMELINE = ("--block-interval", "5", "--tx-rate", "5", "--reorg-every", "10")
FIRST_ANSWER_SECONDS = 60.0
NODE_START_SECONDS = 60.0
PATIENCE_SECONDS = "10"  # of the simulated node at its stop: a busy machine is no fault of the plugin's
STOP_SECONDS = 15.0  # Telegraf gives a plugin two times 5 s to end
PROGRESS_SECONDS = 5.0
SAMPLES_SHOWN = 25
LOG_LINES_SHOWN = 20
SOCKET_PATH_BYTES = 107  # sockaddr_un's, less the final zero


class Failure(Exception):
    """A sentence for the user; ends the run with exit status 1."""


class Stopped(Exception):
    """A signal asked for the end while something was being waited for."""


def say(text: str) -> None:
    """Print at once, into a pipe too; a reader who has gone does not matter."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class StopRequest:
    """Notes SIGINT, SIGTERM and SIGHUP; whoever waits asks it. No signal interrupts the cleaning up."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def pause(self) -> None:
        """Wait a moment; raise Stopped once a stop was asked for."""
        if not self.requested:
            time.sleep(0.2)
        if self.requested:
            raise Stopped


class Process:
    """One process that was started here, with stdout and stderr in one log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        try:
            with log.open("wb") as output:
                # A process group of its own: a Ctrl-C reaches this program alone, which then keeps the order.
                self._popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
        except OSError as error:
            raise Failure(f"{name} could not be started: {command[0]}: {error.strerror}") from error

    def require_alive(self) -> None:
        """Raise Failure, with the end of the log, if the process has ended."""
        status = self._popen.poll()
        if status is not None:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
            raise Failure(f"{self.name} {how}, which it should not have.\n{self.last_log_lines()}")

    def last_log_lines(self) -> str:
        """The end of the log, indented, under a heading."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join(
            [f"The last lines of the log of {self.name}:", *(f"    {line}" for line in lines or ["(empty)"])]
        )

    def stop(self) -> str | None:
        """End the process by SIGTERM, or else SIGKILL; return a complaint if it ended badly."""
        if self._popen.poll() is None:
            say(f"Stopping {self.name}.")
            self._popen.terminate()
        try:
            status = self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
            return f"{self.name} did not end within {STOP_SECONDS:.0f} s of SIGTERM, and was killed."
        if status not in (0, -signal.SIGTERM):
            return f"{self.name} ended badly, with exit status {status}.\n{self.last_log_lines()}"
        return None


class Processes:
    """The processes that were started, stopped in the reverse order: what reads before what is read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        complaints = [process.stop() for process in reversed(self._started)]
        if kind is None or issubclass(kind, Stopped):  # a failure on the way has said enough
            said = [complaint for complaint in complaints if complaint is not None]
            if said:
                raise Failure("\n".join(said))

    def start(self, name: str, command: Sequence[str], log: str) -> Process:
        """Start one; its log goes to the file `log` in the temporary directory."""
        process = Process(name, command, self._directory / log)
        self._started.append(process)
        return process

    def require_alive(self) -> None:
        """Raise Failure if one has ended."""
        for process in self._started:
            process.require_alive()

    def last_log_lines(self) -> str:
        """The end of each log."""
        return "\n".join(process.last_log_lines() for process in self._started)


class Endpoint:
    """Where a server listens; complaints name the `server`, the option `--name`, and make's variable `NAME`."""

    def __init__(self, address: str, server: str, name: str) -> None:
        host, separator, port = address.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise Failure(f"--{name} has to be HOST:PORT, such as {DEFAULT_ADDRESS}, and is '{address}'.")
        self.address = address
        self._server = server
        self._name = name
        self._host = host.removeprefix("[").removesuffix("]")
        self._port = int(port)
        reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        self.target = f"{f'[{reachable}]' if ':' in reachable else reachable}:{port}"
        self.url = f"http://{self.target}"
        # The environment's proxy is not meant for this machine's own addresses.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

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

    def get(self, path: str) -> str | None:
        """The page at a path, or None while nobody answers there as it should."""
        try:
            with self._opener.open(f"{self.url}{path}", timeout=5) as response:
                page: str = response.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        return page


def samples_of(page: str | None) -> list[str] | None:
    """The plugin's sample lines on a page, or None without one."""
    return None if page is None else [line for line in page.splitlines() if line.startswith("bitcoin_")]


def telegraf_program() -> str:
    """The Telegraf that make found or built, or the one on the PATH."""
    program = os.environ.get("TELEGRAF_BINARY") or shutil.which("telegraf")
    if not program:
        raise Failure("There is no Telegraf: start this with `make run`, which gets one, or set TELEGRAF_BINARY.")
    return program


def plugin_program() -> str:
    """The console script beside this Python, or else the one on the PATH."""
    beside = Path(sys.executable).parent / "telegraf-bitcoin-ipc"
    program = str(beside) if beside.exists() else shutil.which("telegraf-bitcoin-ipc")
    if not program:
        raise Failure("telegraf-bitcoin-ipc is not installed here: start this with `make run`, which installs it.")
    # Telegraf has to find it too, should the configuration name it without a path.
    os.environ["PATH"] = f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return program


def prometheus_program() -> str:
    """The Prometheus that make found or unpacked, or the one on the PATH."""
    program = os.environ.get("PROMETHEUS_BINARY") or shutil.which("prometheus")
    if not program:
        raise Failure(
            "There is no Prometheus: start this with `make demo`, which gets one, or set PROMETHEUS_BINARY."
        )
    return program


def telegraf_configuration(plugin: str, address: str, node_socket: Path, options: Sequence[str]) -> str:
    """What `telegraf-bitcoin-ipc config` prints."""
    command = [plugin, "config", "--metrics-addr", address, *options, str(node_socket)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"The Telegraf configuration could not be had: {error}") from error
    if done.returncode != 0:
        raise Failure(
            f"`telegraf-bitcoin-ipc config` ended with exit status {done.returncode}:\n{done.stderr.strip()}"
        )
    return done.stdout


def is_socket(path: Path) -> bool:
    """Whether there is a Unix socket at that path."""
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def start_simulated_node(
    processes: Processes, plugin: str, node_socket: Path, timeline: Sequence[str], stop: StopRequest
) -> None:
    """Start the simulated node and wait until it listens."""
    if len(os.fsencode(node_socket)) > SOCKET_PATH_BYTES:
        raise Failure(f"A socket's path may not be as long as {node_socket}: set TMPDIR to a shorter one.")
    say(f"Starting a simulated node on {node_socket}.")
    options = ["--patience", PATIENCE_SECONDS, *timeline]
    node = processes.start("the simulated node", [plugin, "simulate", *options, str(node_socket)], "node.log")
    deadline = time.monotonic() + NODE_START_SECONDS
    while not is_socket(node_socket):
        node.require_alive()
        if time.monotonic() > deadline:
            raise Failure(
                f"The simulated node made no socket in {NODE_START_SECONDS:.0f} s.\n{node.last_log_lines()}"
            )
        stop.pause()


def describe_real_node(node_socket: Path) -> None:
    """Say which node is watched; raise Failure if that can never work."""
    say(f"Watching the node on {node_socket}.")
    try:
        node_socket.stat()
    except PermissionError as error:
        raise Failure(f"{node_socket} cannot be reached by this user: {error.strerror}.") from error
    except OSError:
        wait = f"{FIRST_ANSWER_SECONDS:.0f} s"
        say(f"There is nothing at that path yet: the plugin waits for it, and this for {wait}.")
        return
    if not is_socket(node_socket):
        raise Failure(f"{node_socket} is no socket. A node makes one when it is started with -ipcbind=unix.")


def first_samples(endpoint: Endpoint, processes: Processes, stop: StopRequest) -> list[str]:
    """Wait until the page says that the node answers (`bitcoin_up 1`); return its samples."""
    say(f"Metrics: {endpoint.url}/metrics")
    started = time.monotonic()
    said = started
    while True:
        processes.require_alive()
        samples = samples_of(endpoint.get("/metrics"))
        if samples and any(re.match(r"bitcoin_up(\{.*\})? 1$", line) for line in samples):
            return samples
        now = time.monotonic()
        if samples is None:
            state = "no answer yet"
        elif samples:
            state = "it answers, and the node is not up"
        else:
            state = "it answers, without the plugin's metrics"
        if now - started > FIRST_ANSWER_SECONDS:
            raise Failure(
                f"No bitcoin_up 1 at {endpoint.url}/metrics in {FIRST_ANSWER_SECONDS:.0f} s: {state}.\n"
                f"{processes.last_log_lines()}"
            )
        if now - said > PROGRESS_SECONDS:
            said = now
            waited = f"{now - started:.0f} s of {FIRST_ANSWER_SECONDS:.0f}"
            say(f"Waiting for the first metrics ({waited}): {state}.")
        stop.pause()


def show(samples: list[str]) -> None:
    """Print the first samples."""
    say("")
    for line in samples[:SAMPLES_SHOWN]:
        say(f"    {line}")
    if len(samples) > SAMPLES_SHOWN:
        say(f"    ... and {len(samples) - SAMPLES_SHOWN} more")
    say("")


def start_prometheus(
    processes: Processes, program: str, directory: Path, metrics: Endpoint, prometheus: Endpoint, stop: StopRequest
) -> None:
    """Start Prometheus on what Telegraf shows, and wait until it has scraped it."""
    say(f"Starting Prometheus on {prometheus.address}.")
    configuration = directory / "prometheus.yml"
    times = {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": SCRAPE_INTERVAL}
    job = {"job_name": "bitcoin", "static_configs": [{"targets": [metrics.target]}]}
    configuration.write_text(json.dumps({"global": times, "scrape_configs": [job]}))  # JSON is YAML
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={prometheus.address}",
    ]
    if pages := os.environ.get("PROMETHEUS_PAGES"):
        command.append(f"--web.local-assets={pages}")
    server = processes.start("Prometheus", command, "prometheus.log")
    deadline = time.monotonic() + FIRST_ANSWER_SECONDS
    while '"value"' not in (prometheus.get("/api/v1/query?query=bitcoin_up") or ""):
        processes.require_alive()
        if time.monotonic() > deadline:
            raise Failure(
                f"Prometheus had no bitcoin_up in {FIRST_ANSWER_SECONDS:.0f} s.\n{server.last_log_lines()}"
            )
        stop.pause()


def run(arguments: argparse.Namespace, directory: Path, stop: StopRequest) -> None:
    """Start everything, show the first metrics, and go on until a signal (or not, with --once)."""
    endpoint = Endpoint(arguments.address, "Telegraf", "address")
    endpoint.require_free()
    prometheus, timeline = None, NODE_TIMELINE
    options: Sequence[str] = ()
    if arguments.prometheus is not None:
        prometheus = Endpoint(arguments.prometheus, "Prometheus", "prometheus")
        prometheus.require_free()
        prometheus_binary = prometheus_program()
        timeline, options = DEMO_TIMELINE, DEMO_OPTIONS
    plugin = plugin_program()
    telegraf = telegraf_program()
    with Processes(directory) as processes:
        if arguments.socket is None:
            node_socket = directory / "node.sock"
            start_simulated_node(processes, plugin, node_socket, timeline, stop)
        else:
            node_socket = arguments.socket.absolute()
            describe_real_node(node_socket)
        configuration = directory / "telegraf.conf"
        configuration.write_text(telegraf_configuration(plugin, arguments.address, node_socket, options))
        say(f"Starting Telegraf with {configuration}.")
        processes.start("Telegraf", [telegraf, "--config", str(configuration)], "telegraf.log")
        show(first_samples(endpoint, processes, stop))
        if prometheus is not None:
            start_prometheus(processes, prometheus_binary, directory, endpoint, prometheus, stop)
        say(f"Everything runs. Logs: {directory}/*.log  Stop: Ctrl-C")
        say(f"  node        {node_socket}   (try: {plugin} top {node_socket})")
        say(f"  metrics     {endpoint.url}/metrics")
        if prometheus is not None:
            say(f"  Prometheus  {prometheus.url}/graph")
        if arguments.once:
            return
        while True:
            processes.require_alive()
            stop.pause()


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory that goes with its `with` block."""
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
        help="serve the metrics there (default: %(default)s)",
    )
    parser.add_argument("--prometheus", metavar="HOST:PORT", help="run Prometheus, too, and have it listen there")
    parser.add_argument("--once", action="store_true", help="stop as soon as everything runs")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 after Ctrl-C, SIGTERM or --once, 1 after a failure."""
    parsed = parse(arguments)
    stop = StopRequest()
    try:
        with temporary_directory() as directory:
            run(parsed, Path(directory), stop)
    except Stopped:
        say("Stopped.")
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
