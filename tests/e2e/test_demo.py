"""`make demo`, by the script that it runs: everything runs together, and nothing is left after it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import run
from support.processes import StartProcess, free_port
from support.prometheus import POLL_SECONDS, Result, query
from support.scene import Scene
from support.telegraf import metrics_page

pytestmark = pytest.mark.telegraf

SCRIPT = Path(__file__).parents[2] / "scripts" / "run.py"

StartDemo = StartProcess


@pytest.fixture
def start_demo(
    start_process: StartProcess, scene: Scene, socket_path: Path, telegraf_binary: Path, prometheus_binary: Path
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


def test_everything_runs_until_it_is_told_to_stop(start_demo: StartDemo, scene: Scene, socket_path: Path) -> None:
    """Each address that is printed answers; after SIGTERM no process and no file is left, and the status is 0."""
    metrics, prometheus = addresses()
    demo = start_demo("--address", metrics, "--prometheus", prometheus)
    demo.wait_until(lambda: "Everything runs" in demo.stdout, "everything ran")
    demo.wait_until(lambda: f"http://{prometheus}/graph" in demo.stdout, "the addresses were printed")
    assert f"http://{metrics}/metrics" in demo.stdout
    assert "bitcoin_up 1" in metrics_page(metrics)

    def is_up() -> bool:
        return [value for _, value in query(prometheus, "bitcoin_up")] == [1]

    demo.wait_until(is_up, "Prometheus had the node", pause=POLL_SECONDS)
    demo.send(signal.SIGTERM)
    assert demo.wait() == 0, demo.log
    scene.empty()
    assert list(socket_path.parent.iterdir()) == []


def test_of_several_nodes_one_falls_and_comes_back(start_demo: StartDemo, scene: Scene, socket_path: Path) -> None:
    """The tag `node` distinguishes nodes; one keeps going down and coming back; Ctrl-C stops everything."""
    metrics, prometheus = addresses()
    demo = start_demo("--address", metrics, "--prometheus", prometheus, "--nodes", "2", "--fall-every", "12")
    demo.wait_until(lambda: f"http://{prometheus}/graph" in demo.stdout, "the addresses were printed")

    def shows(expression: str, condition: Callable[[Result], bool]) -> None:
        what = f"what is expected of {expression}"
        demo.wait_until(lambda: condition(query(prometheus, expression)), what, pause=POLL_SECONDS)

    dialects = {"alpha": "tracing", "beta": "stock-chain"}
    shows("bitcoin_node_info", lambda found: {each["node"]: each["dialect"] for each, _ in found} == dialects)
    shows('min_over_time(bitcoin_up{node="beta"}[1h])', lambda found: [value for _, value in found] == [0])
    assert " Node beta goes down." in demo.stdout
    shows("bitcoin_up", lambda found: {each["node"]: value for each, value in found} == dict.fromkeys(dialects, 1))
    assert " Node beta is back." in demo.stdout
    for extreme in ("min", "max"):
        assert query(prometheus, f'{extreme}_over_time(bitcoin_connects_total{{node="alpha"}}[1h])')[0][1] == 1
    demo.wait_until(lambda: demo.stdout.count(" goes down.\n") >= 2, "it went down again")
    demo.send(signal.SIGINT)
    assert demo.wait() == 0, demo.log
    scene.empty()
    assert list(socket_path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--nodes", "7"], "argument --nodes: invalid choice: 7 (choose from 1, 2, 3, 4, 5, 6)"),
        (["--nodes", "2", "--socket", "node.sock"], "--nodes is for simulated nodes"),
        (["--fall-every", "0"], "--fall-every: must be positive"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """More nodes than there are kinds, several real ones and a fall at every moment: a sentence, and status 2."""
    with pytest.raises(SystemExit) as end:
        run.parse(options)
    assert end.value.code == 2
    assert reason in capsys.readouterr().err


def test_an_address_that_is_none_is_said_before_anything_starts(start_demo: StartDemo, scene: Scene) -> None:
    """One sentence says which option is wrong; nothing was started."""
    metrics, _ = addresses()
    demo = start_demo("--address", metrics, "--prometheus", "127.0.0.1:1x")
    assert demo.wait() == 1
    assert demo.stderr == "error: --prometheus must be HOST:PORT, such as 127.0.0.1:9332, but is '127.0.0.1:1x'.\n"
    assert demo.stdout == ""
    scene.empty()
