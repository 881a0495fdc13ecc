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
from pathlib import Path
from subprocess import CalledProcessError

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "tests")]

from run_nodes import DIALECT_OF, FIRST_ANSWER_SECONDS, FallingNode, Watched, real_node, start_simulated_nodes
from running import DEFAULT_ADDRESS, Endpoint, Processes, Stopped, StopRequest, say, tool
from support.nodes import PROGRAM
from support.processes import Failure, get
from support.prometheus import Prometheus
from support.telegraf import Telegraf, configuration

DEMO_TIMELINE = ("--block-interval", "15", "--tx-rate", "5", "--reorg-every", "5")
DEMO_OPTIONS = ("--poll-interval", "2", "--emit-interval", "2")  # a person watches graphs of some minutes
SCRAPE_INTERVAL = "2s"
NODE_TIMELINE = ("--block-interval", "5", "--tx-rate", "5", "--reorg-every", "10")
FALL_SECONDS = 60.0
PROGRESS_SECONDS = 5.0
PAUSE_SECONDS = 0.2
SAMPLES_SHOWN = 25


def samples_of(page: str | None) -> list[str] | None:
    """The plugin's sample lines on a page, or None without one."""
    return None if page is None else [line for line in page.splitlines() if line.startswith("bitcoin_")]


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
        samples = samples_of(get(f"{endpoint.url}/metrics"))
        if samples and sum(re.match(r"bitcoin_up(\{.*\})? 1$", line) is not None for line in samples) == nodes:
            return samples
        if (now := time.monotonic()) - said > PROGRESS_SECONDS:
            said = now
            who = "the node is not" if nodes == 1 else "not all nodes are"
            state = "no answer yet" if samples is None else f"Telegraf answers, but {who} up"
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
    processes: Processes, binary: Path, directory: Path, metrics: Endpoint, endpoint: Endpoint
) -> Prometheus:
    """Start Prometheus."""
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
    return processes.start(prometheus)


def wait_until_scraped(prometheus: Prometheus, nodes: int, stop: StopRequest) -> None:
    """Wait until Prometheus has scraped that number of nodes."""

    def scraped() -> bool:
        stop.check()
        return len(prometheus.query("bitcoin_up")) == nodes

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
        nodes = start_simulated_nodes(processes, directory, arguments.nodes, timeline)
    else:
        nodes = [real_node(arguments.socket.absolute())]
    say("Starting Telegraf.")
    text = telegraf_configuration(arguments.address, nodes, options)
    telegraf = processes.start(Telegraf(telegraf_binary, text, directory))
    show(first_samples(endpoint, telegraf, len(nodes), stop))
    if prometheus is not None:
        server = start_prometheus(processes, prometheus_binary, directory, endpoint, prometheus)
        wait_until_scraped(server, len(nodes), stop)
    say(f"Everything runs. Configuration and logs: {directory}  Stop: Ctrl-C")
    width = max(10, *(len(node.label) for node in nodes))
    for node in nodes:
        say(f"  {node.label:{width}}  {node.socket}   (try: {PROGRAM} top {node.socket})")
    say(f"  {'metrics':{width}}  {endpoint.url}/metrics")
    if prometheus is not None:
        say(f"  {'Prometheus':{width}}  {prometheus.url}/graph")
    if not arguments.once:
        live(nodes, arguments.fall_every, processes, stop)


def live(nodes: Sequence[Watched], fall_every: float, processes: Processes, stop: StopRequest) -> None:
    """Go on until a signal; meanwhile the last of several nodes goes down and comes back."""
    last = nodes[-1].process
    falling = FallingNode(last, processes, fall_every) if len(nodes) > 1 and last else None
    while True:
        processes.require_alive()
        stop.check()
        if falling:
            falling.step()
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
