"""Whatever happens to a standing guard's clients, or to the guard: the node lives, and the others are served.

Real processes: a merciless simulated node, the guard, plugins. `Scene.unharmed` ends every case.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread

import pytest
from support.counts import happened
from support.frames import INIT, bootstrap, call, done, reading
from support.nodes import PROGRAM, Plugin, Series, SimulatedNode, value
from support.processes import POLL_SECONDS, START_SECONDS, alive, wait_until
from support.scene import STANDING, STANDING_CHAIN, Scene, counted, scenes
from support.standing import CLIENTS, Client, StandingGuard
from support.subscriber import Subscriber

HoldABurst = Callable[[SimulatedNode, Plugin], Subscriber]

standing = scenes(STANDING)
standing_with_each_node = scenes(STANDING, STANDING_CHAIN)


def guard_of(scene: Scene) -> StandingGuard:
    """The scene's guard."""
    assert scene.standing is not None
    return scene.standing


@standing_with_each_node
def test_everything_of_its_clients_is_killed(scene: Scene, hold_a_burst: HoldABurst) -> None:
    """SIGKILL to every process of the clients' at once, as to a control group: in a burst, and as they come."""
    node = scene.node()
    plugins = [scene.watching("--poll-interval", "0.1") for _ in range(2)]
    brake = hold_a_burst(node, plugins[0])
    scene.plugin()  # which is in its start
    wait_until(lambda: len(scene.guards()) == 3, START_SECONDS, "the third was connected")
    for pid in scene.processes():
        os.kill(pid, signal.SIGKILL)
    brake.send(signal.SIGCONT)
    scene.left(node, 2)
    node.says("settled")
    brake.stop()
    scene.unharmed(node)


@standing
def test_stopped_in_the_handshake(scene: Scene) -> None:
    """A client is stopped (SIGSTOP) before the node's first answers come: the node works, and serves it later."""
    node = scene.node()
    node.freeze()
    plugin = scene.plugin()
    wait_until(scene.guards, START_SECONDS, "it was connected")
    plugin.freeze()
    node.send(signal.SIGCONT)
    node.do("block", outputs=100)
    plugin.send(signal.SIGCONT)
    scene.watched(plugin)
    assert plugin.stop() == 0
    scene.unharmed(node)


@contextmanager
def flooding(client: Client) -> Iterator[None]:
    """Have a client ask what is refused, as often as it can, and read nothing."""
    session = client.begin()
    session.send(bootstrap(0))
    with reading(session.take()) as message:
        (init,) = (each.senderHosted for each in getattr(message, "return").results.capTable)
    session.send(done(0))
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
def test_eight_clients_at_once(scene: Scene) -> None:
    """One is stopped, one floods the guard: the other six get every event; a ninth is told why it gets none."""
    node = scene.node()
    with ExitStack() as stack:
        plugins = [scene.watching() for _ in range(CLIENTS - 1)]
        stack.enter_context(flooding(stack.enter_context(Client(scene.socket))))
        guard_of(scene).logged("refused: ")
        plugins[0].freeze()
        for _ in range(3):
            node.do("accept", count=20)
            node.do("block", outputs=200)
        node.do("reorg", depth=2)
        node.do("flush")
        wanted = happened(node)
        assert wanted["utxo_cache_add_total"] >= 600

        def all_there(series: Series) -> bool:
            return all(value(series, field) == number for field, number in wanted.items())

        for plugin in plugins[1:]:
            assert value(plugin.shows(all_there, str(wanted)), "events_dropped_total") == 0
        with Client(scene.socket) as ninth:
            assert ninth.hear().sentence == f"{CLIENTS} clients are connected, the maximum (--max-clients)"
        plugins[0].send(signal.SIGCONT)
        plugins[0].shows(all_there, str(wanted))
        for plugin in plugins:
            assert plugin.stop() == 0
    scene.unharmed(node)


def end(guard: StandingGuard, how: str) -> None:
    """Tell the guard to stop."""
    if how == "SIGTERM to it":
        guard.send(signal.SIGTERM)
    else:
        os.killpg(guard.pid, getattr(signal, how.partition(" ")[0]))


@pytest.mark.parametrize(
    ("scene", "how"),
    [
        (STANDING, "SIGTERM to it"),
        (STANDING_CHAIN, "SIGTERM to it"),
        (STANDING, "SIGTERM to its group"),
        (STANDING, "SIGINT to its group"),
        (STANDING, "SIGHUP to its group"),
    ],
    indirect=["scene"],
    ids=str,
)
def test_told_to_stop_in_a_burst(scene: Scene, hold_a_burst: HoldABurst, how: str) -> None:
    """It ends each client's subscriptions, then with status 0; when it is started again its clients are back."""
    node, guard = scene.node(), guard_of(scene)
    plugins = [scene.watching() for _ in range(2)]
    brake = hold_a_burst(node, plugins[0])
    relays = guard.relays
    node.freeze()
    end(guard, how)
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
def test_its_first_process_is_killed(scene: Scene) -> None:
    """SIGKILL to the guard alone: each relay serves its client on, and ends with it; a new guard can start."""
    node, guard = scene.node(), guard_of(scene)
    plugins = [scene.watching() for _ in range(2)]
    relays = guard.relays
    guard.kill()
    node.do("accept", count=20)
    node.do("block", outputs=100)
    wanted = happened(node)
    for plugin in plugins:
        plugin.shows(lambda series: all(value(series, each) == wanted[each] for each in wanted), str(wanted))
    guard.start()
    plugins[0].kill()
    assert plugins[1].stop() == 0
    wait_until(lambda: not [pid for pid in relays if alive(pid)], START_SECONDS, "the end of the relays")
    scene.left(node, 2)
    late = scene.watching()
    assert late.stop() == 0
    scene.unharmed(node)


@standing
def test_a_relay_without_its_first_process_takes_sigterm(scene: Scene) -> None:
    """Of a guard whose first process was killed, each relay can still be told to stop, and leaves in order."""
    node, guard = scene.node(), guard_of(scene)
    plugin = scene.watching()
    (relay,) = guard.relays
    guard.kill()
    os.kill(relay, signal.SIGTERM)
    scene.left(node)
    wait_until(lambda: not alive(relay), START_SECONDS, "its end")
    plugin.shows(lambda series: value(series, "up") == 0, "the node is out of reach")
    guard.start()
    scene.watched(plugin, 2)
    assert plugin.stop() == 0
    scene.unharmed(node)


@standing_with_each_node
def test_clients_stay_while_the_node_is_started_again(scene: Scene) -> None:
    """Each notices the node's end, whichever way it came, and watches the next one by itself."""
    node = scene.node()
    plugins = [scene.watching() for _ in range(3)]
    for times in (2, 3):
        node.stop() if times == 2 else node.kill()
        assert not node.lines("abort")
        for plugin in plugins:
            plugin.shows(lambda series: value(series, "up") == 0, "the node is down")
        node.start()
        for plugin in plugins:
            scene.watched(plugin, times)
    for plugin in plugins:
        assert plugin.stop() == 0
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
                node.do("accept", count=20)
                node.do("block", outputs=100)
                counted(plugin, node)
            finally:
                guard.terminate()
            assert guard.wait(START_SECONDS) == 0
        assert int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), "little") >= 1 << 16
    plugin.shows(lambda series: value(series, "up") == 0, "the node is out of reach")
    scene.left(node)
    assert plugin.stop() == 0
    scene.unharmed(node)
