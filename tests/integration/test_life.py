"""What happens when: the node starts late, stops, restarts, is in initial block download; the plugin ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from support.nodes import PROGRAM, StartNode, StartPlugin, value
from support.processes import START_SECONDS, STOP_SECONDS, wait_until
from support.scene import watched

GAUGES = ("chain_height", "header_height", "block_height", "ibd", "mempool_size", "peers", "bytes_recv_total")


def test_a_node_that_is_not_there_yet(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """Without a node the plugin says so once, shows up 0 and nothing stale, and serves the node when it comes."""
    plugin = start_plugin()
    series = plugin.shows(lambda series: value(series, "up") == 0, "the node is down")
    assert not [field for field in GAUGES if value(series, field) is not None]
    plugin.logged("there is no such socket (is the node running, with -ipcbind=unix?)")
    node = start_node()
    watched(plugin)
    node.do("block")
    plugin.shows(lambda series: value(series, "up") == 1, "the node is up")
    assert plugin.stderr.count("W! ") == 1


@pytest.mark.parametrize("how", ["end of file", "SIGTERM", "SIGINT"])
def test_a_clean_end_leaves_the_node_alone(start_node: StartNode, start_plugin: StartPlugin, how: str) -> None:
    """At end of file and at a signal the plugin unsubscribes, one after another, and ends with status 0."""
    node, plugin = start_node(), start_plugin()
    watched(plugin)
    node.begin("block", outputs=2000)  # it ends while callbacks are under way
    if how == "end of file":
        plugin.stdin.close()
    else:
        plugin.send(signal.Signals[how])
    assert plugin.wait() == 0
    node.says("unsubscribed", 2)
    node.says("settled")
    node.do("block")
    assert node.stop() == 0
    assert not node.lines("abort")


def test_a_broken_stdout_ends_the_plugin(start_node: StartNode, socket_path: Path) -> None:
    """When nobody can read its output any more the plugin leaves the node and ends."""
    node = start_node()
    reader, writer = os.pipe()
    command = [str(PROGRAM), "--emit-interval", "0.1", str(socket_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.DEVNULL) as plugin:
        os.close(writer)
        assert b"bitcoin" in os.read(reader, 100)
        os.close(reader)
        wait_until(lambda: plugin.poll() is not None, STOP_SECONDS, "the end of the plugin")
        assert plugin.returncode == 0
    node.do("block")
    assert not node.lines("abort")


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_pipes_that_do_not_block(start_node: StartNode, socket_path: Path, stream: str) -> None:
    """With O_NONBLOCK on a pipe, and an output that is full, the plugin waits, and goes on when that is read."""
    node = start_node()
    pipes = {name: os.pipe() for name in ("stdin", "stdout", "stderr")}
    theirs = {name: pair[name != "stdin"] for name, pair in pipes.items()}
    ours = {name: pair[name == "stdin"] for name, pair in pipes.items()}
    os.set_blocking(theirs[stream], False)
    filled = 0 if stream == "stdin" else fill(theirs[stream])
    command = [str(PROGRAM), "--emit-interval", "0.1", str(socket_path)]
    with subprocess.Popen(
        command, stdin=theirs["stdin"], stdout=theirs["stdout"], stderr=theirs["stderr"]
    ) as plugin:
        for descriptor in theirs.values():
            os.close(descriptor)
        try:
            node.says("subscribed", 2)
            while filled:
                filled -= len(read(ours[stream], filled))
            assert b"bitcoin" in read(ours["stdout"], 100)
            assert b"I! connected" in read(ours["stderr"], 100)
            assert plugin.poll() is None
        finally:
            for descriptor in ours.values():
                os.close(descriptor)
    assert plugin.returncode == 0


def read(descriptor: int, size: int) -> bytes:
    """Wait for bytes in a pipe and return so many of them at most; fail if none come."""
    assert select.select([descriptor], [], [], START_SECONDS)[0], "nothing came"
    data = os.read(descriptor, size)
    assert data, "the pipe was closed"
    return data


def fill(descriptor: int) -> int:
    """Write to a pipe that does not block until it is full; return how many bytes that took."""
    written = 0
    with suppress(BlockingIOError):
        while True:
            written += os.write(descriptor, b"." * 4096)
    return written


def test_initial_block_download_defers_the_trace(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """In initial block download the UTXO cache is not traced; the first poll after it subscribes, and says so."""
    node = start_node()
    node.do("ibd", on=True)
    node.do("headers", height=5000)
    plugin = start_plugin("--poll-interval", "0.2")
    plugin.logged("I! the UTXO cache trace starts after initial block download")
    series = plugin.shows(lambda series: value(series, "ibd") == 1, "initial block download")
    assert value(series, "header_height") == 5000
    progress = value(series, "verification_progress")
    assert progress is not None
    assert progress < 1
    assert value(series, "subscription_active", subscription="utxo_cache") == 0
    node.do("ibd", on=False)
    watched(plugin)
    node.do("block")
    plugin.shows(
        lambda series: value(series, "ibd") == 0 and value(series, "utxo_cache_add_total") == 1,
        "the end of initial block download, and a coin",
    )


def test_emissions_need_no_newline(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """With signal = "none" the timer brings the whole set again and again, and a block an emission of its own."""
    node, slow = start_node(), start_plugin("--emit-interval", "3600")
    watched(slow)
    height = node.do("block")["height"]
    slow.wait_until(lambda: value(slow.latest, "block_height") == height, "an emission with the new height")
    plugin = start_plugin("--emit-interval", "0.1")
    watched(plugin)
    before = len(plugin.emissions)
    plugin.wait_until(lambda: len(plugin.emissions) > before + 3, "four more emissions")
    assert value(plugin.latest, "chain_height") is not None
