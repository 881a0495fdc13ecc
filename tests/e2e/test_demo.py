"""`make demo`, by the script that it runs: everything runs together, and nothing is left after it."""

from __future__ import annotations

import json
import re
import signal
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from support.dashboard import PANELS, VARIABLES, chosen, expressions
from support.processes import Process, free_port, get
from support.prometheus import Result
from support.scene import Scene

pytestmark = pytest.mark.telegraf

SCRIPT = Path(__file__).parents[2] / "scripts" / "run.py"

StartDemo = Callable[..., Process]


@pytest.fixture
def start_demo(
    start_process: Callable[..., Process],
    scene: Scene,
    socket_path: Path,
    telegraf_binary: Path,
    prometheus_binary: Path,
) -> StartDemo:
    """Start the demo, with all its files in the directory of `socket_path`."""
    environment = scene.mark | {
        "TMPDIR": str(socket_path.parent),
        "TELEGRAF_BINARY": str(telegraf_binary),
        "PROMETHEUS_BINARY": str(prometheus_binary),
    }
    return lambda *options: start_process(
        [sys.executable, "-P", SCRIPT, *options], name="demo", environment=environment
    )


def addresses() -> list[str]:
    """Return where Telegraf and Prometheus shall listen."""
    return [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]


def asked(prometheus: str, expression: str) -> Result:
    """Return what Prometheus answers: the labels and the value of each series."""
    query = urllib.parse.urlencode({"query": expression})
    found = json.loads(get(f"http://{prometheus}/api/v1/query?{query}") or "")["data"]["result"]
    return [(series["metric"], float(series["value"][1])) for series in found]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_everything_runs_until_ctrl_c_and_leaves_nothing(
    start_demo: StartDemo, scene: Scene, socket_path: Path, how: signal.Signals
) -> None:
    """Each address that is printed answers; after Ctrl-C no process and no file is left, and the status is 0."""
    metrics, prometheus = addresses()
    demo = start_demo("--address", metrics, "--prometheus", prometheus)
    demo.wait_until(lambda: "Everything runs" in demo.stdout, "everything ran")
    demo.wait_until(lambda: f"http://{prometheus}/graph" in demo.stdout, "the addresses were printed")
    assert f"http://{metrics}/metrics" in demo.stdout
    assert "bitcoin_up 1" in (get(f"http://{metrics}/metrics") or "")

    def is_up() -> bool:
        return [value for _, value in asked(prometheus, "bitcoin_up")] == [1]

    demo.wait_until(is_up, "Prometheus had the node")
    demo.send(how)
    assert demo.wait() == 0, demo.log
    scene.empty()
    assert list(socket_path.parent.iterdir()) == []


def test_of_several_nodes_one_falls_and_comes_back(start_demo: StartDemo, scene: Scene, socket_path: Path) -> None:
    """Three nodes of different kinds are told apart by the tag `node`; the one that falls returns, and says so."""
    metrics, prometheus = addresses()
    demo = start_demo("--address", metrics, "--prometheus", prometheus, "--nodes", "3", "--fall-every", "12")
    demo.wait_until(lambda: f"http://{prometheus}/graph" in demo.stdout, "the addresses were printed")

    def shows(expression: str, condition: Callable[[Result], bool]) -> None:
        demo.wait_until(lambda: condition(asked(prometheus, expression)), f"what is expected of {expression}")

    dialects = {"alpha": "tracing", "beta": "stock-chain", "gamma": "stock"}
    shows("bitcoin_node_info", lambda found: {each["node"]: each["dialect"] for each, _ in found} == dialects)
    shows('bitcoin_up{node="gamma"}', lambda found: [value for _, value in found] == [0])
    assert " Node gamma falls." in demo.stdout
    shows('bitcoin_up{node="gamma"}', lambda found: [value for _, value in found] == [1])
    assert " Node gamma is back." in demo.stdout
    shows("bitcoin_up", lambda found: {each["node"]: value for each, value in found} == dict.fromkeys(dialects, 1))
    for name in ("alpha", "beta"):
        assert asked(prometheus, f'min_over_time(bitcoin_connects_total{{node="{name}"}}[1h])')[0][1] == 1
        assert asked(prometheus, f'max_over_time(bitcoin_connects_total{{node="{name}"}}[1h])')[0][1] == 1
    demo.wait_until(lambda: demo.stdout.count(" falls.\n") == 2, "it fell again")
    demo.send(signal.SIGINT)
    assert demo.wait() == 0, demo.log
    scene.empty()
    assert list(socket_path.parent.iterdir()) == []


def test_the_dashboard_selects_one_of_several_nodes(start_demo: StartDemo) -> None:
    """The variable `node` offers every node of the demo; at All a graph compares them, at a name it shows one."""
    metrics, prometheus = addresses()
    demo = start_demo("--address", metrics, "--prometheus", prometheus, "--nodes", "3", "--fall-every", "3600")
    demo.wait_until(lambda: f"http://{prometheus}/graph" in demo.stdout, "the addresses were printed")

    def has(expression: str, *names: str) -> None:
        demo.wait_until(
            lambda: sorted(each["node"] for each, _ in asked(prometheus, expression)) == sorted(names),
            f"the nodes {names} of {expression}",
        )

    series = re.fullmatch(r"label_values\((.*), node\)", VARIABLES["node"]["query"]["query"])
    assert series
    has(f"count by (node) ({chosen(series[1])})", "alpha", "beta", "gamma")
    (height,) = expressions([next(panel for panel in PANELS if panel["title"] == "Height")])
    has(chosen(height), "alpha", "beta", "gamma")
    has(chosen(height, node="beta"), "beta")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--nodes", "7"], "argument --nodes: invalid choice: 7 (choose from 1, 2, 3, 4, 5, 6)"),
        (["--nodes", "2", "--socket", "node.sock"], "--nodes is for simulated nodes"),
        (["--fall-every", "0"], "--fall-every: must be positive"),
    ],
)
def test_options_that_cannot_be_are_refused(start_demo: StartDemo, options: list[str], reason: str) -> None:
    """More nodes than there are kinds, several real ones and a fall at every moment: a sentence, and status 2."""
    demo = start_demo(*options)
    assert demo.wait() == 2
    assert reason in demo.stderr


def test_an_address_that_is_none_is_said_before_anything_starts(start_demo: StartDemo, scene: Scene) -> None:
    """One sentence says which option is wrong; nothing was started."""
    metrics, _ = addresses()
    demo = start_demo("--address", metrics, "--prometheus", "127.0.0.1:1x")
    assert demo.wait() == 1
    assert demo.stderr == "error: --prometheus must be HOST:PORT, such as 127.0.0.1:9332, but is '127.0.0.1:1x'.\n"
    assert demo.stdout == ""
    scene.empty()
