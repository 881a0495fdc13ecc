"""The standing guard: lets others watch a node whose socket only the node's user can open.

It listens on a socket of type SOCK_SEQPACKET, and serves each client in a process of its own, so that no client
can hold up another. Arguments of `main`: NODE_SOCKET PATH MODE GROUP MOST_CLIENTS SPIN_MICROSECONDS. PATH is empty
if systemd has handed over the socket; MODE is octal; GROUP is a number, or empty to leave the socket's as it is.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time

from . import hello, json_rpc
from .contract import SHARED_BYTES
from .hello import Run
from .listener import NotListening, inherited, listening
from .loop import Loop
from .memory import readable
from .node import NoConnection, NodeSocket, Stopping, peer_of

HELLO_SECONDS = 5.0  # that a client has for its request
SIGNALS_AT_ONCE = 16
ACCEPT_PAUSE = 0.1  # after the system could not accept or fork
LINE_BYTES = 512  # of a relay's line for the log
SHARED_MODULES = (json_rpc,)  # imported before the fork: what a relay imports is its own memory
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def log(text: str) -> None:
    """Write a line on stderr, for the journal. Never waits: if nobody reads, the line is lost."""
    if sys.stderr is None:
        return
    poller = select.poll()
    poller.register(sys.stderr, select.POLLOUT)
    with contextlib.suppress(OSError):
        if poller.poll(0):
            os.write(sys.stderr.fileno(), f"{text}\n".encode())


def tell_systemd(state: str) -> None:
    """Send a line such as READY=1 to NOTIFY_SOCKET (sd_notify); no effect outside systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):  # an abstract name
        address = "\0" + address[1:]
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.sendto(state.encode(), address)


