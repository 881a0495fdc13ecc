"""Which of a client's questions are open, and which of the node's capabilities it holds.

A node closes the connection at a frame that names anything else, and is harmed if there is a subscription.
"""

from . import contract, wire
from .contract import SUBSCRIBING
from .readiness import BOOTSTRAP, Readiness, needs_chain
from .wire import Struct

TYPE_CHECKING = False  # as in typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .wire import Frame

OPEN_QUESTIONS = 64
CAPABILITIES = 64  # that a client may hold: each is an object in the node
UNNEEDED_FINISHES = 1024  # that are remembered; a client uses a question's id again as soon as it can
KEEPS_RESULTS = 1  # Finish: releaseResultCaps, bit 0 at 4, is stored inverted
NO_FINISH_NEEDED = 2  # Return: bit 1 at 4


class Violation(Exception):
    """No well-behaved client sends this, and the session has to end; the message is the reason."""


class Question:
    """A question of the client's. It is open until it was answered and finished."""

    __slots__ = ("answered", "asked", "finished", "granted", "kept", "of", "thread")

    def __init__(self, asked: tuple[int, int] | None) -> None:
        """Begin with a call of (interface, method); None for Bootstrap."""
        self.asked = asked
        self.kept = False  # the node does not know it
        self.thread: int | None = None  # the server thread that it runs on
        self.of: tuple[int, int] | None = None  # the call that gave what it calls
        self.answered = self.finished = False
        self.granted: list[int] = []  # capabilities in its answer


