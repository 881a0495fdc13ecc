"""The life of a subscription: its states, what changes them, and the order of teardown.

A node that waits for a callback's answer, or that calls a callback whose socket has closed, is harmed. So the
node's socket stays open while any subscription is in LIVE or a disconnect is under way.
"""

import math
from enum import Enum

from .wire import Frame

RETRY_SECONDS = 0.01  # between two disconnects of a handler whose thread was busy
DESTROY_SECONDS = 0.25  # after a disconnect that returned: `destroy` comes some 10 ms later at most
ANSWER_SECONDS = 600.0  # the longest wait for other answers once the plugin has gone: the node hangs


class State(Enum):
    """Where a subscription is in its life."""

    ASKED = "the node has not answered the subscribing call"
    ACTIVE = "the node calls the callback"
    UNREADABLE = "it may be active, but its handler or server thread is unknown: only the plugin can end it"
    ENDING = "its disconnect is still to be sent"
    LEAVING = "a disconnect is under way"
    RETURNED = "the disconnect has returned, `destroy` has not come"
    DESTROYED = "`destroy` has come, the disconnect has not returned"
    GONE = "it has ended"


class Change(Enum):
    """What happens to a subscription."""

    HANDLER = "the node answered with a handler"
    UNREADABLE = "the node answered, but the handler or the server thread could not be read"
    REFUSED = "the node answered without a handler"
    END = "the plugin ends it or has gone, or the node stops"
    DISCONNECT = "the guard sends a disconnect"
    RETURN = "the disconnect returned"
    FAILURE = "the disconnect failed: the thread was busy"
    DESTROY = "the node called `destroy`"


TRANSITIONS = {
    (State.ASKED, Change.HANDLER): State.ACTIVE,
    (State.ASKED, Change.UNREADABLE): State.UNREADABLE,
    (State.ASKED, Change.REFUSED): State.GONE,
    (State.ASKED, Change.DESTROY): State.GONE,
    (State.ACTIVE, Change.END): State.ENDING,
    (State.ACTIVE, Change.DESTROY): State.GONE,
    (State.UNREADABLE, Change.DESTROY): State.GONE,
    (State.ENDING, Change.DISCONNECT): State.LEAVING,
    (State.ENDING, Change.DESTROY): State.GONE,
    (State.LEAVING, Change.RETURN): State.RETURNED,
    (State.LEAVING, Change.FAILURE): State.ENDING,
    (State.LEAVING, Change.DESTROY): State.DESTROYED,
    (State.RETURNED, Change.DISCONNECT): State.LEAVING,  # `destroy` did not come: ask again
    (State.RETURNED, Change.DESTROY): State.GONE,
    (State.DESTROYED, Change.RETURN): State.GONE,
    (State.DESTROYED, Change.FAILURE): State.GONE,
}
"""Every change that has an effect; any other leaves the state as it is."""

LIVE = frozenset(State) - {State.DESTROYED, State.GONE}
"""The node may still call the callback: its socket, its handler and its thread are needed."""


TO_BE_DISCONNECTED = (State.ENDING, State.RETURNED)
"""The states that call for a disconnect, once no other is under way. A tuple, because hashing a state is slow."""


class Subscription:
    """A subscription as the frames show it: the ids of its server thread, callback and handler, and its state."""

    def __init__(self, thread: int | None, callback: int | None) -> None:
        """Begin with the subscribing call."""
        self.thread = thread
        self.callback = callback
        self.handler: int | None = None
        self.state = State.ASKED
        self.finish: Frame = b""  # the plugin's Finish, withheld: at it the node may free the handler
        self.due = 0.0  # not to be disconnected before

    def change(self, change: Change) -> None:
        """Move to the next state."""
        self.state = TRANSITIONS.get((self.state, change), self.state)

    def answered(self, handler: int | None) -> None:
        """Take the node's answer to the subscribing call; None if there is no handler in it."""
        if handler is None:
            self.change(Change.REFUSED)
            return
        self.handler = handler
        self.change(Change.UNREADABLE if self.thread is None else Change.HANDLER)


class Subscriptions:
    """All subscriptions of a session, oldest first."""

    def __init__(self) -> None:
        """Begin without any."""
        self.all: list[Subscription] = []
        self.leaving: tuple[int, Subscription] | None = None  # the disconnect under way: its question, and of what

    def live(self) -> list[Subscription]:
        """Return those that hold the node's socket open."""
        return [each for each in self.all if each.state in LIVE]

    def needed(self) -> set[int]:
        """Return the capabilities that those need."""
        return {number for each in self.live() for number in (each.thread, each.handler) if number is not None}

    def unwanted(self, handler: int) -> bool | None:
        """The plugin disconnects a handler: return whether that is left to the guard; None if it is unknown."""
        for each in reversed(self.all):
            if each.handler == handler:
                each.change(Change.END)
                return each.state is not State.UNREADABLE
        return None

    def next(self, now: float, everything: bool) -> Subscription | None:
        """Return whom to disconnect now: one at a time, the newest first."""
        if everything:
            for each in self.all:
                each.change(Change.END)
        if self.leaving is not None:
            return None
        for each in reversed(self.all):
            if each.state in TO_BE_DISCONNECTED and now >= each.due:
                return each
        return None

    def disconnect(self, subscription: Subscription, question: int, now: float) -> None:
        """Note that a disconnect is sent."""
        subscription.change(Change.DISCONNECT)
        subscription.due = now + RETRY_SECONDS
        self.leaving = question, subscription

    def disconnected(self, question: int, results: bool, now: float) -> None:
        """Take the node's answer to a disconnect, if the question is one."""
        if self.leaving is None or self.leaving[0] != question:
            return
        _, subscription = self.leaving
        self.leaving = None
        subscription.change(Change.RETURN if results else Change.FAILURE)
        if results:
            subscription.due = now + DESTROY_SECONDS
        self.prune()

    def prune(self) -> None:
        """Forget those that are gone."""
        self.all = [each for each in self.all if each.state is not State.GONE]

    def next_due(self) -> list[float]:
        """Return when a disconnect may be sent again; empty while one is under way."""
        if self.leaving is not None:
            return []
        return [each.due for each in self.all if each.state in TO_BE_DISCONNECTED]


class Unanswered:
    """The node's answers that are waited for before its socket is closed: it can abort in a call otherwise.

    Until then it keeps a Finish for the call, too: a node answers a finished call at once, while it still runs.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._until: dict[int, float] = {}
        self._finishes: dict[int, Frame] = {}
        self._leave_by: float | None = None

    def asked(self, question: int, until: float = math.inf) -> None:
        """Wait for the answer to a question, at most until a moment."""
        self._until[question] = until

    def finished(self, question: int, finish: Frame) -> bool:
        """Keep a Finish if its call has not been answered; return whether it is kept."""
        if question in self._until:
            self._finishes[question] = finish
        return question in self._until

    def answered(self, question: int) -> Frame:
        """Take note of an answer; returns the Finish that was kept for it, empty if there was none."""
        self._until.pop(question, None)
        return self._finishes.pop(question, b"")

    def none(self, now: float) -> bool:
        """Return whether no answer is waited for."""
        return all(now >= until for until in self._until.values())

    def overdue(self, now: float) -> bool:
        """Return whether the session has waited for ANSWER_SECONDS since this was first asked."""
        if self._leave_by is None:
            self._leave_by = now + ANSWER_SECONDS
        return now >= self._leave_by

    def next_due(self) -> list[float]:
        """Return when waiting ends; empty until the session only waits for answers."""
        return [] if self._leave_by is None else [self._leave_by, *self._until.values()]
