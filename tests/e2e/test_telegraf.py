"""The whole chain on real parts: simulated node, plugin, the real Telegraf, the real Prometheus."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.nodes import StartNode
from support.processes import (
    STOP_SECONDS,
    StartProcess,
    alive,
    children,
    free_port,
    wait_until,
)
from support.prometheus import EVERYTHING, Result, StartPrometheus
from support.telegraf import StartTelegraf, Telegraf, accepted, config_check, configuration, metrics_page

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.ipc.dialects import TRACING

pytestmark = pytest.mark.telegraf


QUICKLY = ("--poll-interval", "1", "--emit-interval", "1")


def test_prometheus_has_the_catalogue(
    start_node: StartNode,
    start_telegraf: StartTelegraf,
    start_prometheus: StartPrometheus,
    promtool_binary: Path,
    socket_path: Path,
) -> None:
    """Every metric of a tracing node is there, of the right type, without a label too many; nobody complains."""
    address = f"127.0.0.1:{free_port()}"
    node = start_node("--seed", "1", "--pruned")
    groups = ("--metrics", ",".join(CHOOSABLE_GROUPS))
    telegraf = start_telegraf(configuration(socket_path, address, *QUICKLY, *groups))
    prometheus = start_prometheus(address)
    node.says("subscribed", 2)
    node.do("fee_estimates", rates={"2": 12.5, "6": 7, "144": 1})
    node.do("indexes", heights={"txindex": None})
    node.do("peer", network="onion", type="outbound-full-relay", transport="v2", ping=0.1)
    node.do("block")
    wanted = {name for name, origin in TRACING.origins.items() if origin is not None}
    wanted |= {metric.name for metric in CATALOGUE if metric.group == "plugin"}

    def is_all(found: Result) -> bool:
        return {labels["__name__"].removeprefix("bitcoin_") for labels, _ in found} == wanted

    prometheus.shows(EVERYTHING, is_all, f"{wanted}")
    prometheus.follows_the_catalogue()
    assert complaints(telegraf) == []
    page = metrics_page(address)
    done = subprocess.run([promtool_binary, "check", "metrics"], input=page, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def complaints(telegraf: Telegraf) -> list[str]:
    """The warnings and errors in Telegraf's log, but the one about its own command line."""
    of_its_command_line = "add the --non-strict-env-handling flag"
    lines = telegraf.stderr.splitlines()
    return [line for line in lines if re.search(" [WE]! ", line) and of_its_command_line not in line]


def test_telegraf_and_node_come_and_go(
    start_node: StartNode, start_telegraf: StartTelegraf, start_prometheus: StartPrometheus, socket_path: Path
) -> None:
    """Telegraf reloads, stops and starts, the node restarts, the plugin is killed: no harm, no stale value."""
    address = f"127.0.0.1:{free_port()}"
    node = start_node()
    text = configuration(socket_path, address, *QUICKLY)
    telegraf = start_telegraf(text.replace('restart_delay = "10s"', 'restart_delay = "1h"'))
    prometheus = start_prometheus(address)
    node.says("subscribed", 2)
    node.do("block")
    prometheus.wait_for("bitcoin_blocks_connected_total == 1")

    before = children(telegraf.pid)
    telegraf.reload()
    node.says("unsubscribed", 2)
    node.says("subscribed", 4)
    wait_until(lambda: not any(map(alive, before)), STOP_SECONDS, "the end of the plugin before")
    node.do("block")
    prometheus.wait_for("bitcoin_blocks_connected_total == 1 and bitcoin_connects_total == 1")

    assert node.stop() == 0
    prometheus.wait_for("bitcoin_up == 0")
    prometheus.shows("bitcoin_chain_height", lambda found: not found, "no value")
    node.start()
    prometheus.wait_for("bitcoin_up == 1 and bitcoin_connects_total == 2")
    node.do("block")
    prometheus.wait_for("bitcoin_blocks_connected_total == 2")

    before = children(telegraf.pid)
    telegraf.stop()
    assert not any(map(alive, before))
    node.says("unsubscribed", 2)
    node.do("block")
    telegraf.start()
    node.says("subscribed", 4)
    prometheus.wait_for("bitcoin_blocks_connected_total == 0")
    (plugin,) = children(telegraf.pid)
    os.kill(plugin, signal.SIGKILL)
    prometheus.shows(EVERYTHING, lambda found: not found, "no value: the series vanish, and do not go stale")
    node.says("unsubscribed", 4)
    assert not node.lines("abort")