class Ledger:
    """What one client may name in its frames."""

    def __init__(self, loaded: "Callable[[], bool]") -> None:
        """Begin without anything; `loaded` returns whether the node's process shows that its chain is loaded."""
        self._loaded = loaded
        self._readiness = Readiness()
        self._given_by: dict[int, tuple[int, int]] = {}  # the call that gave a capability
        self.threads: set[int] = set()  # capabilities that are server threads
        self.handlers: set[int] = set()  # capabilities that end a subscription
        self.threads_asked = 0
        self.subscribed: dict[int, int] = {}  # callbacks, by interface with a subscription or a subscribing call
        self.reserved: set[int] = set()  # server threads that subscriptions will be ended on
        self.busy: set[int] = set()  # server threads with a call that is not answered
        self.endless_wait: int | None = None  # the question that waits for a tip without a time limit
        self._questions: dict[int, Question] = {}
        self._done: set[int] = set()  # questions that need no Finish; one may be on its way all the same
        self._held: dict[int, int] = {}  # references that the client has, by capability
        self._was_loaded = False  # the node's process showed that its chain was loaded
        # It no longer does; or the wait without a time limit was answered: the node stops, or cannot report it.
        self.stopping = False

    def may_call(self, asked: tuple[int, int]) -> bool:
        """Return whether a call harms no node that may be starting, as far as can be known."""
        if not needs_chain(asked) or self._readiness.shown:
            return True
        loaded = self._loaded()
        self.stopping |= self._was_loaded and not loaded
        self._was_loaded |= loaded
        return loaded

    def holds(self, capability: int) -> bool:
        """Return whether the node has given the client a capability."""
        return capability in self._held

    def open(self, number: int) -> Question | None:
        """Return a question that is not finished."""
        question = self._questions.get(number)
        return None if question is None or question.finished else question

    def ask(self, number: int, asked: tuple[int, int] | None) -> Question:
        """Open a question. Raises Violation."""
        if number in self._questions or number >= wire.OWN_IDS:
            raise Violation("a question id that is in use")
        if len(self._questions) >= OPEN_QUESTIONS:
            raise Violation(f"more than {OPEN_QUESTIONS} open questions")
        if len(self._held) >= CAPABILITIES:
            raise Violation(f"more than {CAPABILITIES} capabilities")
        self._done.discard(number)
        question = self._questions[number] = Question(asked)
        return question

    def calls(self, number: int, target: int | None) -> None:
        """Note which capability a question calls; None for what a Bootstrap will give."""
        self._questions[number].of = BOOTSTRAP if target is None else self._given_by.get(target)

    def run(self, number: int, thread: int, *, reserve: bool) -> None:
        """Note that a question runs on a server thread until it is answered; `reserve` the thread after that."""
        self._questions[number].thread = thread
        self.busy.add(thread)
        if reserve:
            self.reserved.add(thread)

    def finish(self, finish: Struct) -> "Sequence[Frame]":
        """Take a Finish; returns the frames that the node is to get instead. Raises Violation.

        What an answer gave is released one by one, because the relay may need some of it.
        """
        number = finish.u32(0)
        question = self.open(number)
        if question is None and number in self._done:
            self._done.discard(number)
            return ()
        if question is None:
            raise Violation("a Finish for no open question")
        question.finished = True
        self._forget(number, question)
        if question.kept:
            return ()
        if not question.answered:  # whatever the answer gives is never the client's
            return (wire.finish_of(number),)
        if finish.u32(4) & KEEPS_RESULTS or not question.granted:
            return (finish.segments.frame,)
        for capability in question.granted:
            self.release(capability, 1)
        return (
            wire.finish_of(number, keep=True),
            *(wire.release_of(capability, 1) for capability in question.granted),
        )

    def release(self, capability: int, count: int) -> None:
        """Take a Release. Raises Violation."""
        if not 0 < count <= self._held.get(capability, 0):
            raise Violation("a Release of what the client does not hold")
        self._drop(capability, count)

    def answer(self, answer: Struct) -> None:
        """Take an answer that goes to the client, and what it gives. Raises Malformed."""
        number = answer.u32(0)
        question = self._questions.get(number)
        if question is None or question.answered:
            return
        question.answered = True
        if question.thread is not None:
            self.busy.discard(question.thread)
        if question.asked is not None and not question.kept:
            self._readiness.learn(question.asked, question.of, answer)
        if answer.u16(6) == wire.RESULTS and not question.finished:
            for each in answer.capabilities(0):
                if each.u16(0) in (wire.SENDER_HOSTED, wire.SENDER_PROMISE):
                    self._grant(each.u32(4), question)
        if question.asked in SUBSCRIBING and not question.granted and not question.kept:
            self.subscribed.pop(question.asked[0], None)
        if number == self.endless_wait:
            self.endless_wait, self.stopping = None, True
        if answer.u32(4) & NO_FINISH_NEEDED and not question.finished:
            question.finished = True
            if len(self._done) >= UNNEEDED_FINISHES:
                self._done.clear()
            self._done.add(number)
        self._forget(number, question)

    def resolve(self, resolve: Struct) -> None:
        """Take what a promise became: Resolve, u16 at 4: 0 a CapDescriptor. Raises Malformed."""
        if resolve.u16(4) == 0:
            descriptor = resolve.struct(0)
            if descriptor.u16(0) in (wire.SENDER_HOSTED, wire.SENDER_PROMISE):
                self._hold(descriptor.u32(4))

    def _hold(self, capability: int) -> None:
        self._held[capability] = self._held.get(capability, 0) + 1

    def _grant(self, capability: int, question: Question) -> None:
        self._hold(capability)
        question.granted.append(capability)
        self._given_by[capability] = question.asked or BOOTSTRAP
        if question.asked == contract.MAKE_THREAD:
            self.threads.add(capability)
        elif question.asked in SUBSCRIBING:
            self.handlers.add(capability)

    def _drop(self, capability: int, count: int) -> None:
        left = self._held.pop(capability, 0) - count
        if left > 0:
            self._held[capability] = left
        else:
            self._given_by.pop(capability, None)
            self.threads.discard(capability)
            self.reserved.discard(capability)
            self.handlers.discard(capability)

    def _forget(self, number: int, question: Question) -> None:
        if question.answered and question.finished:
            del self._questions[number]
