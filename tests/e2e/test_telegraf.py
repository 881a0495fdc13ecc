"""The whole chain on real parts: simulated node, plugin, the real Telegraf, the real Prometheus."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nodes import SimulatedNode, StartNode
from support.processes import START_SECONDS, STOP_SECONDS, Process, alive, children, free_port, get, wait_until
from support.prometheus import Prometheus
from support.telegraf import Telegraf, configuration

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.ipc.dialects import TRACING

pytestmark = pytest.mark.telegraf

StartTelegraf = Callable[..., Telegraf]
StartPrometheus = Callable[..., Prometheus]


def expected_core(node: SimulatedNode) -> dict[str, float]:
    """What the node says about everything that group core shows."""
    line = node.totals
    delivered, values = line["delivered"], line["delivered_value"]
    return {
        "blocks_connected_total": delivered["blockConnected"],
        "blocks_disconnected_total": delivered["blockDisconnected"],
        "mempool_tx_added_total": delivered["transactionAddedToMempool"],
        "mempool_tx_removed_total": delivered["transactionRemovedFromMempool"],
        "tip_updates_total": delivered["updatedBlockTip"],
        "chain_state_flushes_total": delivered["chainStateFlushed"],
        "block_height": line["height"],
        "chain_height": line["height"],
        "header_height": line["headers"],
        "ibd": int(line["ibd"]),
        "verification_progress": line["progress"],
        "mempool_size": line["mempool_size"],
        "mempool_bytes": line["mempool_usage"],
        "mempool_max_bytes": line["mempool_max"],
        "peers": line["peers"],
        "bytes_recv_total": line["bytes_recv"],
        "bytes_sent_total": line["bytes_sent"],
        "utxo_cache_add_total": delivered["add"],
        "utxo_cache_spend_total": delivered["spend"],
        "utxo_cache_uncache_total": delivered.get("uncache", 0),
        "utxo_cache_add_value_total": values["add"],
        "utxo_cache_spend_value_total": values["spend"],
        "utxo_cache_uncache_value_total": values.get("uncache", 0),
        "utxo_cache_add_unconfirmed_total": 0,
    }


def live_a_little(node: SimulatedNode) -> None:
    """Have the node do a bit of everything."""
    node.do("peers", inbound=5, outbound=10)
    node.do("traffic", received=123_456, sent=654_321)
    node.do("accept", count=30)
    node.do("replace")
    for reason in ("expiry", "sizelimit", "sizelimit", "conflict"):
        node.do("remove", reason=reason)
    node.do("block", outputs=100)
    node.do("accept", count=10)
    node.do("reorg", depth=2)
    node.do("flush")


def values(prometheus: Prometheus) -> dict[str, float]:
    """The value of every core metric, without its prefix."""
    found = prometheus.query('{__name__=~"bitcoin_.+"}')
    return {labels["__name__"].removeprefix("bitcoin_"): number for labels, number in found}


def plugins_of(telegraf: Telegraf) -> list[int]:
    """The ids of the plugin processes that a Telegraf runs."""
    return children(telegraf.pid)


def test_prometheus_has_what_the_node_did(
    start_node: StartNode, start_telegraf: StartTelegraf, start_prometheus: StartPrometheus, socket_path: Path
) -> None:
    """Every core metric arrives in Prometheus with the node's own value, the right type and no label too many."""
    address = f"127.0.0.1:{free_port()}"
    node = start_node("--seed", "1")
    start_telegraf(configuration(socket_path, address, "--poll-interval", "1", "--emit-interval", "1"))
    prometheus = start_prometheus(address)
    node.says("subscribed", 2)
    live_a_little(node)
    expected = expected_core(node)
    core = {metric.name: metric for metric in CATALOGUE if metric.group == "core"}
    assert set(expected) == set(core)

    def all_equal() -> bool:
        found = values(prometheus)
        return all(found.get(name) == number for name, number in expected.items())

    wait_until(all_equal, START_SECONDS, lambda: f"{expected}, and Prometheus has {values(prometheus)}")
    for labels, _ in prometheus.query('{__name__=~"bitcoin_.+"}'):
        metric = next(row for row in CATALOGUE if f"bitcoin_{row.name}" == labels["__name__"])
        assert set(labels) == {"__name__", "job", "instance", *metric.tags}, labels
    types = {name: {entry["type"] for entry in entries} for name, entries in prometheus.metadata().items()}
    for metric in core.values():
        assert types[f"bitcoin_{metric.name}"] == {metric.type}
    assert not [name for name in types if name.startswith(("go_", "process_"))]


