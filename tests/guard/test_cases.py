"""Whatever happens to the plugin, to Telegraf or to the guard's start: the node lives, and nothing is left.

Real processes: a merciless simulated node, the plugin, its guard. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.counts import CHAIN, delivered, differences
from support.defective import BLOCKED, GUARD_MAY_START, LAST_WORDS, UNBLOCKED
from support.nodes import PROGRAM, Plugin, Series, SimulatedNode, value
from support.processes import START_SECONDS, alive, children, free_port, wait_until, wait_until_full
from support.scene import Scene, connections, counted, descriptors, watched
from support.subscriber import BRAKE_AFTER, Subscriber
from support.telegraf import Telegraf

StartTelegraf = Callable[..., Telegraf]

# An event is answered before the next is sent: on a busy machine each costs two turns of the scheduler.
BURST = 5 * BRAKE_AFTER

StartSubscriber = Callable[..., Subscriber]
HoldABurst = Callable[[SimulatedNode, Plugin], Subscriber]


@pytest.fixture
def hold_a_burst(start_subscriber: StartSubscriber) -> HoldABurst:
    """Have a node send a burst of UTXO events, and hold it up in the middle, until SIGCONT to what it returns.

    That is a second subscriber, which has to be stopped at the end.
    """

    def hold(node: SimulatedNode, plugin: Plugin) -> Subscriber:
        brake = start_subscriber("utxo_cache", "brake")
        brake.logged("ready")
        node.begin("block", outputs=BURST)
        brake.wait_until(lambda: brake.frozen, "the burst was held up")
        plugin.shows(lambda series: (value(series, "utxo_cache_add_total") or 0) > 0, "a burst")
        assert not node.lines("block")
        return brake

    return hold


def down(series: Series) -> bool:
    """Whether the plugin says that the node does not answer."""
    return value(series, "up") == 0


# The plugin dies


def test_killed_while_idle(scene: Scene) -> None:
    """SIGKILL while nothing happens: the guard leaves the node in its stead."""
    node = scene.node()
    plugin = scene.watching()
    node.do("block")
    plugin.kill()
    node.says("unsubscribed", 2)
    scene.unharmed(node)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=lambda number: number.name)
def test_killed_in_a_burst(scene: Scene, hold_a_burst: HoldABurst, number: signal.Signals) -> None:
    """SIGKILL or SIGSEGV in the middle of thousands of UTXO events: each that was sent is answered."""
    node = scene.node()
    plugin = scene.watching()
    brake = hold_a_burst(node, plugin)
    plugin.send(number)
    brake.send(signal.SIGCONT)
    assert plugin.wait() == -number
    node.says("unsubscribed", 2)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


def test_killed_in_a_poll(scene: Scene, hold_a_burst: HoldABurst) -> None:
    """SIGKILL while the node is at work on a poll, which its validation holds up."""
    node = scene.node()
    plugin = scene.watching("--poll-interval", "0.1")
    brake = hold_a_burst(node, plugin)

    def held_up(series: Series) -> bool:  # ten polls are due by then
        return time.time() - (value(series, "last_poll_timestamp_seconds") or time.time()) > 1

    plugin.shows(held_up, "a poll that is held up")
    plugin.kill()
    brake.send(signal.SIGCONT)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


def test_killed_between_the_two_subscriptions(scene: Scene) -> None:
    """SIGKILL with one subscription made and the other still to come."""
    node = scene.node()
    node.do("ibd", on=True)
    plugin = scene.plugin()
    plugin.logged("the UTXO cache trace starts after initial block download")
    plugin.kill()
    node.says("unsubscribed")
    scene.unharmed(node)


def test_killed_in_the_handshake(scene: Scene) -> None:
    """SIGKILL with the node's first answers outstanding: it has been connected to, and does not answer yet."""
    node = scene.node()
    node.freeze()
    plugin = scene.plugin()
    guard = scene.guard()  # it is started with a socket that is connected
    plugin.kill()
    node.send(signal.SIGCONT)
    wait_until(lambda: not alive(guard), START_SECONDS, "the end of the guard")
    scene.unharmed(node)


def test_killed_while_the_node_warms_up(scene: Scene) -> None:
    """SIGKILL while the node still loads its chain, when the wrong question would abort it."""
    node = scene.node("--warmup", "3600")
    plugin = scene.plugin()
    plugin.logged("the node is still starting")
    plugin.kill()
    scene.empty()
    node.do("load")
    watched(late := scene.plugin())
    assert late.stop() == 0
    scene.unharmed(node)


