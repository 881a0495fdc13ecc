"""Many nodes: one Telegraf with a plugin for each, told apart by a tag, through to Prometheus and dashboard."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.dashboard import PANELS, VARIABLES, chosen, expressions
from support.nodes import SimulatedNode
from support.processes import free_port
from support.prometheus import Prometheus, Result
from support.telegraf import Telegraf, configuration

pytestmark = pytest.mark.telegraf

DIALECT_OF = {"alpha": "tracing", "beta": "stock", "gamma": "stock-31"}
"""The nodes by their tag, and what each of them is."""

UNTAGGED = "delta"
"""A node whose plugin has no tag, beside the others."""

QUICKLY = ("--poll-interval", "1", "--emit-interval", "1")

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"


def of_all(texts: list[str]) -> str:
    """The first configuration, with the plugins of the others as well: put together as docs/fleet.md says."""
    (recipe,) = re.findall(r"\| (sed -n '.*?') >>", PAGE.read_text())
    first, *others = texts
    return first + "".join(
        subprocess.run(shlex.split(recipe), input=text, check=True, capture_output=True, text=True).stdout
        for text in others
    )


@pytest.fixture
def nodes(processes: ExitStack, tmp_path: Path, socket_path: Path) -> dict[str, SimulatedNode]:
    """A node for each tag, and one more, each on a socket of its own."""
    started = {}
    for name, dialect in {**DIALECT_OF, UNTAGGED: "tracing"}.items():
        socket = socket_path.with_name(f"{name}.sock")
        node = SimulatedNode(socket, tmp_path / name, "--dialect", dialect)
        started[name] = processes.enter_context(node)
    return started


@pytest.fixture
def fleet(
    nodes: dict[str, SimulatedNode],
    start_telegraf: Callable[..., Telegraf],
    start_prometheus: Callable[..., Prometheus],
) -> Prometheus:
    """A Prometheus that has all of them, each with blocks of its own number."""
    address = f"127.0.0.1:{free_port()}"
    texts = [
        configuration(node.socket, address, *QUICKLY, *([] if name == UNTAGGED else ["--tag", f"node={name}"]))
        for name, node in nodes.items()
    ]
    start_telegraf(of_all(texts))
    prometheus = start_prometheus(address)
    prometheus.wait_for(f"count(bitcoin_block_height or bitcoin_ibd) == {len(nodes)}")
    for count, node in enumerate(nodes.values(), start=1):
        for _ in range(count):
            node.do("block")
    return prometheus


def by_node(found: list[tuple[dict[str, str], float]]) -> dict[str, float]:
    """Values by the tag `node`; by nothing where there is none."""
    assert len({labels.get("node") for labels, _ in found}) == len(found)
    return {labels.get("node", ""): value for labels, value in found}


def panel(title: str) -> dict[str, Any]:
    """The panel of the dashboard with that title."""
    return next(each for each in PANELS if each["title"] == title)


def height_of(node: SimulatedNode) -> float:
    """The height that the node said last; not every line has one."""
    return float([line["height"] for line in node.lines() if "height" in line][-1])


def test_each_node_has_its_own_values(fleet: Prometheus, nodes: dict[str, SimulatedNode]) -> None:
    """Nodes of three kinds come through one Telegraf, each under its tag with its own height and dialect."""
    expected = {"" if name == UNTAGGED else name: height_of(node) for name, node in nodes.items()}
    assert len(set(expected.values())) == len(nodes)
    fleet.shows("bitcoin_chain_height", lambda found: by_node(found) == expected, f"the heights {expected}")
    expected_dialects = {**DIALECT_OF, "": "tracing"}

    def right(found: Result) -> bool:
        return {labels.get("node", ""): labels["dialect"] for labels, _ in found} == expected_dialects

    fleet.shows("bitcoin_node_info", right, f"the dialects {expected_dialects}")


def test_the_dashboard_compares_all_or_shows_one(fleet: Prometheus) -> None:
    """The variable `node` at All shows every node, with a tag or without; at a name, or at some, only those."""
    (height,) = expressions([panel("Height")])

    def has(expression: str, *names: str) -> None:
        fleet.shows(expression, lambda found: by_node(found).keys() == set(names), f"the heights of {names}")

    has(chosen(height), *DIALECT_OF, "")
    has(chosen(height, node="beta"), "beta")
    has(chosen(height, node="(alpha|gamma)"), "alpha", "gamma")
    query = VARIABLES["node"]["query"]["query"]
    series = re.fullmatch(r"label_values\((.*), node\)", query)
    assert series
    fleet.shows(
        f"count by (node) ({chosen(series[1])})",
        lambda found: {labels.get("node") for labels, _ in found} == {*DIALECT_OF, None},
        "each name",
    )


def test_every_panel_takes_the_choice(fleet: Prometheus) -> None:
    """No expression mixes nodes or fails because there are several: with one chosen all series are that one's."""
    for name in DIALECT_OF:
        fleet.wait_for(f'bitcoin_chain_height{{node="{name}"}}')
        for expression in expressions():
            assert {labels["node"] for labels, _ in fleet.query(chosen(expression, node=name))} <= {name}


def test_one_node_that_goes_leaves_the_others(fleet: Prometheus, nodes: dict[str, SimulatedNode]) -> None:
    """A node that stops is down under its own tag, and nothing changes for the others."""
    fleet.wait_for(f"count(bitcoin_up == 1) == {len(nodes)}")
    assert nodes["beta"].stop() == 0
    expected = {"alpha": 1, "beta": 0, "gamma": 1, "": 1}
    fleet.shows("bitcoin_up", lambda found: by_node(found) == expected, f"{expected}")
    fleet.shows(
        "bitcoin_chain_height",
        lambda found: by_node(found).keys() == {"alpha", "gamma", ""},
        "the heights of the others alone",
    )
