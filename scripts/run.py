"""Run the plugin under a real Telegraf, on simulated nodes or on a real one, until Ctrl-C; Prometheus if asked.

Standard library only. Run by `make run` and `make demo`, with the Python of the environment that holds the plugin.
Everything is written into one temporary directory, which is deleted at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from subprocess import CalledProcessError
from typing import NamedTuple

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "tests")]

from running import DEFAULT_ADDRESS, Endpoint, Processes, Stopped, StopRequest, say, tool
from support.nodes import PROGRAM, SimulatedNode
from support.processes import Failure, get
from support.prometheus import Prometheus
from support.telegraf import Telegraf, configuration

DEMO_TIMELINE = ("--block-interval", "15", "--tx-rate", "5", "--reorg-every", "5")
DEMO_OPTIONS = ("--poll-interval", "2", "--emit-interval", "2")  # a person watches graphs of some minutes
SCRAPE_INTERVAL = "2s"
NODE_TIMELINE = ("--block-interval", "5", "--tx-rate", "5", "--reorg-every", "10")
FALL_SECONDS = 60.0
DOWN_SHARE = 1 / 3  # of the time between two falls
FIRST_ANSWER_SECONDS = 60.0
PROGRESS_SECONDS = 5.0
PAUSE_SECONDS = 0.2
SAMPLES_SHOWN = 25
SOCKET_PATH_BYTES = 107  # sockaddr_un's, less the final zero

DIALECT_OF = {
    "alpha": "tracing",
    "beta": "stock-chain",
    "gamma": "stock",
    "delta": "stock-31",
    "epsilon": "chain",
    "zeta": "stock-30",
}
"""Several simulated nodes by their tag `node`, in the order in which they are taken: each of another kind."""


class Watched(NamedTuple):
    """A node that a plugin watches: what the last lines call it, the plugin's options for it, and its process."""

    socket: Path
    label: str = "node"
    options: tuple[str, ...] = ()
    process: SimulatedNode | None = None


def simulated_nodes(processes: Processes, directory: Path, count: int, timeline: Sequence[str]) -> list[Watched]:
    """Start `count` simulated nodes, each of another kind, and wait until they listen; a single one is unnamed."""
    if count == 1:
        return [Watched(directory / "node.sock", process=simulated(processes, directory, "simnode", timeline))]
    nodes = []
    for name, dialect in islice(DIALECT_OF.items(), count):
        node = simulated(processes, directory, name, ["--dialect", dialect, *timeline])
        nodes.append(Watched(node.socket, f"{name} ({dialect})", ("--tag", f"node={name}"), node))
    return nodes


def simulated(processes: Processes, directory: Path, name: str, options: Sequence[str]) -> SimulatedNode:
    """Start a simulated node."""
    path = directory / ("node.sock" if name == "simnode" else f"{name}.sock")
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise Failure(f"A socket's path may not be as long as {path}: set TMPDIR to a shorter one.")
    say(f"Starting a simulated node on {path}.")
    return processes.start(SimulatedNode(path, directory, *options, script=False, name=name))


def real_node(node_socket: Path) -> Watched:
    """Print which real node is watched; raise Failure if it cannot be watched."""
    say(f"Watching the node on {node_socket}.")
    try:
        node_socket.stat()
    except PermissionError as error:
        raise Failure(f"{node_socket} cannot be reached by this user: {error.strerror}.") from error
    except OSError:
        wait = f"{FIRST_ANSWER_SECONDS:.0f} s"
        say(f"There is no such socket yet: the plugin waits for it, and this script for {wait}.")
    else:
        if not node_socket.is_socket():
            raise Failure(f"{node_socket} is no socket. A node makes one when it is started with -ipcbind=unix.")
    return Watched(node_socket)


def require_plugin() -> None:
    """Raise Failure without the installed plugin, and put it on the PATH, where Telegraf looks for it."""
    if not PROGRAM.exists():
        raise Failure("telegraf-bitcoin-ipc is not installed here: start this with `make run`, which installs it.")
    os.environ["PATH"] = f"{PROGRAM.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def telegraf_configuration(address: str, nodes: Sequence[Watched], options: Sequence[str]) -> str:
    """What `telegraf-bitcoin-ipc config` prints for the first node, with the plugins of the others as well."""
    try:
        first, *others = [configuration(node.socket, address, *options, *node.options) for node in nodes]
    except CalledProcessError as error:
        raise Failure(f"`telegraf-bitcoin-ipc config` failed:\n{error.stderr.strip()}") from error
    return "\n".join([first, *(text[text.index("[[inputs.") : text.index("[[outputs.")] for text in others)])