def test_killed_at_any_moment_of_its_start(scene: Scene) -> None:
    """SIGKILL at increasing delays after the start, while the node is at work."""
    node = scene.node()
    plugin = scene.plugin()
    began = time.monotonic()
    watched(plugin)
    whole = time.monotonic() - began
    assert plugin.stop() == 0
    for sixth in range(2, 8):
        plugin.start()
        node.begin("block", outputs=20)
        time.sleep(whole * sixth / 6)
        plugin.kill()
    scene.unharmed(node)


@pytest.mark.parametrize("delay", [0, 0.01, 0.05])
def test_killed_while_it_unsubscribes(scene: Scene, hold_a_burst: HoldABurst, delay: float) -> None:
    """SIGTERM, and SIGKILL right after it, in the middle of a burst: the guard goes on with what was begun."""
    node = scene.node()
    plugin = scene.watching()
    brake = hold_a_burst(node, plugin)
    plugin.send(signal.SIGTERM)
    time.sleep(delay)
    plugin.kill()
    brake.send(signal.SIGCONT)
    node.says("unsubscribed", 2)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


def test_a_real_segmentation_fault(scene: Scene) -> None:
    """C code that the plugin runs in a callback crashes."""
    node = scene.node()
    plugin = scene.watching(defect="segmentation fault")
    node.do("block", outputs=200)
    assert plugin.wait() == -signal.SIGSEGV
    scene.unharmed(node)


def test_out_of_memory(scene: Scene) -> None:
    """The plugin uses up its memory in a callback, and dies or is of no more use."""
    node = scene.node()
    plugin = scene.watching(defect="memory used up")
    for _ in range(3):
        node.do("block", outputs=200)
        node.do("accept", count=200)
    plugin.kill()
    scene.unharmed(node)


# The plugin does not answer


def test_stopped_for_a_while_and_nothing_is_lost(scene: Scene) -> None:
    """SIGSTOP, more events than the socket takes, SIGCONT: each was answered by then, and is counted."""
    node = scene.node()
    plugin = scene.watching()
    plugin.freeze()
    node.do("accept", count=500)
    for _ in range(3):
        node.do("block", outputs=200)
        node.do("accept", count=50)
    node.do("reorg", depth=2)
    node.do("flush")
    assert plugin.frozen
    plugin.send(signal.SIGCONT)
    series = counted(plugin, node)
    assert value(series, "events_dropped_total") == 0
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_stopped_for_too_long_and_what_is_lost_is_counted(scene: Scene) -> None:
    """More events than the guard keeps (its bound made small here): dropped ones and counted ones are all."""
    node = scene.node()
    plugin = scene.watching(defect="small queue")
    plugin.freeze()
    for _ in range(3):
        node.do("accept", count=500)
        node.do("block", outputs=200, transactions=0)
    plugin.send(signal.SIGCONT)
    wanted = delivered(node)
    chain = sum(wanted[field] for field in CHAIN)

    def all_there(series: Series) -> bool:
        here = sum(value(series, field) or 0 for field in CHAIN)
        return here + (value(series, "events_dropped_total") or 0) == chain

    series = plugin.shows(all_there, f"counted and dropped together {chain}")
    assert 0 < (value(series, "events_dropped_total") or 0) < chain
    assert not set(differences(series, node)) - set(CHAIN)  # the guard has counted every UTXO event
    assert value(series, "block_height") == node.totals["height"]  # the oldest went, the newest are there
    assert plugin.stop() == 0
    scene.unharmed(node)


@pytest.mark.parametrize("defect", ["callbacks raise", "callbacks missing"])
def test_callbacks_that_fail(scene: Scene, defect: str) -> None:
    """Callbacks that raise, or are not there: the guard's answers stand, and its counts are right."""
    node = scene.node()
    plugin = scene.watching("--debug", defect=defect)
    node.do("accept", count=20)
    node.do("block", outputs=100)
    node.do("reorg", depth=2)
    node.do("flush")
    wait_until(lambda: not set(differences(plugin.ask(), node)) - set(CHAIN), START_SECONDS, lambda: plugin.log)
    assert value(plugin.latest, "blocks_connected_total") == 0
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_destroy_that_raises(scene: Scene) -> None:
    """A plugin whose callbacks raise when the node lets go of them leaves as cleanly."""
    node = scene.node()
    plugin = scene.watching(defect="destroy raises")
    node.do("block", outputs=100)
    counted(plugin, node)
    assert plugin.stop() == 0
    node.says("unsubscribed", 2)
    scene.unharmed(node)


