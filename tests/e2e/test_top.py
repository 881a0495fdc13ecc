"""`top` in a real terminal: what can be read on it, and what is left when it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support.nodes import PROGRAM, SimulatedNode
from support.processes import START_SECONDS, STOP_SECONDS, wait_until
from support.scene import MARK, Scene
from support.terminal import Terminal

from telegraf_bitcoin_ipc.ipc.dialects import STOCK, TRACING

StartNode = Callable[..., SimulatedNode]
StartTop = Callable[..., Terminal]

NOT_TOLD = "not offered by this node"


@pytest.fixture
def start_top(start_terminal: Callable[..., Terminal], socket_path: Path) -> StartTop:
    """Start `top`, polling often, in a terminal."""
    command = [PROGRAM, "top", "--poll-interval", "0.5"]
    mark = {MARK: str(socket_path)}
    return lambda *options, **how: start_terminal([*command, *options, socket_path], environment=mark, **how)


def row(screen: str, label: str) -> str:
    """Return what stands after a label, up to two blanks and the next part."""
    (found,) = re.findall(rf" {label:<11}(.*?)(?:  |$)", screen, re.MULTILINE)
    return str(found)


def program(scene: Scene) -> int:
    """Return the id of `top` itself."""
    (pid,) = set(scene.processes()) - set(scene.guards())
    return pid


def test_everything_a_tracing_node_tells_is_on_the_screen(start_node: StartNode, start_top: StartTop) -> None:
    """Height, age, mempool, peers, fees and events of the node can be read in 80 columns and 24 lines."""
    node = start_node("--dialect", TRACING.name)
    node.do("fee_estimates", rates={"2": 12.5, "6": 7, "144": 1})
    node.do("peers", inbound=3, outbound=5)
    terminal = start_top()
    terminal.shows("subscribed: utxo_cache", "regtest  tracing")
    node.do("accept", count=7)
    node.do("block", transactions=4)
    node.do("traffic", received=123_456, sent=654_321)
    node.do("flush")
    height = node.totals["height"]
    screen = terminal.shows(
        f"Height     {height}",
        f"headers {height}",
        "+1 -0",
        "3 tx",
        "8: 5 outbound, 3 inbound",
        "123 kB in, 654 kB out",
        f"block {height} connected; new tip",
        "chain state flushed to disk",
        "5 tx, ",
    )
    assert len(screen.splitlines()) == 24
    assert max(map(len, screen.splitlines())) <= 80
    assert re.search(r"In blocks +2 +6 +144", screen)
    assert re.search(r"sat/vB +12\.5 +7\.0 +1\.0", screen)
    assert re.search(r"age \d+ s", screen)
    assert re.search(r"In +[\d.]+/", screen), "transactions that enter the mempool"
    assert NOT_TOLD not in screen


def test_a_reorganisation_is_told_with_heights_and_numbers(start_node: StartNode, start_top: StartTop) -> None:
    """Blocks that leave the chain, and those that come, are one line each, with what they are and how many."""
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache")
    height = node.do("accept")["height"]
    node.do("reorg", depth=2)
    terminal.shows(
        f"2 blocks, {height} to {height - 1}, disconnected by a reorganisation",
        f"3 blocks, {height - 1} to {height + 1}, connected; new tip",
        "+3 -2, 1 reorg",
        f"Height     {height + 1}",
    )


def test_what_a_stock_node_does_not_tell_is_said_and_not_0(start_node: StartNode, start_top: StartTop) -> None:
    """On a stock node the mempool's events and the coins cache are said to be not told; the rest is there."""
    node = start_node("--dialect", STOCK.name)
    terminal = start_top()
    terminal.shows("regtest  stock", "in step with the network")
    height = node.do("accept", count=3)["height"]
    terminal.shows(f"tip at height {height}")
    node.do("block", transactions=2)
    height = node.totals["height"]
    screen = terminal.shows(f"block {height} connected; new tip", "1 tx", f"Height     {height}")
    for label in ("In", "Out", "Added", "Spent", "Dropped"):
        assert row(screen, label) == NOT_TOLD, label


def test_a_download_has_a_bar_and_an_estimate(start_node: StartNode, start_top: StartTop) -> None:
    """In initial block download there is a bar with the part that is done, then how long the rest takes."""
    node = start_node()
    node.do("ibd", on=True)
    node.do("headers", height=1000)
    terminal = start_top()
    screen = terminal.shows("headers 1,000", "no estimate yet", "% downloaded", "█", "░")
    assert row(screen, "Added") == "after the download"

    def estimated() -> bool:
        node.do("block")
        return re.search(r"% downloaded, about [\dhmins ]+ left", terminal.screen) is not None

    wait_until(estimated, START_SECONDS, lambda: f"an estimate\n{terminal.screen}")
    node.do("ibd", on=False)
    terminal.shows("in step with the network", "subscribed: utxo_cache")


def test_a_node_that_is_gone_leaves_nothing_old(start_node: StartNode, start_top: StartTop) -> None:
    """Without its node the screen shows no value of it and says what it waits for; then the node is back."""
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache", "in step with the network")
    node.kill()
    screen = terminal.shows("No node on", "nothing listens on it", "the node closed the connection")
    for old in ("Height", "Mempool", "tracing ", "/Satoshi"):
        assert old not in screen.partition("Events")[0]
    node.start()
    terminal.shows("Height", "in step with the network")
    wait_until(
        lambda: terminal.screen.count("subscribed: utxo_cache") == 2, START_SECONDS, "the node was watched again"
    )


