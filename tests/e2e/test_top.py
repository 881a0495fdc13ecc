"""`top` in a real terminal: what it shows, and what it leaves behind."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import termios
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support.nodes import PROGRAM, SimulatedNode, StartNode
from support.processes import START_SECONDS, STOP_SECONDS, wait_until
from support.scene import MARK, Scene
from support.standing import StartGuard
from support.terminal import POLL_SECONDS, StartTerminal, Terminal

from telegraf_bitcoin_ipc.ipc.dialects import STOCK, TRACING

StartTop = StartTerminal

NOT_TOLD = "not offered by this node"
LONGEST_FRAME = 20_000  # bytes


@pytest.fixture
def start_top(start_terminal: StartTerminal, socket_path: Path) -> StartTop:
    """Start `top`, polling often, in a terminal."""
    command = [PROGRAM, "top", "--poll-interval", "0.5"]
    mark = {MARK: str(socket_path)}
    return lambda *options, **how: start_terminal([*command, *options, socket_path], environment=mark, **how)


def row(screen: str, label: str) -> str:
    """Return the text after a label, up to two blanks."""
    (found,) = re.findall(rf"(?:^|  ){label:<11}(.*?)(?:  |$)", screen, re.MULTILINE)
    return str(found)


def program(scene: Scene) -> int:
    """Return the id of `top` itself."""
    (pid,) = set(scene.processes()) - set(scene.guards())
    return pid


def test_everything_a_tracing_node_reports_is_on_the_screen(start_node: StartNode, start_top: StartTop) -> None:
    """Height, age, mempool, peers, fees, reorganisations and warnings of the node fit 80 columns and 24 lines."""
    node = start_node("--dialect", TRACING.name)
    node.do("fee_estimates", rates={"2": 12.5, "6": 7, "144": 1})
    node.do("peers", inbound=3, outbound=5)
    terminal = start_top()
    terminal.shows("subscribed: utxo_cache", "regtest  tracing", "no warnings")
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
        "123.5 kB in, 654.3 kB out",
        f"block {height} connected; new tip",
        "chain state flushed to disk",
        "5 tx, ",
    )
    assert len(screen.splitlines()) == 24
    assert max(map(len, screen.splitlines())) <= 80
    assert re.search(r"In blocks +2 +6 +144", screen)
    assert re.search(r"sat/vB +12\.5 +7\.0 +1\.0", screen)
    assert re.search(r"age 0:\d\d:\d\d", screen)
    assert re.search(r"In +[\d.]+/", screen), "transactions that enter the mempool"
    assert NOT_TOLD not in screen
    a_reorganisation_and_a_warning_join_it(node, terminal, height)


def a_reorganisation_and_a_warning_join_it(node: SimulatedNode, terminal: Terminal, height: int) -> None:
    """Disconnected and connected blocks are one line each; a log line is the last, and tears nothing."""
    node.do("reorg", depth=2)
    terminal.shows(
        f"2 blocks, {height} to {height - 1}, disconnected by a reorganisation",
        f"3 blocks, {height - 1} to {height + 1}, connected; new tip",
        "+4 -2, 1 reorg",
        f"Height     {height + 1}",
    )
    node.do("fail", method="getmempoolinfo", message="out of\x1b[2J order")
    lines = terminal.shows("getmempoolinfo fails: ").splitlines()
    assert "getmempoolinfo fails" in lines[-1]
    assert "q quits" in lines[-1]
    assert lines[0].startswith("telegraf-bitcoin-ipc top")
    assert len(lines) == 24


def test_behind_a_standing_guard(
    start_node: StartNode, start_guard: StartGuard, start_terminal: StartTerminal
) -> None:
    """SOCKET may be a guard's: the screen is alive in the same way."""
    node, guard = start_node("--dialect", TRACING.name), start_guard()
    terminal = start_terminal([PROGRAM, "top", "--poll-interval", "0.5", guard.socket])
    terminal.shows("subscribed: utxo_cache", "regtest  tracing")
    node.do("accept", count=7)
    terminal.shows("7 tx")


def test_what_a_stock_node_does_not_report_is_not_0(start_node: StartNode, start_top: StartTop) -> None:
    """On a stock node, mempool events and the coins cache are marked as absent; the rest is shown."""
    node = start_node("--dialect", STOCK.name)
    terminal = start_top()
    terminal.shows("regtest  stock", "in step with the network", "Last block 1 tx")  # which follows the first poll
    height = node.do("accept", count=3)["height"]
    terminal.shows(f"tip at height {height}")
    node.do("block", transactions=2)
    height = node.totals["height"]
    screen = terminal.shows(f"block {height} connected; new tip", "1 tx", f"Height     {height}")
    for label in ("In", "Out", "Added", "Spent", "Dropped"):
        assert row(screen, label) == NOT_TOLD, label


def test_a_download_has_a_bar_and_an_estimate(start_node: StartNode, start_top: StartTop) -> None:
    """During initial block download a bar shows the progress, later with the time left."""
    node = start_node()
    node.do("ibd", on=True)
    node.do("headers", height=1000)
    terminal = start_top()
    screen = terminal.shows("headers 1,000", "no estimate yet", "% downloaded", "━")
    assert row(screen, "Added") == "after the download"

    def estimated() -> bool:
        node.do("block")
        return re.search(r"% downloaded, about [\d:]+ left", terminal.screen) is not None

    wait_until(estimated, START_SECONDS, lambda: f"an estimate\n{terminal.screen}", POLL_SECONDS)
    node.do("ibd", on=False)
    terminal.shows("in step with the network", "subscribed: utxo_cache")