def test_a_blocked_event_loop(scene: Scene, tmp_path: Path) -> None:
    """The plugin does not come out of a callback: the node goes on, and everything is counted in the end."""
    node = scene.node()
    plugin = scene.watching(defect="loop blocked")
    node.do("block")
    plugin.wait_until((tmp_path / BLOCKED).exists, "the loop was blocked")
    node.do("accept", count=100)
    node.do("block", outputs=200)
    node.do("flush")
    (tmp_path / UNBLOCKED).touch()
    counted(plugin, node)
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_output_that_is_never_read(scene: Scene, tmp_path: Path) -> None:
    """Full pipes on stdout and stderr, with every event logged, hold nothing up; what is read later is right."""
    node = scene.node()
    command = [str(PROGRAM), "--debug", "--emit-interval", "0.1", str(node.socket)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **scene.mark}
    ) as popen:
        assert popen.stdin is not None
        try:
            node.says("subscribed", 2)
            for _ in range(3):  # some 700 lines of log each: more than pipe and queue hold
                node.do("block", outputs=600)
                node.do("accept", count=50)
            wait_until_full(popen.stdout, popen.stderr)
            node.do("block")
            plugin = _Read(popen, node.socket, tmp_path)
            wait_until(
                lambda: not differences(plugin.latest, node),
                START_SECONDS,
                lambda: str(differences(plugin.latest, node)),
            )
        finally:
            popen.stdin.close()
            popen.stdin = None
        wait_until(lambda: popen.poll() is not None, START_SECONDS, "the end of the plugin")
        assert popen.returncode == 0
        plugin.drained()
    scene.unharmed(node)


