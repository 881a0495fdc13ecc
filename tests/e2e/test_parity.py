"""`parity` on real parts: simulated node, plugin, the real Telegraf, and other exporters beside them."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from support.nodes import SimulatedNode, StartNode
from support.old_exporter import COUNTERS, GAUGES, SET_BY_EVENTS, OldExporters
from support.processes import START_SECONDS, free_port, wait_until
from support.telegraf import StartTelegraf, configuration, metrics_page

from telegraf_bitcoin_ipc.collect.metrics import GROUPS
from telegraf_bitcoin_ipc.parity.command import add_options, report
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS

pytestmark = pytest.mark.telegraf

WINDOW = "8"
"""Seconds; enough for every counter that the plugin makes from events."""

OPTIONS = ("--poll-interval", "1", "--emit-interval", "1", "--metrics", ",".join(GROUPS), "--fee-targets", "6")


@dataclass
class Scene:
    """One node, watched by the plugin and by the other exporters."""

    node: SimulatedNode
    old: OldExporters
    new: str

    def settled(self) -> None:
        """Wait until Telegraf's page has all that has happened so far."""
        totals = self.node.totals
        lines = {
            f"bitcoin_utxo_cache_add_total {totals['happened'].get('add', 0)}",
            f"bitcoin_mempool_size {totals['mempool_size']}",
            f"bitcoin_chain_height {totals['height']}",
        }

        def page() -> set[str]:
            return set(metrics_page(self.new).splitlines())

        wait_until(lambda: lines <= page(), START_SECONDS, lambda: f"{lines}: {page()}\n{self.old.log}", pause=0.2)

    def lives(self) -> None:
        """Have the node do a bit of everything that counts, and the exporters poll while the mempool is full."""
        node = self.node
        node.do("accept", count=30)
        node.do("replace")
        for reason in ("expiry", "sizelimit", "conflict"):
            node.do("remove", reason=reason)
        node.do("block", outputs=100)
        node.do("accept", count=10)
        node.do("reorg", depth=2)
        node.do("flush")
        node.do("accept", count=320)
        node.do("block", outputs=100, transactions=20)
        self.settled()
        self.old.poll()

    def empties(self) -> None:
        """Have a block empty the mempool; the exporters do not poll again."""
        self.node.do("block")
        self.settled()


@pytest.fixture
def scene(
    processes: ExitStack, start_node: StartNode, start_telegraf: StartTelegraf, socket_path: Path, tmp_path: Path
) -> Scene:
    """Start everything, with peers, traffic, a filled mempool and a block, and wait until all is seen."""
    node = start_node()
    new = f"127.0.0.1:{free_port()}"
    start_telegraf(configuration(socket_path, new, *OPTIONS))
    node.says("subscribed", 2)
    scene = Scene(node, processes.enter_context(OldExporters(socket_path, tmp_path)), new)
    assert scene.old.addresses.keys() == EXPORTERS.keys()
    node.do("peers", inbound=40, outbound=10)
    node.do("traffic", received=123_456, sent=654_321)
    node.do("fee_estimates", rates={"6": 12.5})
    node.do("accept", count=30)
    node.do("block", outputs=50, transactions=20)
    node.do("accept", count=20)
    scene.settled()
    scene.old.poll()
    return scene


class Window:
    """What happens meanwhile, in step: to all comparisons at once, at the start of a window and a little later."""

    def __init__(self, scene: Scene) -> None:
        steps = iter([scene.lives, scene.empties])
        self._together = Barrier(len(EXPORTERS), lambda: next(steps)(), START_SECONDS)

    def compare(self, old: str, new: str) -> tuple[Any, bool]:
        """What `parity --json` prints, read, and whether there is parity."""
        looks = -1

        def begun() -> None:
            nonlocal looks
            self._together.wait()
            looks = 0

        def sleep(seconds: float) -> None:
            nonlocal looks
            time.sleep(seconds)
            if looks >= 0:
                looks += 1
            if looks == 2:
                self._together.wait()

        parser = ArgumentParser()
        add_options(parser)
        text, fine = report(parser.parse_args(["--json", "--window", WINDOW, old, new]), sleep, begun)
        return json.loads(text), fine


def test_all_that_both_have_is_equal(scene: Scene) -> None:
    """Programs that read one node in their own ways agree on everything, while the mempool fills and empties."""
    addresses = scene.old.addresses
    with ThreadPoolExecutor(len(addresses)) as pool:
        compared = list(pool.map(partial(Window(scene).compare, new=scene.new), addresses.values()))
    for exporter, (found, fine) in zip(addresses, compared, strict=True):
        not_equal = [each for each in found["findings"] if each["status"] not in ("equal", "not offered")]
        assert not not_equal, f"{not_equal}\n{scene.old.log}"
        assert fine
        assert found["from"] == exporter
        assert found["not_mapped"] == []
        names = {*GAUGES[exporter], *COUNTERS.get(exporter, ()), *SET_BY_EVENTS.get(exporter, {})}
        assert {each["old"].partition("{")[0] for each in found["findings"]} == names
        moved = {each["old"] for each in found["findings"] if each["increase"] and each["here"]}
        assert len(moved) >= len(COUNTERS.get(exporter, ())) - 2, moved  # all but rejected and uncached ones
    assert not scene.node.lines("abort")
