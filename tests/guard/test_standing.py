"""Whatever happens to a standing guard's clients, or to the guard: the node lives, and the others are served.

Real processes: a merciless simulated node, the guard, plugins. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest
from support.counts import happened
from support.frames import INIT, call, done
from support.nodes import PROGRAM, value
from support.processes import POLL_SECONDS, START_SECONDS, alive, wait_until
from support.scene import STANDING, STANDING_CHAIN, Scene, follows, scenes, shows
from support.standing import Client, StandingGuard

standing = scenes(STANDING)


def guard_of(scene: Scene) -> StandingGuard:
    """The scene's guard."""
    assert scene.standing is not None
    return scene.standing


@contextmanager
def flooding(client: Client) -> Iterator[None]:
    """Have a client ask what is refused, as often as it can, and read nothing."""
    session, init = client.init()
    asked = b"".join(call(number, INIT, "makeEcho", target=init) + done(number) for number in range(1, 33))
    enough = Event()

    def flood() -> None:
        session.socket.settimeout(POLL_SECONDS)
        sent = 0
        while not enough.is_set():
            with suppress(TimeoutError):
                sent += session.socket.send(asked[sent % len(asked) :])

    thread = Thread(target=flood)
    thread.start()
    yield
    enough.set()
    thread.join()


@standing
def test_a_client_disturbs_no_other(scene: Scene) -> None:
    """One is stopped in its handshake, one later, one floods the guard: all get each event in the end."""
    node = scene.node()
    honest, stopped = scene.watching(), scene.watching()
    node.freeze()
    starting = scene.plugin()
    wait_until(lambda: len(scene.guards()) == 3, START_SECONDS, "it was connected")
    starting.freeze()
    node.send(signal.SIGCONT)
    with Client(scene.socket) as client, flooding(client):
        guard_of(scene).logged("refused: ")
        stopped.freeze()
        for _ in range(2):
            node.do("accept", count=20)
            node.do("block", outputs=200)
        node.do("reorg", depth=2)
        node.do("flush")
        wanted = happened(node)
        assert wanted["utxo_cache_add_total"] >= 400
        assert value(shows(honest, wanted), "events_dropped_total") == 0
        for late in (stopped, starting):
            late.send(signal.SIGCONT)
        shows(stopped, wanted)
        scene.watched(starting)
        for plugin in (honest, stopped, starting):
            assert plugin.stop() == 0
    scene.unharmed(node)


@pytest.mark.parametrize(
    ("scene", "number"),
    [(STANDING, signal.SIGTERM), (STANDING_CHAIN, signal.SIGINT)],
    indirect=["scene"],
    ids=str,
)
def test_told_to_stop_in_a_burst(scene: Scene, number: signal.Signals) -> None:
    """It ends each client's subscriptions, then with status 0; when it is started again its clients are back.

    SIGINT is to its whole group, as by Ctrl-C.
    """
    node, guard = scene.node(), guard_of(scene)
    plugins = [scene.watching() for _ in range(2)]
    brake = scene.held_burst(node, plugins[0])
    relays = guard.relays
    node.freeze()
    guard.send(number) if number == signal.SIGTERM else os.killpg(guard.pid, number)
    guard.logged("stopping: 2 clients\n")
    assert [pid for pid in relays if alive(pid)] == relays, "they wait for the node"
    node.send(signal.SIGCONT)
    brake.send(signal.SIGCONT)
    assert guard.wait() == 0, guard.log
    assert not [pid for pid in relays if alive(pid)]
    assert not scene.socket.exists()
    scene.left(node, 2)
    node.says("settled")
    brake.stop()
    for plugin in plugins:
        plugin.shows(lambda series: value(series, "up") == 0, "the node is out of reach")
    guard.start()
    for plugin in plugins:
        scene.watched(plugin, 2)
        assert plugin.stop() == 0
    scene.unharmed(node)


@standing
def test_every_signal_to_its_group(scene: Scene) -> None:
    """SIGTERM, SIGINT or SIGHUP, which its relays get, too: sessions end, then the guard with status 0."""
    node, guard = scene.node(), guard_of(scene)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with Client(scene.socket) as client:
            session = client.begin()
            os.killpg(guard.pid, number)
            assert session.at_the_end()
            assert guard.wait() == 0, guard.log
        assert "\nstopping: " in guard.stderr
        guard.start()
    scene.unharmed(node)


@standing
def test_its_first_process_is_killed(scene: Scene) -> None:
    """SIGKILL to the guard alone: relays serve on, end with their clients or by SIGTERM; a new guard can start."""
    node, guard = scene.node(), guard_of(scene)
    told = scene.watching()
    (relay,) = guard.relays
    others = [scene.watching() for _ in range(2)]
    relays = guard.relays
    guard.kill()
    node.do("accept", count=20)
    node.do("block", outputs=100)
    wanted = happened(node)
    for plugin in (told, *others):
        shows(plugin, wanted)
    os.kill(relay, signal.SIGTERM)
    scene.left(node)
    told.shows(lambda series: value(series, "up") == 0, "the node is out of reach")
    guard.start()
    scene.watched(told, 2)
    others[0].kill()
    for plugin in (told, others[1]):
        assert plugin.stop() == 0
    wait_until(lambda: not [pid for pid in relays if alive(pid)], START_SECONDS, "the end of the relays")
    scene.left(node, 4)
    scene.unharmed(node)


@standing
def test_a_log_that_is_not_read(scene: Scene) -> None:
    """A full pipe behind its stderr holds up neither a client nor the stop: lines are lost."""
    node = scene.node()
    socket = scene.socket.with_name("unread.sock")
    command = [str(PROGRAM), "guard", "--listen", str(socket), str(node.socket)]
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb", buffering=0) as pipe:
        os.set_blocking(writer, False)
        while pipe.write(bytes(1 << 16)):
            pass
        os.set_blocking(writer, True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writer) as guard:
            try:
                wait_until(socket.exists, START_SECONDS, "it listened")
                scene.socket = socket
                plugin = scene.watching()
                follows(plugin, node)
            finally:
                guard.terminate()
            assert guard.wait(START_SECONDS) == 0
        assert int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), "little") >= 1 << 16
    plugin.shows(lambda series: value(series, "up") == 0, "the node is out of reach")
    scene.left(node)
    assert plugin.stop() == 0
    scene.unharmed(node)