class _Read(Plugin):
    """A plugin that was started by others, whose pipes are read from now on."""

    def __init__(self, popen: subprocess.Popen[bytes], socket: Path, directory: Path) -> None:
        super().__init__(socket, directory)
        self._text = b""
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._threads = [
            threading.Thread(target=self._read, args=(popen.stdout.fileno(), True), daemon=True),
            threading.Thread(target=self._read, args=(popen.stderr.fileno(), False), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, descriptor: int, kept: bool) -> None:
        while data := os.read(descriptor, 1 << 16):
            if kept:
                self._text += data

    @property
    def stdout(self) -> str:
        return self._text.decode()

    def drained(self) -> None:
        """Wait for the end of both pipes."""
        for thread in self._threads:
            thread.join(START_SECONDS)
            assert not thread.is_alive()


# Telegraf


def telegraf_with(scene: Scene, node: SimulatedNode, start_telegraf: StartTelegraf) -> Telegraf:
    """Start a Telegraf that watches the node, and wait until it does."""
    command = [str(PROGRAM), "config", "--metrics-addr", f"127.0.0.1:{free_port()}", str(node.socket)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    telegraf = start_telegraf(text, environment=scene.mark)
    node.says("subscribed", 2)
    return telegraf


@pytest.mark.telegraf
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_telegraf_ends(scene: Scene, start_telegraf: StartTelegraf, number: signal.Signals) -> None:
    """Telegraf is stopped, or killed, in the middle of a burst: plugin and guard go with it."""
    node = scene.node()
    telegraf = telegraf_with(scene, node, start_telegraf)
    node.begin("block", outputs=2000)
    telegraf.send(number)
    telegraf.wait()
    node.says("unsubscribed", 2)
    node.says("settled")
    scene.unharmed(node)


@pytest.mark.telegraf
def test_telegraf_is_reloaded(scene: Scene, start_telegraf: StartTelegraf) -> None:
    """SIGHUP: the old plugin leaves with its guard, a new one comes, and the node notices nothing else."""
    node = scene.node()
    telegraf = telegraf_with(scene, node, start_telegraf)
    (guard,) = scene.guards()
    node.begin("block", outputs=2000)
    telegraf.reload()
    node.says("unsubscribed", 2)
    node.says("subscribed", 4)
    wait_until(lambda: not alive(guard), START_SECONDS, "the end of the first guard")
    assert len(scene.guards()) == 1
    node.says("settled")
    node.do("block")
    assert telegraf.stop() == 0
    scene.unharmed(node)


# The node ends


@pytest.mark.parametrize("plugin_is", ["alive", "stopped", "dead"])
def test_the_node_is_told_to_stop(scene: Scene, plugin_is: str) -> None:
    """A node that is told to stop stops cleanly, be the plugin alive, stopped or just killed."""
    node = scene.node()
    plugin = scene.watching()
    node.do("block", outputs=100)
    if plugin_is == "stopped":
        plugin.freeze()
        node.do("accept", count=100)
    elif plugin_is == "dead":
        plugin.kill()
    assert node.stop() == 0, node.log
    assert not node.lines("abort")
    if plugin_is == "stopped":
        plugin.send(signal.SIGCONT)
    if plugin_is != "dead":
        plugin.shows(down, "the node is down")
        counted(plugin, node)
        assert not scene.guards()
        assert plugin.stop() == 0
    scene.empty()
    assert list(node.socket.parent.iterdir()) == []


def test_the_node_is_killed(scene: Scene) -> None:
    """Guard and plugin notice, the guard ends, and a node that is started again is watched again."""
    node = scene.node()
    plugin = scene.watching("--poll-interval", "3600")
    before = descriptors(plugin.pid)
    guard = scene.guard()
    node.do("block", outputs=100)
    node.kill()
    plugin.shows(down, "the node is down")
    wait_until(lambda: not alive(guard), START_SECONDS, "the end of the guard")
    counts = delivered(node)
    node.start()
    watched(plugin, 2)
    assert scene.guard() != guard
    node.do("block")
    wanted = {field: counts[field] + 1 for field in ("blocks_connected_total", "utxo_cache_add_total")}
    plugin.shows(lambda series: all(value(series, field) == wanted[field] for field in wanted), str(wanted))
    assert descriptors(plugin.pid) == before
    assert plugin.stop() == 0
    scene.unharmed(node)


# The guard cannot be started


@pytest.mark.parametrize(
    ("defect", "reason"),
    [
        ("no interpreter", "the guard cannot be started: "),
        ("guard ends", "the guard did not start (exit status 1); "),
        ("guard late", "the guard did not start (it was not ready within 0.2 seconds); "),
        ("no memory", "the guard cannot be started: "),
    ],
)
def test_the_guard_cannot_be_started(scene: Scene, defect: str, reason: str) -> None:
    """Without its guard the plugin subscribes to nothing, polls, says so, and may be killed."""
    node = scene.node()
    plugin = scene.plugin("--poll-interval", "0.1", defect=defect)
    plugin.logged(f"E! {reason}")
    plugin.logged("polling only: without the guard, subscribing is not safe")
    state = node.do("block", outputs=100)

    def polled(series: Series) -> bool:
        return value(series, "chain_height") == state["height"] and value(series, "up") == 1

    series = plugin.shows(polled, "a poll")
    for subscription in ("chain", "utxo_cache"):
        assert value(series, "subscription_active", subscription=subscription) == 0
    assert value(series, "blocks_connected_total") is None
    assert not node.lines("subscribed")
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_a_python_without_memfd(scene: Scene) -> None:
    """Where Python has no memfd_create the totals are in an unnamed file, and everything is counted as ever."""
    node = scene.node()
    shared = set(Path("/dev/shm").iterdir())
    plugin = scene.watching(defect="no memfd")
    node.do("accept", count=20)
    node.do("block", outputs=100)
    counted(plugin, node)
    assert set(Path("/dev/shm").iterdir()) <= shared
    plugin.kill()
    node.says("unsubscribed", 2)
    scene.unharmed(node)


def test_a_guard_that_starts_later(scene: Scene, tmp_path: Path) -> None:
    """A session without its guard ends after a while and a new one tries again; the log says why, once."""
    node = scene.node()
    plugin = scene.plugin("--poll-interval", "0.1", defect="no luck")
    plugin.logged("E! the guard did not start (exit status 3); it wrote: " + LAST_WORDS)
    plugin.shows(lambda series: (value(series, "connects_total") or 0) >= 4, "some tries")
    assert not node.lines("subscribed")
    (tmp_path / GUARD_MAY_START).touch()
    watched(plugin)
    node.do("accept", count=20)
    node.do("block", outputs=100)
    counted(plugin, node)
    assert plugin.stderr.count("the guard did not start") == 1
    assert "W! " not in plugin.stderr
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_a_guard_that_dies_is_reported(scene: Scene) -> None:
    """The log says that the guard has ended, and how, for the node aborts by it."""
    node = scene.node("--lenient")
    plugin = scene.watching()
    os.kill(scene.guard(), signal.SIGABRT)
    plugin.logged("E! the guard ended with status -6")
    node.says("abort")
    assert plugin.stop() == 0


# The node cannot tell of its stop

NO_WAIT = "Mining.waitTipChanged"


@pytest.mark.parametrize("dialect", ["tracing", "stock"])
@pytest.mark.parametrize("options", [[], ["--no-guard"]], ids=["guard", "no guard"])
def test_a_node_that_cannot_tell_of_its_stop(scene: Scene, dialect: str, options: list[str]) -> None:
    """It is polled and not subscribed to, which the log says once, and stops cleanly."""
    node = scene.node("--dialect", dialect)
    node.do("fail", method=NO_WAIT)
    plugin = scene.plugin("--poll-interval", "0.1", *options)
    plugin.logged("not subscribing, because the node's stop would go unnoticed; polls continue")
    for _ in range(3):
        state = node.do("block")
    series = plugin.shows(lambda series: value(series, "chain_height") == state["height"], "a poll")
    assert value(series, "up") == 1
    assert value(series, "blocks_connected_total") is None
    for subscription in ("chain", "utxo_cache"):
        assert value(series, "subscription_active", subscription=subscription) == 0
    assert not node.lines("subscribed")
    assert plugin.stderr.count("W! waitTipChanged: ") == 1
    assert node.stop() == 0, node.log
    assert not node.lines("abort")
    assert plugin.stop() == 0
    scene.empty()


@pytest.mark.parametrize("options", [[], ["--no-guard"]], ids=["guard", "no guard"])
def test_a_node_that_can_no_longer_tell_of_its_stop(scene: Scene, options: list[str]) -> None:
    """Its subscriptions are ended, polls go on; when it can tell again they are made again."""
    node = scene.node()
    plugin = scene.watching("--poll-interval", "0.1", *options)
    node.do("fail", method=NO_WAIT)
    node.do("block")  # without a guard the wait has no time limit: it is asked again at the next tip
    node.says("unsubscribed", 2)
    plugin.logged("not subscribing, because the node's stop would go unnoticed; polls continue")
    plugin.shows(lambda series: value(series, "up") == 1, "polls")
    node.do("heal", method=NO_WAIT)
    watched(plugin, 2)
    plugin.logged("I! waitTipChanged works again")
    assert plugin.stop() == 0
    scene.unharmed(node)


# With and without the guard


def test_no_guard(scene: Scene) -> None:
    """--no-guard works, says what it risks, starts no process, and leaves as cleanly."""
    node = scene.node()
    plugin = scene.watching("--no-guard")
    assert "W! running without the guard" in plugin.stderr
    assert list(scene.processes()) == [plugin.pid]
    node.do("accept", count=20)
    node.do("block", outputs=100)
    node.do("reorg", depth=2)
    counted(plugin, node)
    node.begin("block", outputs=2000)
    assert plugin.stop() == 0
    node.says("unsubscribed", 2)
    scene.unharmed(node)


def test_nothing_is_left_after_a_clean_stop(scene: Scene) -> None:
    """The guard is the plugin's only child and holds what it needs; both go, with their memory and sockets."""
    node = scene.node()
    plugin = scene.watching()
    guard = scene.guard()
    assert children(plugin.pid) == [guard]
    assert set(scene.processes()) == {plugin.pid, guard}
    assert connections(node) == 1
    links = [os.readlink(path) for path in Path(f"/proc/{guard}/fd").iterdir()]
    assert sorted(link.partition(":")[0] for link in links) == ["/dev/null"] * 2 + ["/memfd"] * 2 + ["socket"] * 2
    assert os.readlink(f"/proc/{guard}/cwd") == "/"
    node.do("accept", count=20)
    node.do("block", outputs=100)
    counted(plugin, node)
    for pid in (plugin.pid, guard):
        assert "/dev/shm" not in Path(f"/proc/{pid}/maps").read_text(), "their memory has no name"
    assert plugin.stop() == 0
    scene.unharmed(node)


def test_a_short_soak(pytestconfig: pytest.Config) -> None:
    """Under steady load the guard's memory stays as it is, and every event is counted."""
    command = [sys.executable, "-P", str(pytestconfig.rootpath / "scripts" / "soak.py"), "--seconds", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
