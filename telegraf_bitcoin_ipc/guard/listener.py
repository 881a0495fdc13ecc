"""The socket on which the standing guard listens: a new one at a path, or the one that systemd has handed over."""

import contextlib
import fcntl
import os
import socket
import stat

TYPE_CHECKING = False  # as in typing, whose import would take a fifth of the guard's start
if TYPE_CHECKING:
    from collections.abc import Iterator

LISTEN_FD = 3  # the first socket that systemd hands over (sd_listen_fds)
BACKLOG = 16


class NotListening(Exception):
    """The guard cannot listen; the message is a sentence."""


def inherited() -> socket.socket:
    """Return the socket that systemd has handed over. Raises NotListening."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or os.environ.pop("LISTEN_FDS", "") != "1":
        raise NotListening("give --listen PATH, or one socket by systemd (LISTEN_FDS)")
    try:
        listener = socket.socket(fileno=LISTEN_FD)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise NotListening(f"the socket from systemd cannot be used: {error.strerror}") from error
    if listener.family != socket.AF_UNIX or listener.type != socket.SOCK_SEQPACKET or not listens:
        raise NotListening("the socket from systemd is not of ListenSequentialPacket=")
    os.set_inheritable(LISTEN_FD, False)
    return listener


@contextlib.contextmanager
def _alone(path: str) -> "Iterator[None]":
    """Keep other guards from the socket's directory: they could take a socket in the making for one left behind.

    Raises NotListening.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
    except OSError:  # not readable; whatever else is wrong, bind says it
        yield
        return
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotListening(f"cannot listen on {path}: another guard is starting there") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(directory)


def listening(path: str, mode: int, group: int | None) -> socket.socket:
    """Make a socket at a path and listen on it; never in the place of one that is alive. Raises NotListening."""
    with _alone(path):
        _clear(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = os.umask(0o777)  # nobody may connect until mode and group are right
        try:
            listener.bind(path)
        except OSError as error:
            listener.close()
            raise NotListening(f"cannot listen on {path}: {error.strerror or error}") from error
        finally:
            os.umask(before)
        try:
            if group is not None:
                os.chown(path, -1, group)
            os.chmod(path, mode)
            listener.listen(BACKLOG)
        except OSError as error:
            os.unlink(path)
            listener.close()
            raise NotListening(f"cannot listen on {path} with that group and mode: {error.strerror}") from error
        return listener


def _clear(path: str) -> None:
    """Remove a socket that a guard has left behind."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise NotListening(f"{path} exists and is not a socket")
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotListening(f"cannot listen on {path}: {error.strerror}") from error
    with socket.socket(socket.AF_UNIX) as probe:  # of a node's type: a guard does not take it for a client
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise NotListening(f"cannot listen on {path}: it is already in use")
