"""Whether a node's answers show that its chain is loaded: before that, a call that needs the chain aborts it.

A node listens on its socket before its chain is loaded, and while it stops. A client that does not ask as the
plugin does (see `ipc/handshake.py`) must not get further than the questions that are safe at any time.
"""

import contextlib

from . import wire
from .contract import CHAIN, EXECUTE_BY_NODE, INIT, MAKE_MINING, MINING, NODE, TRACING
from .wire import Malformed, Struct

BOOTSTRAP = (0, 0)  # in the place of the call that gave a capability
MAKE_NODE, SHUTDOWN_REQUESTED = (INIT, 5), (NODE, 10)
SAFE = {SHUTDOWN_REQUESTED, EXECUTE_BY_NODE}
UNIMPLEMENTED = 3  # an Exception's type, u16 at 4
ERROR, RPC_ERROR, RESULT = 0, 1, 2  # what Node.executeRpc returns: three texts


def needs_chain(asked: tuple[int, int]) -> bool:
    """Return whether a call of (interface, method) can abort a node that has not loaded its chain."""
    return asked[0] in (CHAIN, MINING, TRACING, NODE) and asked not in SAFE


class Readiness:
    """What the node's answers in one session have shown."""

    def __init__(self) -> None:
        """Begin without any answer."""
        self._runs = self._answers = False  # a node with the Node interface: it does not stop; JSON-RPC works
        self._no_node = self._mines = False  # another one: it is one; its makeMining, which waits, has returned

    @property
    def shown(self) -> bool:
        """Whether the chain is loaded."""
        return (self._runs and self._answers) or (self._no_node and self._mines)

    def learn(self, asked: tuple[int, int], of: tuple[int, int] | None, answer: Struct) -> None:
        """Take the node's answer to a call of what another call, `of`, gave."""
        with contextlib.suppress(Malformed):
            if answer.u16(6) == wire.RESULTS:
                self._learn(asked, answer)
            elif answer.u16(6) == wire.EXCEPTION and answer.struct(0).u16(4) == UNIMPLEMENTED:
                # Where there is no Node, makeNode is missing, or makes what is none.
                self._no_node |= (asked, of) in ((MAKE_NODE, BOOTSTRAP), (SHUTDOWN_REQUESTED, MAKE_NODE))

    def _learn(self, asked: tuple[int, int], answer: Struct) -> None:
        if asked == (INIT, MAKE_MINING):
            self._mines |= any(each.u16(0) == wire.SENDER_HOSTED for each in answer.capabilities(0))
        elif asked == SHUTDOWN_REQUESTED:
            self._runs = not answer.struct(0).struct(wire.CONTENT).u16(0) & 1
        elif asked == EXECUTE_BY_NODE:
            given = answer.struct(0).struct(wire.CONTENT)
            self._answers |= _said(given, RESULT) and not (_said(given, ERROR) or _said(given, RPC_ERROR))


def _said(given: Struct, index: int) -> bool:
    """Return whether a text is there and not empty: longer than its NUL."""
    return given.has(index) and given.data_range(index)[1] > 1