def test_a_lost_node_leaves_no_old_values(start_node: StartNode, start_top: StartTop) -> None:
    """Without a session the screen shows why, and no value; once the node is back it shows them again."""
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache", "in step with the network")
    node.kill()
    screen = terminal.shows("No node on", "nothing listens on it", "the node closed the connection")
    for old in ("Height", "Mempool", "tracing ", "/Satoshi"):
        assert old not in screen.partition("Events")[0]
    node.start()
    terminal.shows("Height", "in step with the network")
    again = "the node was watched again"
    wait_until(lambda: terminal.screen.count("subscribed: utxo_cache") == 2, START_SECONDS, again, POLL_SECONDS)


def test_a_terminal_that_is_too_small(start_node: StartNode, start_top: StartTop) -> None:
    """Below 80 by 24 there is one sentence; once the terminal is larger, the node."""
    start_node()
    terminal = start_top(columns=60, lines=15)
    screen = terminal.shows("top needs 80 columns and 24 lines, but this terminal has")
    assert "Height" not in screen
    terminal.resize(100, 30)
    screen = terminal.shows("Height", "Coins cache", "q quits")
    assert len(screen.splitlines()) == 30
    terminal.resize(79, 30)
    terminal.shows("this terminal has 79")


def test_a_terminal_without_a_cursor_is_refused(start_terminal: StartTerminal) -> None:
    """A terminal that can only print lines gets one sentence, and exit status 2."""
    terminal = start_terminal([PROGRAM, "top", "node.sock"], environment={"TERM": "dumb"})
    terminal.shows("top needs a terminal that can move its cursor", "status 2", "stty 0")


@pytest.mark.parametrize("how", ["q", "C-c", "SIGHUP", "SIGKILL", "a closed terminal"])
def test_the_end(start_node: StartNode, start_top: StartTop, scene: Scene, how: str) -> None:
    """q, Ctrl-C and signals unsubscribe from the node and restore the terminal; the status is 0.

    A kill or a closed window leaves no process behind, and does not harm the node either.
    """
    node, terminal = start_node(), start_top()
    terminal.shows("subscribed: utxo_cache")
    assert terminal.has("alternate_on") == 1
    if how.startswith("SIG"):
        os.kill(program(scene), signal.Signals[how])
    elif how == "a closed terminal":
        terminal.close()
    else:
        terminal.press(how)
    if how in ("q", "C-c", "SIGHUP"):
        terminal.ends()
    scene.unharmed(node)


def test_without_a_node_it_ends_as_well(start_top: StartTop, scene: Scene) -> None:
    """q also works while it waits for a node."""
    terminal = start_top()
    terminal.shows("no such socket")
    terminal.press("q")
    terminal.ends()
    scene.empty()


class StalledTop:
    """`top` on a pseudo-terminal that is full from the beginning and that nobody reads yet."""

    def __init__(self, processes: ExitStack, *options: str | Path) -> None:
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
        processes.callback(self.process.wait)
        processes.callback(self.process.kill)

    def reads(self, text: str) -> None:
        """Read the terminal until a text comes."""
        read = b""
        while text.encode() not in read:
            assert select.select([self.ours], [], [], START_SECONDS)[0], f"{text} on the screen\n{read!r}"
            read = read[-LONGEST_FRAME:] + os.read(self.ours, 4096)

    def ends(self) -> None:
        """Wait for it to exit with status 0 and without a message."""
        wait_until(lambda: self.process.poll() is not None, STOP_SECONDS, "the end of top")
        assert self.process.stderr is not None
        with self.process.stderr as messages:
            assert (self.process.returncode, messages.read()) == (0, b"")


@pytest.mark.parametrize("how", ["q", "SIGTERM"])
def test_a_terminal_that_does_not_read_delays_nothing(
    start_node: StartNode, processes: ExitStack, socket_path: Path, how: str
) -> None:
    """With a stalled terminal the node's callbacks are answered, even without a guard, and `top` exits."""
    node = start_node()
    top = StalledTop(processes, "--no-guard", socket_path)
    node.says("subscribed", 2)
    for _ in range(3):
        node.do("accept", count=20)
        node.do("block", outputs=100)
    if how == "q":
        os.write(top.ours, b"q")
    else:
        top.process.send_signal(signal.Signals[how])
    top.ends()
    os.close(top.ours)
    node.do("block")
    assert node.stop() == 0
    assert not node.lines("abort")


def test_a_terminal_that_reads_again_shows_the_newest(
    start_node: StartNode, processes: ExitStack, socket_path: Path
) -> None:
    """After a stall the events that came meanwhile are on the screen."""
    node = start_node()
    top = StalledTop(processes, socket_path)
    node.says("subscribed", 2)
    node.do("block")
    top.reads(f"block {node.totals['height']} connected; new tip")
    top.process.terminate()
    top.ends()
    os.close(top.ours)


def test_a_terminal_that_closes_without_a_signal_ends_it(
    start_node: StartNode, processes: ExitStack, socket_path: Path
) -> None:
    """Without a SIGHUP, errors of the terminal end it: status 0, and no traceback."""
    node = start_node()
    top = StalledTop(processes, socket_path)
    node.says("subscribed", 2)
    os.close(top.ours)
    top.ends()
    node.says("unsubscribed", 2)
    assert node.stop() == 0
