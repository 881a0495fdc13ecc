"""The first packets between a program and a standing guard, as either side may get them wrong."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from support.frames import INIT, bootstrap, call
from support.nodes import SimulatedNode, StartNode, call_program
from support.processes import START_SECONDS, Process, wait_until
from support.scene import connections
from support.standing import CLIENTS, Client, StandingGuard, StartGuard, service_command

from telegraf_bitcoin_ipc.guard import hello, service
from telegraf_bitcoin_ipc.guard.node import NodeSocket

OTHER_VERSION = hello.VERSION + 1
SAME_RELEASE = "both must be from the same release"


def of_another_version(packet: bytes) -> bytes:
    """Return a packet as another release would send it."""
    return packet[:4] + OTHER_VERSION.to_bytes(2, "little") + packet[6:] + b"and more"


def still_serves(guard: StandingGuard, node: SimulatedNode) -> None:
    """The guard has no client left and takes the next one; then it ends, with the node unharmed."""
    wait_until(lambda: not guard.relays, START_SECONDS, lambda: f"no relay is left: {guard.log}")
    with Client(guard.socket) as client:
        assert client.ask().sentence == ""
    assert guard.stop() == 0
    assert not guard.socket.exists()
    wait_until(lambda: connections(node) == 0, START_SECONDS, "the node's connections closed")
    assert node.stop() == 0
    assert not node.lines("abort")


def test_a_request_that_is_none(start_node: StartNode, start_guard: StartGuard) -> None:
    """The client and the log get a sentence, no connection is made with the node, and the next one is served."""
    node, guard = start_node(), start_guard()
    unspoken = "the program does not speak this protocol"
    versions = f"version {hello.VERSION} of the guard's protocol, the program version {OTHER_VERSION}"
    said = []
    for packet, sentence in (
        (of_another_version(hello.request(forward_utxo=False)), f"the guard speaks {versions}: {SAME_RELEASE}"),
        (b"", "the program sent no request"),
        (b"GET / HTTP/1.1\r\n\r\n", unspoken),
        (hello.MAGIC, unspoken),
        (hello.request(forward_utxo=True)[:-1], unspoken),
        (os.urandom(4) + bytes(60_000), unspoken),
    ):
        with Client(guard.socket) as client:
            assert client.ask(packet).sentence == sentence
        said.append(sentence)
        guard.logged(f": no session: {sentence}\n", said.count(sentence))
        assert connections(node) == 0
    still_serves(guard, node)


def refused_by(path: Path, answer: bytes, *descriptors: int) -> str:
    """Have a program meet a guard that answers so; returns why there is no session."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(BrokenPipeError):
            connection.recv(hello.MOST_BYTES)
            socket.send_fds(connection, [answer], descriptors)

    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.settimeout(START_SECONDS)
        listener.bind(str(path))
        listener.listen()
        thread = Thread(target=serve)
        thread.start()
        done = call_program("once", path)
        thread.join()
    assert done.returncode == 1
    return done.stderr.removeprefix("telegraf-bitcoin-ipc: the guard refused a session: ").rstrip("\n")


def test_an_answer_that_is_none(guard_path: Path) -> None:
    """Whatever listens there, or a guard of another release: the program ends with a sentence."""
    assert refused_by(guard_path, b"") == "it closed the connection"
    assert refused_by(guard_path, b"hello") == "the guard does not speak this protocol"
    assert refused_by(guard_path, hello.Answer().packet()) == "its answer is malformed", "no descriptors"
    with open(os.devnull, "rb") as file:
        answer = of_another_version(hello.Answer(loaded=True).packet())
        why = refused_by(guard_path, answer, file.fileno(), file.fileno())
    versions = f"version {hello.VERSION} of the guard's protocol, the guard version {OTHER_VERSION}"
    assert why == f"the program speaks {versions}: {SAME_RELEASE}", "its memory is never read"


def test_who_asks_for_nothing(tmp_path: Path) -> None:
    """A client that says nothing is sent away with a sentence, after the time that it has."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lines, line = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs, ours, lines, line:
        node = NodeSocket(str(tmp_path / "node.sock"))
        service.relay(theirs, node, 0.0, service.Line(line, "client 7"), patience=0.01)
        sentence = "the program sent no request within 0.01 seconds"
        assert hello.Answer.of(ours.recv(hello.MOST_BYTES)).sentence == sentence
        assert lines.recv(1000).decode() == f"client 7: no session: {sentence}"


def test_a_client_that_goes_at_each_step(start_node: StartNode, start_guard: StartGuard) -> None:
    """Before its request, after it, with its session, and with the node's first answer: nothing is left of it."""
    node, guard = start_node(), start_guard()
    for step in range(4):
        with Client(guard.socket) as client:
            if step == 1:
                client.socket.send(hello.request(forward_utxo=False))
            elif step == 2:
                client.ask()
            elif step == 3:
                client.begin().send(bootstrap(0))
        guard.logged(": gone\n", step + 1)
    still_serves(guard, node)


def test_no_node(start_guard: StartGuard, start_process: Callable[..., Process], socket_path: Path) -> None:
    """The client learns from the guard why there is no session: no node, or another guard in the place of one."""
    guard = start_guard()
    second = guard.socket.with_name("second.sock")
    outer = start_process(service_command(guard.socket, second), name="outer")
    outer.wait_until(lambda: "watching " in outer.stderr, "it listened")
    for path, sentence in (
        (guard.socket, f"{socket_path}: there is no such socket (is the node running, with -ipcbind=unix?)"),
        (second, f"{guard.socket}: it is a guard's socket, not a node's"),
    ):
        with Client(path) as client:
            assert client.ask().sentence == sentence
    assert outer.stop() == 0


def test_one_client_too_many(start_node: StartNode, start_guard: StartGuard) -> None:
    """Who comes when there are as many as may be is told so, and is served once one of them has gone."""
    node, guard = start_node(), start_guard()
    clients = []
    for _ in range(CLIENTS):
        clients.append(Client(guard.socket))
        assert clients[-1].ask().sentence == ""
    too_many = f"{CLIENTS} clients are connected, the maximum (--max-clients)"
    with Client(guard.socket) as another:
        assert another.hear().sentence == too_many
    done = call_program("once", guard.socket)
    assert done.stderr == f"telegraf-bitcoin-ipc: the guard refused a session: {too_many}\n"
    guard.logged(f"refused, {CLIENTS} clients are connected\n", 2)
    clients.pop().close()
    guard.logged(": gone\n")
    with Client(guard.socket) as another:
        assert another.ask().sentence == ""
    for client in clients:
        client.close()
    still_serves(guard, node)


def test_what_the_log_says(start_node: StartNode, start_guard: StartGuard) -> None:
    """One line when a client comes, one when it goes, by its process and user; one for each refused method."""
    node, guard = start_node(), start_guard("--max-clients", "1")
    with Client(guard.socket) as client:
        session, init = client.init()
        for question, method in enumerate(("makeEcho", "makeEcho", "makeWalletLoader"), start=1):
            session.send(call(question, INIT, method, target=init))
            assert b"not allowed by the guard: " in session.take()
        assert client.totals()["calls_refused"] == 3
        guard.logged("refused: ", 2)
    guard.logged(": gone\n")
    me = f"client {os.getpid()} (user {service.name_of(os.getuid())}): "
    begin, *lines = guard.stderr.splitlines()
    assert begin == f"watching {node.socket} for clients of {guard.socket}"
    assert all(line.startswith(me) for line in lines)
    said = [line.removeprefix(me).partition(": ")[0] for line in lines]
    assert said == ["connected", "refused", "refused", "gone"]
    still_serves(guard, node)