def test_telegraf_and_node_come_and_go(
    start_node: StartNode, start_telegraf: StartTelegraf, start_prometheus: StartPrometheus, socket_path: Path
) -> None:
    """Telegraf is reloaded, stopped and started, the node restarted in between: no harm, no process left."""
    address = f"127.0.0.1:{free_port()}"
    node = start_node()
    telegraf = start_telegraf(configuration(socket_path, address, "--poll-interval", "1", "--emit-interval", "1"))
    prometheus = start_prometheus(address)
    node.says("subscribed", 2)
    node.do("block")
    prometheus.wait_for("bitcoin_blocks_connected_total == 1")

    before = plugins_of(telegraf)
    telegraf.reload()
    node.says("unsubscribed", 2)
    node.says("subscribed", 4)
    wait_until(lambda: not any(map(alive, before)), STOP_SECONDS, "the end of the plugin before")
    node.do("block")
    prometheus.wait_for("bitcoin_blocks_connected_total == 1 and bitcoin_connects_total == 1")

    assert node.stop() == 0
    prometheus.wait_for("bitcoin_up == 0")
    wait_until(lambda: not prometheus.query("bitcoin_chain_height"), START_SECONDS, "the gauges gone")
    node.start()
    prometheus.wait_for("bitcoin_up == 1 and bitcoin_connects_total == 2")
    node.do("block")
    prometheus.wait_for("bitcoin_blocks_connected_total == 2")

    before = plugins_of(telegraf)
    telegraf.stop()
    assert not any(map(alive, before))
    node.says("unsubscribed", 2)
    node.do("block")
    telegraf.start()
    node.says("subscribed", 4)
    prometheus.wait_for("bitcoin_blocks_connected_total == 0")
    assert not node.lines("abort")


def test_telegraf_may_ask_by_newline(
    start_node: StartNode, start_telegraf: StartTelegraf, start_prometheus: StartPrometheus, socket_path: Path
) -> None:
    """With signal = "STDIN" every interval of Telegraf's brings the whole set, and nothing else does."""
    address = f"127.0.0.1:{free_port()}"
    node = start_node()
    text = configuration(socket_path, address, "--emit-interval", "3600")
    text = text.replace('signal = "none"', 'signal = "STDIN"\n  interval = "1s"')
    start_telegraf(text)
    prometheus = start_prometheus(address)
    node.says("subscribed", 2)
    node.do("accept", count=3)
    prometheus.wait_for("bitcoin_mempool_tx_added_total == 3")


def test_the_values_of_a_dead_plugin_go_away(
    start_node: StartNode, start_telegraf: StartTelegraf, start_prometheus: StartPrometheus, socket_path: Path
) -> None:
    """When nothing comes any more the series vanish from the page instead of going stale."""
    address = f"127.0.0.1:{free_port()}"
    text = configuration(socket_path, address, "--emit-interval", "1")
    start_node("--lenient")
    telegraf = start_telegraf(text.replace('restart_delay = "10s"', 'restart_delay = "1h"'))
    prometheus = start_prometheus(address)
    prometheus.wait_for("bitcoin_chain_height")
    (plugin,) = plugins_of(telegraf)
    os.kill(plugin, signal.SIGKILL)
    wait_until(lambda: not prometheus.query("bitcoin_chain_height"), START_SECONDS, "the series gone")


def test_log_levels_reach_telegraf(start_telegraf: StartTelegraf, socket_path: Path, tmp_path: Path) -> None:
    """What the plugin says on stderr has its level in Telegraf's log, and bad input one clear sentence."""
    address = f"127.0.0.1:{free_port()}"
    telegraf = start_telegraf(configuration(socket_path, address))
    telegraf.wait_until(lambda: "there is no such socket" in telegraf.stderr, "the warning in Telegraf's log")
    (line,) = [line for line in telegraf.stderr.splitlines() if "there is no such socket" in line]
    assert " W! " in line


