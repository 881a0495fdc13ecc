"""`parity` on real parts: simulated node, plugin, the real Telegraf, and another exporter beside them."""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.nodes import PROGRAM, SimulatedNode
from support.old_exporter import COUNTERS, GAUGES, PAUSE_SECONDS, SET_BY_EVENTS, OldExporter
from support.processes import free_port, get, wait_until
from support.telegraf import Telegraf

from telegraf_bitcoin_ipc.collect.metrics import GROUPS
from telegraf_bitcoin_ipc.parity.command import add_options, report
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS

pytestmark = pytest.mark.telegraf

WINDOW = "8"
"""Seconds; enough for every counter that the plugin makes from events."""


@dataclass
class Scene:
    """One node, watched by the plugin and by another exporter."""

    node: SimulatedNode
    old: OldExporter
    new: str

    def shows(self, line: str) -> None:
        """Wait for a line on Telegraf's page."""
        wait_until(
            lambda: line in (get(f"http://{self.new}/metrics") or "").splitlines(),
            120,
            lambda: f"{line}: {get(f'http://{self.new}/metrics')}\n{self.old.log}",
        )

    def settled(self) -> None:
        """Wait until Telegraf's page has all that has happened so far."""
        totals = self.node.totals
        self.shows(f"bitcoin_utxo_cache_add_total {totals['happened'].get('add', 0)}")
        self.shows(f"bitcoin_mempool_size {totals['mempool_size']}")
        self.shows(f"bitcoin_chain_height {totals['height']}")


StartScene = Callable[..., Scene]


@pytest.fixture
def start_scene(
    processes: ExitStack,
    start_node: Callable[..., SimulatedNode],
    start_telegraf: Callable[..., Telegraf],
    socket_path: Path,
    tmp_path: Path,
) -> StartScene:
    """Start everything, with peers, traffic, a filled mempool and a block or two, and wait until all is seen."""

    def start(exporter: str, wrong: str = "", pause: float = PAUSE_SECONDS) -> Scene:
        node = start_node()
        new = f"127.0.0.1:{free_port()}"
        options = [
            "--poll-interval",
            "1",
            "--emit-interval",
            "1",
            "--metrics",
            ",".join(GROUPS),
            "--fee-targets",
            "6",
        ]
        command: list[str | Path] = [PROGRAM, "config", "--metrics-addr", new, *options, socket_path]
        start_telegraf(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        node.says("subscribed", 2)
        old = processes.enter_context(OldExporter(exporter, socket_path, tmp_path, wrong, pause))
        assert old.address
        scene = Scene(node, old, new)
        node.do("peers", inbound=40, outbound=10)
        node.do("traffic", received=123_456, sent=654_321)
        node.do("fee_estimates", rates={"6": 12.5})
        node.do("accept", count=30)
        node.do("block", outputs=50, transactions=20)
        node.do("accept", count=20)
        scene.settled()
        return scene

    return start


def live(node: SimulatedNode) -> None:
    """Have the node do a bit of everything that counts."""
    node.do("accept", count=30)
    node.do("replace")
    for reason in ("expiry", "sizelimit", "conflict"):
        node.do("remove", reason=reason)
    node.do("block", outputs=100)
    node.do("accept", count=10)
    node.do("reorg", depth=2)
    node.do("accept", count=10)
    node.do("flush")


def names(exporter: str) -> set[str]:
    """The metrics that the other exporter has."""
    return {*GAUGES[exporter], *COUNTERS.get(exporter, ()), *SET_BY_EVENTS.get(exporter, {})}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_all_that_both_have_is_equal(start_scene: StartScene, exporter: str) -> None:
    """Two programs that read the same node in their own ways agree on everything, while a lot happens."""
    scene = start_scene(exporter)

    def window() -> None:
        live(scene.node)
        scene.settled()

    arguments = ["--json", "--window", WINDOW, scene.old.address, scene.new]
    text, fine = report(parsed(arguments), begun=window)
    found = json.loads(text)
    not_equal = [each for each in found["findings"] if each["status"] not in ("equal", "not offered")]
    assert not not_equal, f"{not_equal}\n{scene.old.log}"
    assert fine
    assert found["from"] == exporter
    assert found["not_mapped"] == []
    assert {each["old"].partition("{")[0] for each in found["findings"]} == names(exporter)
    if exporter in COUNTERS:
        moved = {each["old"] for each in found["findings"] if each["increase"] and each["here"]}
        assert len(moved) >= len(COUNTERS[exporter]) - 2, moved  # all but rejected and uncached ones
    assert not scene.node.lines("abort")


class BusyNode:
    """A mempool that fills and that a block empties; the other exporter polls while it is full, and not again."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.looks = scene, -1

    def fill(self) -> None:
        """Have thousands of transactions come, and both sides show them."""
        self.scene.node.do("accept", count=2000)
        self.scene.settled()
        self.scene.old.poll()
        self.looks = 0

    def sleep(self, seconds: float) -> None:
        """Let time pass; empty the mempool once the comparison has seen it full."""
        time.sleep(seconds)
        if self.looks >= 0:
            self.looks += 1
        if self.looks == 2:
            self.scene.node.do("block")
            self.scene.settled()

    def compare(self, window: str) -> dict[str, str]:
        """What came of each metric over a window in which all this happens."""
        self.scene.old.poll()
        arguments = ["--json", "--window", window, self.scene.old.address, self.scene.new]
        text, _ = report(parsed(arguments), self.sleep, self.fill)
        return {each["old"]: each["status"] for each in json.loads(text)["findings"]}


def test_busy_mempool_is_no_difference(start_scene: StartScene) -> None:
    """A mempool of thousands that a block empties after the other exporter's last poll: all is equal."""
    found = BusyNode(start_scene("ipc-exporter-rust", pause=3600)).compare(WINDOW)
    assert set(found.values()) == {"equal"}, found


def test_wrong_unit_beside_a_busy_mempool(start_scene: StartScene) -> None:
    """A gauge that is a thousand times too big is found all the same, and nothing else is."""
    wrong = "bitcoin_mempool_size"
    found = BusyNode(start_scene("bitcoin-prometheus-exporter", wrong, 3600)).compare("20")
    assert {name for name, status in found.items() if status == "differs"} == {wrong}, found


@pytest.mark.parametrize(
    ("exporter", "wrong"),
    [
        ("rpc_exporter", "bitcoind_mempool_max_bytes"),
        ("bitcoin-prometheus-exporter", "bitcoin_latest_block_value"),
        ("ipc-exporter-rust", "bitcoin_mempool_max_bytes"),
    ],
)
def test_a_wrong_unit_is_named(start_scene: StartScene, exporter: str, wrong: str) -> None:
    """One metric in another unit: exit status 1, and that row alone differs."""
    scene = start_scene(exporter, wrong)
    done = parity("--window", WINDOW, scene.old.address, scene.new)
    assert done.returncode == 1, done.stderr
    differing = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("differs")]
    assert differing == [wrong], done.stdout


def test_without_a_difference(start_scene: StartScene) -> None:
    """On a quiet node: exit status 0, and a table that says so."""
    scene = start_scene("rpc_exporter")
    done = parity("--window", WINDOW, scene.old.address, scene.new)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n14 equal\n" in done.stdout


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of `parity`."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


def parity(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    command = [PROGRAM, "parity", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
