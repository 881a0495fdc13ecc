"""A node that takes its time to stop, as one with a large cache does: it listens, and any call can abort it."""

from __future__ import annotations

import pytest
from support.nodes import SimulatedNode, StartNode, StartPlugin, value
from support.standing import StartGuard

from telegraf_bitcoin_ipc import cli
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS

ALL = [dialect.name for dialect in DIALECTS]
SLOW = "3600"
"""Seconds that a node takes to stop, unless it is hastened."""


def asked(node: SimulatedNode) -> dict[str, int]:
    """How often each method of the node was called, but those that a stopping node may be asked."""
    calls: dict[str, int] = {**node.totals["calls"], **node.totals["rpc_calls"]}
    return calls


def stopped(node: SimulatedNode) -> None:
    """Have a node that was told to stop end, with status 0."""
    node.says("stopping")  # two signals in a row would be one
    if not node.lines("torn down"):
        node.hasten_stop()
        node.says("torn down")
    node.hasten_stop()
    assert node.wait() == 0
    node.stop()


@pytest.mark.parametrize("dialect", ALL)
def test_a_stopping_node_is_left_alone(
    start_node: StartNode, start_guard: StartGuard, start_plugin: StartPlugin, dialect: str
) -> None:
    """With either guard, a node that begins to stop is left alone, which is logged once; then it is back."""
    node = start_node("--dialect", dialect, "--stop-seconds", SLOW)
    plugins = [start_plugin("--debug", socket=socket) for socket in (node.socket, start_guard().socket)]
    for plugin in plugins:
        plugin.shows(lambda series: value(series, "up") == 1, "the node is watched")
    node.do("block")
    node.begin_stop()
    for plugin in plugins:
        plugin.logged("D! the node is stopping; trying again", 2)
    stopped(node)
    assert asked(node).get("Init.makeMining") == len(plugins)
    assert not node.lines("abort")
    node.start()
    for plugin in plugins:
        assert plugin.stderr.count("W! the node is stopping; trying again") == 1
        plugin.shows(lambda series: value(series, "connects_total") == 2, "the next start is watched")
    node.begin_stop()
    stopped(node)


@pytest.mark.parametrize("dialect", ALL)
def test_who_comes_to_a_stopping_node_leaves_it_alone(
    start_node: StartNode, start_guard: StartGuard, capsys: pytest.CaptureFixture[str], dialect: str
) -> None:
    """A program that connects while a node stops learns so by one safe question: the node ends with status 0."""
    node = start_node("--dialect", dialect, "--stop-seconds", SLOW)
    node.begin_stop()
    expected = "may be starting or stopping" if dialect == "stock-30" else "the node is stopping"
    for moment in ("stopping", "torn down"):
        node.says(moment)
        guard = start_guard()  # one that has not seen the node before
        for socket in (node.socket, guard.socket):
            assert cli.main(["once", str(socket)]) == 1
            assert expected in capsys.readouterr().err
        assert guard.stop() == 0
        if moment == "stopping":
            node.hasten_stop()
    stopped(node)
    assert not node.lines("abort")
    assert not [method for method in asked(node) if method.startswith(("Mining.", "Chain.", "get"))]