def first_samples(endpoint: Endpoint, telegraf: Telegraf, nodes: int, stop: StopRequest) -> list[str]:
    """Wait until `bitcoin_up 1` is on the page for that number of nodes; return the page's samples."""
    say(f"Metrics: {endpoint.url}/metrics")
    began = said = time.monotonic()

    def up() -> list[str] | None:
        nonlocal said
        stop.check()
        page = get(f"{endpoint.url}/metrics")
        samples = [line for line in (page or "").splitlines() if line.startswith("bitcoin_")]
        if sum(re.match(r"bitcoin_up(\{.*\})? 1$", line) is not None for line in samples) == nodes:
            return samples
        if (now := time.monotonic()) - said > PROGRESS_SECONDS:
            said = now
            who = "the node is not" if nodes == 1 else "not all nodes are"
            state = "no answer yet" if page is None else f"Telegraf answers, but {who} up"
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
    processes: Processes, binary: Path, directory: Path, metrics: Endpoint, endpoint: Endpoint, nodes: int
) -> None:
    """Start Prometheus, and wait until it has scraped that number of nodes."""
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
        processes.stop_request.check()
        return len(prometheus.query("bitcoin_up")) == nodes

    prometheus.wait_until(scraped, "bitcoin_up in Prometheus", FIRST_ANSWER_SECONDS)


def run(arguments: argparse.Namespace, directory: Path, processes: Processes) -> None:
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
        nodes = simulated_nodes(processes, directory, arguments.nodes, timeline)
    else:
        nodes = [real_node(arguments.socket.absolute())]
    say("Starting Telegraf.")
    text = telegraf_configuration(arguments.address, nodes, options)
    telegraf = processes.start(Telegraf(telegraf_binary, text, directory))
    show(first_samples(endpoint, telegraf, len(nodes), processes.stop_request))
    if prometheus is not None:
        start_prometheus(processes, prometheus_binary, directory, endpoint, prometheus, len(nodes))
    say(f"Everything runs. Configuration and logs: {directory}  Stop: Ctrl-C")
    width = max(10, *(len(node.label) for node in nodes))
    for node in nodes:
        say(f"  {node.label:{width}}  {node.socket}   (try: {PROGRAM} top {node.socket})")
    say(f"  {'metrics':{width}}  {endpoint.url}/metrics")
    if prometheus is not None:
        say(f"  {'Prometheus':{width}}  {prometheus.url}/graph")
    if not arguments.once:
        live(nodes, arguments.fall_every, processes)


def live(nodes: Sequence[Watched], every: float, processes: Processes) -> None:
    """Go on until a signal; the last of several nodes is killed and started again meanwhile, over and over."""
    falling = nodes[-1].process if len(nodes) > 1 else None
    down = every * DOWN_SHARE
    due = time.monotonic() + every - down
    if falling:
        say(f"Node {falling.name} goes down every {every:g} s, and comes back {down:g} s later.")
    while True:
        processes.require_alive()
        processes.stop_request.check()
        if falling and time.monotonic() >= due:
            now = time.strftime("%H:%M:%S")
            if falling.running:
                say(f"{now} Node {falling.name} goes down.")
                processes.down.add(falling)
                falling.kill()
                due = time.monotonic() + down
            else:
                falling.start()
                processes.down.remove(falling)
                say(f"{now} Node {falling.name} is back.")
                due = time.monotonic() + every - down
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
    parser.add_argument(
        "--nodes",
        type=int,
        choices=range(1, len(DIALECT_OF) + 1),
        metavar="N",
        default=1,
        help=f"simulate N nodes of different kinds, up to {len(DIALECT_OF)} (default: %(default)s); "
        "the last of several goes down and comes back",
    )
    parser.add_argument(
        "--fall-every",
        type=float,
        metavar="S",
        default=FALL_SECONDS,
        help="seconds between two outages of that node (default: %(default)g)",
    )
    parser.add_argument("--once", action="store_true", help="stop as soon as everything runs")
    parsed = parser.parse_args(arguments)
    if parsed.socket is not None and parsed.nodes > 1:
        parser.error("--nodes is for simulated nodes: it cannot be combined with --socket")
    if not parsed.fall_every > 0:
        parser.error("--fall-every: must be positive")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 after Ctrl-C, SIGTERM or --once, 1 after a failure."""
    parsed = parse(arguments)
    stop = StopRequest()
    try:
        with temporary_directory() as directory, ExitStack() as stack:
            processes = Processes(stack, stop)
            with suppress(Stopped):
                run(parsed, Path(directory), processes)
            processes.stop()
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr, flush=True)
        return 1
    if stop.requested:
        say("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