def test_telegraf_may_ask_by_newline(
    start_node: StartNode, start_telegraf: StartTelegraf, socket_path: Path
) -> None:
    """With signal = "STDIN" every interval of Telegraf's brings the whole set, and nothing else does."""
    address = f"127.0.0.1:{free_port()}"
    node = start_node()
    text = configuration(socket_path, address, "--emit-interval", "3600")
    telegraf = start_telegraf(text.replace('signal = "none"', 'signal = "STDIN"\n  interval = "1s"'))
    node.says("subscribed", 2)
    node.do("accept", count=3)
    shows(telegraf, address, "bitcoin_mempool_tx_added_total 3")


def shows(telegraf: Telegraf, address: str, line: str) -> str:
    """Wait for a line on Telegraf's page, and return the page."""

    def page() -> str | None:
        page = metrics_page(address)
        return page if line in page.splitlines() else None

    return telegraf.wait_until(page, f"{line} on the page", pause=0.2) or ""


@pytest.mark.parametrize("handling", ["--strict-env-handling", "--non-strict-env-handling"])
def test_the_plugins_log_is_in_telegrafs(
    handling: str, start_process: StartProcess, telegraf_binary: Path, tmp_path: Path
) -> None:
    """Warnings and debug lines have their level, a path its dollar signs, however Telegraf replaces variables."""
    config = tmp_path / "telegraf.conf"
    socket = "/no/${HOME}/$HOME.sock"
    config.write_text(configuration(Path(socket), f"127.0.0.1:{free_port()}", "--debug"))
    telegraf = start_process([telegraf_binary, handling, "--config", config])
    telegraf.logged(" D! [inputs.execd] ")
    telegraf.logged("there is no such socket")
    line, *_ = [line for line in telegraf.stderr.splitlines() if "there is no such socket" in line]
    assert " W! " in line
    assert socket in line


SOMEBODYS = """
[agent]
  hostname = "somewhere"
  flush_interval = "1h"
  skip_processors_after_aggregators = false

[[inputs.execd]]
  command = ["sh", "-c", "echo weather celsius=21; cat > /dev/null"]
  signal = "none"
  data_format = "influx"

[[outputs.file]]
  files = ["FILE"]
  data_format = "influx"
"""
"""A configuration with another input and another output, at a pace of its own."""


def test_other_plugins_are_left_as_they_are(
    start_node: StartNode, start_telegraf: StartTelegraf, socket_path: Path, tmp_path: Path
) -> None:
    """In a configuration that somebody has, only the page is the plugin's: the rest keeps its pace and tags."""
    address = f"127.0.0.1:{free_port()}"
    file = tmp_path / "metrics.out"
    _, begin, ours = configuration(socket_path, address).partition("[[inputs.execd]]")
    start_node()
    telegraf = start_telegraf(SOMEBODYS.replace("FILE", str(file)) + begin + ours)
    page = shows(telegraf, address, "bitcoin_up 1")
    assert "weather" not in page
    assert "host=" not in page
    assert file.read_text() == "", "the other output has a flush of its own"
    telegraf.stop()
    written = file.read_text().splitlines()
    assert [line.rpartition(" ")[0] for line in written if line.startswith("weather")] == [
        "weather,host=somewhere celsius=21"
    ]
    others = [line for line in written if not line.startswith("weather")]
    assert others
    assert all(re.match(r"bitcoin,([^ ]+,)?host=somewhere[, ]", line) for line in others)


def test_the_example_is_a_configuration_that_telegraf_takes(
    telegraf_binary: Path, pytestconfig: pytest.Config
) -> None:
    """`telegraf config check` has nothing to say against telegraf.conf.example."""
    accepted(config_check(telegraf_binary, pytestconfig.rootpath / "telegraf.conf.example"))
