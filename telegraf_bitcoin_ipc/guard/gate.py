"""What one client may send to the node: what watching needs, and nothing else.

By default nothing passes. A call that is not allowed is answered here: the node never hears of it, nor of its
Finish. A frame that no well-behaved client sends, or that cannot be read, ends the client's session in good order:
what cannot be read cannot be allowed.
"""

import contextlib

from . import calls, contract, layout, wire
from .ledger import Ledger, Violation
from .wire import Frame, Malformed, Message, Struct

TYPE_CHECKING = False  # as in typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .stream import Outbox

LOGGED_NAMES = 32  # refused methods that are logged, each once


class Gate:
    """Stands before the client: an outbox for what goes to it, and a filter for what comes from it."""

    def __init__(
        self,
        client: "Outbox",
        totals: memoryview,
        log: "Callable[[str], None]" = lambda text: None,
        loaded: "Callable[[], bool]" = lambda: True,
    ) -> None:
        """Send to `client`; count refused calls in `totals`; `log` gets a sentence about each refused method.

        `loaded` returns whether the node's process shows that its chain is loaded. Where it does not, the node's
        answers must.
        """
        self._client = client
        self._totals = totals
        self._log = log
        self._ledger = Ledger(loaded)
        self._logged: set[str] = set()

    # An outbox for the client

    @property
    def open(self) -> bool:
        """Whether the client is there."""
        return self._client.open

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._client.size

    def send(self, frame: Frame, event: bool = False) -> int:
        """Send a frame, and take note of the capabilities that it gives to the client."""
        if not event and self._client.open:
            with contextlib.suppress(Malformed):  # so the client is given what it cannot use
                message = Message.of(frame)
                if message.kind == wire.RETURN:
                    self._ledger.answer(message.body)
                elif message.kind == wire.RESOLVE:
                    self._ledger.resolve(message.body)
        return self._client.send(frame, event)

    def close(self) -> None:
        """End the client's session."""
        self._client.close()

    # A filter for what comes from the client

    def admitted(self, frame: Frame) -> "Sequence[Frame]":
        """Return what goes on to the node for a frame: nothing, the frame, or others; answers a refused call."""
        if not self._client.open:
            return ()
        try:
            layout.check(frame)
            return self._admitted(Message.of(frame))
        except (Malformed, Violation) as problem:
            self._log(f"session ended: {problem if problem.args else 'a frame that cannot be read'}")
            self._client.close()
            return ()

    def _admitted(self, message: Message) -> "Sequence[Frame]":
        kind, body = message.kind, message.body
        if kind == wire.CALL:
            return (message.segments.frame,) if self._called(body) else ()
        if kind == wire.FINISH:
            return self._ledger.finish(body)
        if kind == wire.RELEASE:
            self._ledger.release(body.u32(0), body.u32(4))
        elif kind == wire.BOOTSTRAP:
            if body.has(0):
                raise Violation("a Bootstrap for a named object")
            self._ledger.ask(body.u32(0), None)
        # The relay keeps from the node an Abort, and the answer to an event, which the guard has asked.
        elif kind != wire.ABORT and (kind != wire.RETURN or body.u32(0) < wire.OWN_IDS):
            raise Violation(f"a message of kind {kind}")
        return (message.segments.frame,)

    def _called(self, call: Struct) -> bool:
        number, method, interface = call.call()
        question = self._ledger.ask(number, (interface, method))
        try:
            calls.check(call, (interface, method), self._ledger)
        except calls.Refused as refusal:
            question.kept = True
            self._refuse(number, str(refusal))
        except calls.NotNow as reason:
            question.kept = True
            self.send(wire.exception_to(number, str(reason)))
        return not question.kept

    def _refuse(self, number: int, name: str) -> None:
        self._totals[contract.REFUSED] += 1
        if name not in self._logged and len(self._logged) < LOGGED_NAMES:
            self._logged.add(name)
            self._log(f"refused: {name}")
        self.send(wire.exception_to(number, f"not allowed by the guard: {name}"))