def test_a_terminal_that_is_too_small(start_node: StartNode, start_top: StartTop) -> None:
    """Below 80 by 24 there is one sentence; once the terminal is larger the node is there."""
    start_node()
    terminal = start_top(columns=60, lines=15)
    screen = terminal.shows("top needs 80 columns and 24 lines, and this terminal has")
    assert "Height" not in screen
    terminal.resize(100, 30)
    screen = terminal.shows("Height", "Coins cache", "q quits")
    assert len(screen.splitlines()) == 30
    terminal.resize(79, 30)
    terminal.shows("this terminal has 79")


def test_a_terminal_without_a_cursor_is_refused(start_terminal: Callable[..., Terminal]) -> None:
    """A terminal that can only print lines gets one sentence, and exit status 2."""
    terminal = start_terminal([PROGRAM, "top", "node.sock"], environment={"TERM": "dumb"})
    terminal.shows("top needs a terminal that can move its cursor", "status 2", "stty 0")


@pytest.mark.parametrize("how", ["q", "C-c", "SIGTERM", "SIGHUP"])
def test_the_end(start_node: StartNode, start_top: StartTop, scene: Scene, how: str) -> None:
    """At q, Ctrl-C and a signal the node is left in peace, the terminal is as before, and the status is 0."""
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache")
    assert terminal.has("alternate_on") == 1
    if how.startswith("SIG"):
        os.kill(program(scene), signal.Signals[how])
    else:
        terminal.press(how)
    terminal.ends()
    scene.unharmed(node)


def test_without_a_node_it_ends_as_well(start_top: StartTop, scene: Scene) -> None:
    """While it waits for a node q ends it, too."""
    terminal = start_top()
    terminal.shows("no such socket")
    terminal.press("q")
    terminal.ends()
    scene.empty()


def test_a_terminal_that_goes_away_ends_it(start_node: StartNode, start_top: StartTop, scene: Scene) -> None:
    """A closed window or a lost connection leaves no process behind, and the node is unharmed."""
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache")
    terminal.close()
    scene.unharmed(node)


def test_a_killed_top_does_not_harm_the_node(start_node: StartNode, start_top: StartTop, scene: Scene) -> None:
    """The guard leaves the node in peace when the program itself can no longer do so."""
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache")
    os.kill(program(scene), signal.SIGKILL)
    scene.unharmed(node)


class Pseudo:
    """`top` on a pseudo-terminal whose other end nobody reads: it is full from the beginning."""

    def __init__(self, *options: str | Path) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        os.set_blocking(theirs, False)
        with suppress(BlockingIOError):
            while True:
                os.write(theirs, bytes(4096))
        os.set_blocking(theirs, True)
        self.process = subprocess.Popen(
            [PROGRAM, "top", "--poll-interval", "0.5", *options],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=os.environ | {"TERM": "xterm"},
            start_new_session=True,
        )
        os.close(theirs)

    def ends(self) -> None:
        """Wait for its end by itself: status 0, and no complaint."""
        wait_until(lambda: self.process.poll() is not None, STOP_SECONDS, "the end of top")
        assert self.process.stderr is not None
        with self.process.stderr as complaints:
            assert (self.process.returncode, complaints.read()) == (0, b"")


@pytest.fixture
def start_pseudo(processes: ExitStack) -> Callable[..., Pseudo]:
    """Start `top` on a pseudo-terminal; it is killed after the test if it has not ended."""

    def start(*options: str | Path) -> Pseudo:
        pseudo = Pseudo(*options)
        processes.callback(pseudo.process.wait)
        processes.callback(pseudo.process.kill)
        return pseudo

    return start


def test_a_terminal_that_does_not_read_holds_nothing_up(
    start_node: StartNode, start_pseudo: Callable[..., Pseudo], socket_path: Path
) -> None:
    """With a stalled terminal the node's callbacks are answered, without a guard, too; the end is clean."""
    node = start_node()
    top = start_pseudo("--no-guard", socket_path)
    node.says("subscribed", 2)
    for _ in range(3):
        node.do("accept", count=20)
        node.do("block", outputs=100)
    top.process.send_signal(signal.SIGTERM)
    top.ends()
    os.close(top.ours)
    node.do("block")
    assert node.stop() == 0
    assert not node.lines("abort")


def test_a_terminal_that_goes_without_a_signal_ends_it(
    start_node: StartNode, start_pseudo: Callable[..., Pseudo], socket_path: Path
) -> None:
    """Where no SIGHUP comes the terminal's errors say that it has gone: status 0, and no traceback."""
    node = start_node()
    top = start_pseudo(socket_path)
    node.says("subscribed", 2)
    os.close(top.ours)
    top.ends()
    node.says("unsubscribed", 2)
    assert node.stop() == 0


def test_a_warning_does_not_tear_the_screen(start_node: StartNode, start_top: StartTop) -> None:
    """What would go to the log is in the last line, and everything else stands where it stood."""
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache", "no warnings")
    node.do("fail", method="getmempoolinfo", message="out of\x1b[2J order")
    screen = terminal.shows("getmempoolinfo fails: ")
    lines = screen.splitlines()
    assert "getmempoolinfo fails" in lines[-1]
    assert "q quits" in lines[-1]
    assert lines[0].startswith(" telegraf-bitcoin-ipc top")
    assert len(lines) == 24
