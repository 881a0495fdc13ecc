"""`make demo`, by the script that it runs: everything runs together, and nothing is left after it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import Process, free_port, get
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
        found = json.loads(get(f"http://{prometheus}/api/v1/query?query=bitcoin_up") or "")["data"]["result"]
        return [series["value"][1] for series in found] == ["1"]

    demo.wait_until(is_up, "Prometheus had the node")
    demo.send(how)
    assert demo.wait() == 0, demo.log
    scene.empty()
    assert list(socket_path.parent.iterdir()) == []


def test_an_address_that_is_none_is_said_before_anything_starts(start_demo: StartDemo, scene: Scene) -> None:
    """One sentence says which option is wrong; nothing was started."""
    metrics, _ = addresses()
    demo = start_demo("--address", metrics, "--prometheus", "127.0.0.1:1x")
    assert demo.wait() == 1
    assert demo.stderr == "error: --prometheus must be HOST:PORT, such as 127.0.0.1:9332, but is '127.0.0.1:1x'.\n"
    assert demo.stdout == ""
    scene.empty()