@pytest.mark.parametrize("handling", ["--strict-env-handling", "--non-strict-env-handling"])
def test_a_dollar_sign_is_no_variable(
    handling: str, start_process: Callable[..., Process], telegraf_binary: Path, tmp_path: Path
) -> None:
    """The plugin gets a path with a dollar sign as it was given, however Telegraf replaces variables."""
    config = tmp_path / "telegraf.conf"
    config.write_text(configuration(Path("/no/${HOME}/$HOME.sock"), f"127.0.0.1:{free_port()}"))
    telegraf = start_process([telegraf_binary, handling, "--config", config])
    telegraf.wait_until(lambda: "/no/${HOME}/$HOME.sock" in telegraf.stderr, "the path in Telegraf's log")


def test_debug_lines_reach_telegrafs_log(start_telegraf: StartTelegraf, socket_path: Path) -> None:
    """A configuration made with --debug shows each try to connect in Telegraf's log."""
    telegraf = start_telegraf(configuration(socket_path, f"127.0.0.1:{free_port()}", "--debug"))
    telegraf.wait_until(lambda: " D! [inputs.execd] " in telegraf.stderr, "a debug line of the plugin's")


def test_telegraf_has_nothing_to_complain_of(
    start_node: StartNode, start_telegraf: StartTelegraf, socket_path: Path
) -> None:
    """Telegraf starts with the generated configuration without a warning about it."""
    address = f"127.0.0.1:{free_port()}"
    start_node()
    telegraf = start_telegraf(configuration(socket_path, address))
    telegraf.wait_until(lambda: "bitcoin_up 1" in (get(f"http://{address}/metrics") or ""), "the page")
    of_its_command_line = "add the --non-strict-env-handling flag"
    complaints = [
        line
        for line in telegraf.stderr.splitlines()
        if re.search(" [WE]! ", line) and of_its_command_line not in line
    ]
    assert complaints == []


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
    telegraf.wait_until(lambda: "bitcoin_up 1" in (get(f"http://{address}/metrics") or ""), "the page")
    page = get(f"http://{address}/metrics") or ""
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


def test_promtool_has_nothing_to_complain_of(
    start_node: StartNode, start_telegraf: StartTelegraf, socket_path: Path, promtool_binary: Path
) -> None:
    """`promtool check metrics` takes the whole page: every metric that a node of the fullest kind gives."""
    address = f"127.0.0.1:{free_port()}"
    node = start_node("--pruned")
    all_groups = ("--metrics", ",".join(CHOOSABLE_GROUPS), "--poll-interval", "1", "--emit-interval", "1")
    telegraf = start_telegraf(configuration(socket_path, address, *all_groups))
    node.says("subscribed", 2)
    live_in_full(node)
    wanted = {f"bitcoin_{name}" for name, origin in TRACING.origins.items() if origin is not None}
    wanted |= {f"bitcoin_{metric.name}" for metric in CATALOGUE if metric.group == "plugin"}

    def missing() -> set[str]:
        return wanted - set(re.findall(r"^(bitcoin_\w+)", get(f"http://{address}/metrics") or "", re.MULTILINE))

    telegraf.wait_until(lambda: not missing(), f"every metric on the page, {missing()} too")
    done = subprocess.run(
        [promtool_binary, "check", "metrics"],
        input=get(f"http://{address}/metrics"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def live_in_full(node: SimulatedNode) -> None:
    """Have the node do what every metric needs to be there."""
    live_a_little(node)
    node.do("fee_estimates", rates={"2": 12.5, "6": 7, "144": 1})
    node.do("indexes", heights={"txindex": None})
    node.do("peer", network="onion", type="outbound-full-relay", transport="v2", ping=0.1)


def test_the_example_is_a_configuration_that_telegraf_takes(
    telegraf_binary: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """`telegraf config check` has nothing to say against telegraf.conf.example."""
    example = pytestconfig.rootpath / "telegraf.conf.example"
    done = subprocess.run(
        [telegraf_binary, "config", "check", "--config", example],
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deprecated" not in done.stdout + done.stderr