class Service:
    """Accepts clients, starts a relay for each, and ends when it is told to and all relays have ended."""

    def __init__(self, listener: socket.socket, node_path: str, most_clients: int, spin: float) -> None:
        """Serve at most `most_clients` at a time; a relay polls busily for `spin` seconds after a UTXO event."""
        self._listener = listener
        self._node = NodeSocket(node_path)
        self._most_clients = most_clients
        self._spin = spin
        self._relays: dict[int, str] = {}  # clients by the process of their relay
        self._stopping = False
        self._lines, self._from_relays = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._signals, self._on_signal = socket.socketpair()
        for each in (listener, self._lines, self._from_relays, self._signals, self._on_signal):
            each.setblocking(False)

    def run(self) -> None:
        """Serve until told to stop by SIGTERM, SIGINT (Ctrl-C) or SIGHUP (its terminal is closed)."""
        signal.set_wakeup_fd(self._on_signal.fileno())
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # unless under nohup
                signal.signal(number, self._take_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._node.look()
        gc.freeze()  # what is there now stays shared with the relays
        tell_systemd("READY=1")
        poller = select.poll()
        for each in (self._listener, self._lines, self._signals):
            poller.register(each, select.POLLIN)
        while not self._stopping:
            ready = self._wait(poller)
            if self._listener.fileno() in ready and not self._stopping:
                self._accept()
        poller.unregister(self._listener)
        self._stop()
        while self._relays:
            self._wait(poller)

    def _wait(self, poller: select.poll) -> set[int]:
        """Wait, take signals, lines and ended relays; return the descriptors that were ready."""
        ready = {descriptor for descriptor, _ in poller.poll()}
        with contextlib.suppress(BlockingIOError):
            self._signals.recv(SIGNALS_AT_ONCE)
        self._log_lines()
        self._reap()
        return ready

    def _take_signal(self, number: int, _: object) -> None:
        self._stopping |= number != signal.SIGCHLD

    def _stop(self) -> None:
        """Take no more clients, and have each relay end its subscriptions."""
        self._listener.close()
        tell_systemd("STOPPING=1")
        log(f"stopping: {len(self._relays)} clients")
        for relay in self._relays:
            os.kill(relay, signal.SIGTERM)

    def _log_lines(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                log(self._lines.recv(LINE_BYTES).decode(errors="replace"))

    def _reap(self) -> None:
        while self._relays:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            self._log_lines()  # its last words, before its end
            client = self._relays.pop(pid, "?")
            code = os.waitstatus_to_exitcode(status)
            ended = code not in (0, -signal.SIGTERM)  # by the signal before there was a session
            log(f"{client}: its relay ended with status {code}" if ended else f"{client}: gone")

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            log(f"a client could not be accepted: {error.strerror}")
            time.sleep(ACCEPT_PAUSE)
            return
        with connection:
            pid, user, _ = peer_of(connection)
            client = f"client {pid} (user {name_of(user)})"
            if len(self._relays) >= self._most_clients:
                log(f"{client}: refused, {self._most_clients} clients are connected")
                say_no(connection, f"{self._most_clients} clients are connected, the maximum (--max-clients)")
                return
            self._node.look()
            self._fork(connection, client)

    def _fork(self, connection: socket.socket, client: str) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the relay has its own handlers
        try:
            pid = os.fork()
        except OSError as error:
            log(f"{client}: no process for it: {error.strerror}")
            say_no(connection, f"no process for another client ({error.strerror})")
            pid = -1
        if not pid:
            self._become_relay(connection, client)
        if pid > 0:
            self._relays[pid] = client
            log(f"{client}: connected")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _become_relay(self, connection: socket.socket, client: str) -> None:
        """Serve the client, in a process of its own, and end that."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):  # Ctrl-C is for the service
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            for each in (self._listener, self._lines, self._signals, self._on_signal):
                each.close()
            relay(connection, self._node, self._spin, Line(self._from_relays, client))
            status = 0
        except BaseException as error:
            Line(self._from_relays, client)(f"{type(error).__name__}: {error}")
        finally:
            os._exit(status)


class Line:
    """Hands lines about a client to the service, to be logged. Never waits: without room a line is lost."""

    def __init__(self, to: socket.socket, client: str) -> None:
        """Begin each line with the client."""
        self._to = to
        self._client = client

    def __call__(self, text: str) -> None:
        """Hand over one line."""
        with contextlib.suppress(OSError):
            self._to.send(f"{self._client}: {text}".encode()[:LINE_BYTES])


def relay(
    connection: socket.socket, node: NodeSocket, spin: float, line: Line, patience: float = HELLO_SECONDS
) -> None:
    """Open a session with the node for a client, and relay until both sides have gone.

    The client has `patience` seconds for its request.
    """
    connection.settimeout(patience)
    try:
        forward_utxo, stopped = asked(connection)
        to_node = node.connect(stopped)
        memory, descriptor = readable(SHARED_BYTES)
        side, theirs = socket.socketpair()
        answer = hello.Answer(loaded=node.is_loaded(), run=node.run).packet()
        socket.send_fds(connection, [answer], [theirs.fileno(), descriptor])
    except (OSError, hello.NotSpoken, NoConnection) as problem:
        sentence = str((isinstance(problem, OSError) and problem.strerror) or problem)
        line(f"no session: {sentence}")
        say_no(connection, sentence, stopping=isinstance(problem, Stopping))
        return
    connection.close()
    theirs.close()
    os.close(descriptor)
    side.setblocking(False)
    signal.signal(signal.SIGTERM, lambda *_: _lose(side))
    with memory, memoryview(memory) as raw, raw.cast("Q") as totals:
        Loop(to_node, side, totals, spin, forward_utxo, log=line, loaded=node.is_loaded).run()


def asked(connection: socket.socket) -> tuple[bool, Run]:
    """Return what a client asks for, as `hello.read_request` does. Raises NotSpoken."""
    try:
        packet = connection.recv(hello.MOST_BYTES)
    except TimeoutError:
        seconds = connection.gettimeout()
        raise hello.NotSpoken(f"the program sent no request within {seconds:g} seconds") from None
    except ConnectionResetError:
        packet = b""
    if not packet:
        raise hello.NotSpoken("the program sent no request")
    return hello.read_request(packet)


def _lose(client: socket.socket) -> None:
    """Have the loop see the client as gone, after which it ends every subscription."""
    with contextlib.suppress(OSError):  # it has gone already
        client.shutdown(socket.SHUT_RDWR)


def say_no(connection: socket.socket, sentence: str, *, stopping: bool = False) -> None:
    """Tell a client why there is no session; it may have gone."""
    with contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(hello.Answer(sentence=sentence, stopping=stopping).packet())


def name_of(user: int) -> str:
    """Return a user's name, or the number if there is none."""
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def main(arguments: list[str]) -> int:
    """Run the service; returns the exit status."""
    node_path, path, mode, group, most_clients, spin = arguments
    made: os.stat_result | None = None
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # from before there is a socket until it can be removed
    try:
        if path:
            listener = listening(path, int(mode, 8), int(group) if group else None)
            made = os.stat(path)
        else:
            listener = inherited()
    except NotListening as error:
        log(f"telegraf-bitcoin-ipc guard: {error}")
        return 1
    os.chdir("/")
    log(f"watching {node_path} for clients of {path or 'the socket from systemd'}")
    Service(listener, node_path, int(most_clients), int(spin) / 1e6).run()
    with contextlib.suppress(OSError):
        if made is not None and os.path.samestat(made, os.stat(path)):
            os.unlink(path)
    return 0
