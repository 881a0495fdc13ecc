"""Connects to a node's socket, or to a standing guard's, and remembers that the node is stopping."""

import socket
import time
from collections.abc import Callable

from telegraf_bitcoin_ipc.errors import NodeStopping, NodeUnavailable
from telegraf_bitcoin_ipc.guard import node
from telegraf_bitcoin_ipc.guard.hello import NO_RUN, Answer, Run


class NodeSocket:
    """The socket at a path, a node's or a guard's. `clock` is monotonic, in seconds: a wall clock can be set.

    `stopped` is the run of the node that was seen to stop last: it is not connected to again.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.stopped: Run = NO_RUN
        self._node = node.NodeSocket(path, clock)
        self._answer: Answer | None = None  # the guard's, if the socket is one's

    def connect(self) -> socket.socket:
        """Return a connected, non-blocking socket: of type SOCK_SEQPACKET if it is a guard's.

        Raises NodeStopping, without connecting, while a node that began to stop is still there, and
        NodeUnavailable with a hint for the operator.
        """
        self._answer = None
        try:
            return self._node.connect(self.stopped)
        except node.IsGuard:
            return self._connect_to_guard()
        except node.Stopping:
            raise NodeStopping from None
        except node.NoConnection as error:
            raise NodeUnavailable(str(error)) from error

    def _connect_to_guard(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.setblocking(False)
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            raise NodeUnavailable(
                f"{self.path}: the guard does not accept connections ({error.strerror})"
            ) from error
        return connection

    def introduced(self, answer: Answer) -> None:
        """Take what the guard says of the node, which only the node's user can see."""
        self._answer = answer

    def stopping(self) -> None:
        """Remember that the node of the last connection has begun to stop."""
        self.stopped = self._node.run if self._answer is None else self._answer.run

    def is_loaded(self) -> bool:
        """Return whether the chain is loaded and the node not stopping, without a call to the node."""
        return self._node.is_loaded() if self._answer is None else self._answer.loaded
