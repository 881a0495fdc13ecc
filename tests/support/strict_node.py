"""A node that reads a guard's frames with Cap'n Proto's own reader, and notes what should not have come."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import capnp
from support.frames import (
    CHAIN_NOTIFICATIONS,
    UTXO_CACHE_TRACE,
    answer,
    destroy,
    finish,
    interface_id,
    reading,
    tip_is,
    transaction,
)
from support.gated import Gated
from support.layouts import Capability, Struct, tree_of
from support.strict_json import Unwanted, check_json_rpc

from telegraf_bitcoin_ipc.guard import wire
from telegraf_bitcoin_ipc.guard.contract import LONGEST_WAIT_MILLISECONDS
from telegraf_bitcoin_ipc.ipc import allowlist, schema
from telegraf_bitcoin_ipc.ipc.dialects import BY_NAME

MAKERS = {"makeMining", "makeRpc", "makeChain", "makeNode", "makeTracing", "construct"}
SUBSCRIBERS = {"handleNotifications": CHAIN_NOTIFICATIONS, "traceUtxoCache": UTXO_CACHE_TRACE}
WITHOUT_CONTEXT = {"construct", "makeThread", "getName"}
MOST_THREADS, MOST_QUESTIONS = 8, 64


@cache
def permitted() -> frozenset[tuple[int, int]]:
    """Return what the program calls."""
    return frozenset(allowlist.calls())


@cache
def interfaces() -> dict[int, Any]:
    """Return every interface of the schema, by id; for Init that of the dialect with most methods."""
    found: dict[int, Any] = {}
    for dialect in BY_NAME:
        for module in vars(schema.load(dialect)).values():
            for nested in module.schema.node.nestedNodes:
                each = getattr(module, nested.name)
                if each.schema.node.which() != "interface":
                    continue
                known = found.setdefault(interface_id(each), each)
                if len(each.schema.node.interface.methods) > len(known.schema.node.interface.methods):
                    found[interface_id(each)] = each
    return found


@cache
def methods() -> dict[tuple[int, int], tuple[str, Any]]:
    """Return the name and the parameters of every method in the schema."""
    return {
        (number, ordinal): (method.name, interface.schema.methods[method.name].param_type)
        for number, interface in interfaces().items()
        for ordinal, method in enumerate(interface.schema.node.interface.methods)
    }


class StrictNode:
    """Plays the node of a Gated conversation: answers what it is asked, and checks all that it is sent.

    `problems` are sentences about frames that must not have come.
    """

    def __init__(self, gated: Gated) -> None:
        self.gated = gated
        self.problems: list[str] = []
        self.calls: Counter[str] = Counter()
        self.exports: Counter[int] = Counter()
        self.recorded: bytes | None = None  # the Return for the next question, if it is of the expected id
        self._questions: dict[int, tuple[int, ...]] = {}  # what their answers gave
        self._bootstraps: set[int] = set()
        self._threads: set[int] = set()
        self._busy: dict[int, int] = {}  # threads, by question without an answer
        self._handlers: dict[int, tuple[Any, int]] = {}  # interface and callback
        self._asked: set[int] = set()  # questions of the node's
        self._ended: list[int] = []
        self._made_threads = 0
        self._next = 1000

    def listens(self) -> None:
        """Take all that has come."""
        frames = self.gated.node.outbox.frames
        while frames:
            frame = frames.popleft()
            try:
                with reading(frame) as message:
                    self._take(message, frame)
            except (Unwanted, capnp.KjException, AssertionError, IndexError, struct.error) as problem:
                self.problems.append(f"{type(problem).__name__}: {problem}: {frame.hex()}")

    def _take(self, message: Any, frame: bytes) -> None:
        kind = message.which()
        body = getattr(message, kind)
        if kind == "bootstrap":
            self._open(body.questionId)
            self._bootstraps.add(body.questionId)
            self._answer(body.questionId, kind, self._made())
        elif kind == "call":
            self._called(body, frame)
        elif kind == "finish":
            self._finished(body)
        elif kind == "release":
            self._let_go(body.id, body.referenceCount)
        elif kind == "return" and body.answerId in self._asked:
            self._asked.discard(body.answerId)
        else:
            raise Unwanted(f"a message: {message}")

    def _open(self, question: int) -> None:
        if question in self._questions:
            raise Unwanted(f"question {question} for a second time")
        self._questions[question] = ()
        if len(self._questions) > MOST_QUESTIONS + 2:  # the guard may have two of its own
            raise Unwanted("too many questions")

    def _finished(self, message: Any) -> None:
        question = message.questionId
        if question not in self._questions:
            raise Unwanted(f"a Finish of {question}")
        self._bootstraps.discard(question)
        self._busy.pop(question, None)
        for capability in self._questions.pop(question):
            if message.releaseResultCaps:
                self._let_go(capability, 1)

    def _let_go(self, capability: int, count: int) -> None:
        if not 0 < count <= self.exports[capability]:
            raise Unwanted(f"a Release of capability {capability}")
        self.exports[capability] -= count

    # Calls

    def _called(self, call: Any, frame: bytes) -> None:
        asked = call.interfaceId, call.methodId
        self._open(call.questionId)
        if asked not in permitted():
            raise Unwanted(f"a call of {asked}")
        name, parameters = methods()[asked]
        self.calls[name] += 1
        if call.sendResultsTo.which() != "caller" or call.onlyPromisePipeline or call.allowThirdPartyTailCall:
            raise Unwanted(f"{name} whose results go elsewhere")
        target = self._target(call)
        table = list(call.params.capTable)
        fields = _fields(call.params.content.as_struct(parameters), parameters)
        content = tree_of(frame).at(0, 1, 0)
        if name not in WITHOUT_CONTEXT:
            self._on_thread(call.questionId, name, content, table)
        elif table:
            raise Unwanted(f"{name} with capabilities")
        if name == "disconnect":
            self._disconnected(call.questionId, target)
            return
        made = self._checked(name, fields, content, table)
        if call.questionId < wire.OWN_IDS:  # else it is the guard's wait, which goes on and on
            self._answer(call.questionId, name, made)

    def _target(self, call: Any) -> int | None:
        if call.target.which() == "importedCap":
            target: int = call.target.importedCap
            if not self.exports[target]:
                raise Unwanted(f"a call of capability {target}")
            return target
        promised = call.target.promisedAnswer
        if promised.questionId not in self._bootstraps or len(promised.transform):
            raise Unwanted("a call of a promised answer")
        return None

    def _on_thread(self, question: int, name: str, content: Struct, table: Sequence[Any]) -> None:
        context = content.pointers[0]
        if not isinstance(context, Struct) or not isinstance(context.pointers[0], Capability):
            raise Unwanted(f"{name} without a context")
        thread = table[context.pointers[0].index]
        if thread.which() != "receiverHosted" or thread.receiverHosted not in self._threads:
            raise Unwanted(f"{name} on no server thread")
        if not self.exports[thread.receiverHosted] or context.pointers[1:2] not in ([], [None]):
            raise Unwanted(f"{name} on another thread")
        if thread.receiverHosted in self._busy.values() and name != "disconnect":
            raise Unwanted(f"{name} on a busy thread")
        hosted = [each.senderHosted for each in table if each.which() == "senderHosted"]
        kinds = {each.which() for each in table}
        if len(hosted) != (name in SUBSCRIBERS) or kinds - {"senderHosted", "receiverHosted", "none"}:
            raise Unwanted(f"{name} with other capabilities")
        self._busy[question] = thread.receiverHosted

    def _checked(
        self, name: str, fields: Mapping[str, Any], content: Struct, table: Sequence[Any]
    ) -> tuple[int, ...]:
        """Check what a call asks for; returns the capabilities that it gets."""
        if name == "makeThread":
            self._made_threads += 1
            if self._made_threads > MOST_THREADS or not fields["name"].isprintable():
                raise Unwanted("another server thread")
            made = self._made()
            self._threads.update(made)
            return made
        if name == "executeRpc":
            check_json_rpc(fields)
        elif name == "waitTipChanged":
            limit = fields["timeout"]
            if not (0 <= limit <= LONGEST_WAIT_MILLISECONDS) or len(fields["currentTip"]) != 32:
                raise Unwanted(f"a wait of {limit}")
        elif name in SUBSCRIBERS:
            return self._subscribed(name, content, table)
        return self._made() if name in MAKERS else ()

    def _subscribed(self, name: str, content: Struct, table: Sequence[Any]) -> tuple[int, ...]:
        interface = SUBSCRIBERS[name]
        pin = content.pointers[1]
        if not isinstance(pin, Capability) or table[pin.index].which() != "senderHosted":
            raise Unwanted(f"{name} without a callback")
        callback = table[pin.index].senderHosted
        if (interface, callback) in self._handlers.values():
            raise Unwanted(f"{name} twice")
        made = self._made()
        self._handlers[made[0]] = interface, callback
        return made

    def _disconnected(self, question: int, handler: int | None) -> None:
        if handler not in self._handlers or handler in self._ended:
            raise Unwanted(f"a disconnect of {handler}")
        self._ended.append(handler)
        interface, callback = self._handlers[handler]
        self._asks(lambda own: destroy(own, interface, callback))
        self._answer(question, "disconnect", ())

    def _asks(self, make: Callable[[int], bytes]) -> None:
        self._next += 1
        self._asked.add(self._next)
        self.gated.node.send(make(self._next), finish(self._next))

    # Answers

    def _made(self) -> tuple[int, ...]:
        self._next += 1
        return (self._next,)

    def _answer(self, question: int, name: str, made: tuple[int, ...]) -> None:
        """Answer as the recorded node did, or with these capabilities."""
        given, self.recorded = self.recorded, None
        if given is not None:
            with reading(given) as message:
                body = getattr(message, "return")
                if body.answerId == question and body.which() == "results":
                    recorded = tuple(each.senderHosted for each in body.results.capTable)
                    self._renamed(name, made, recorded)
                    made = recorded
                elif body.answerId != question:
                    given = None
                else:
                    made = ()
        if given is None:
            table = [("senderHosted", each) for each in made]
            given = tip_is(question, b"\x07" * 32) if name == "waitTipChanged" else answer(question, table=table)
        self.exports.update(made)
        with reading(given) as message:
            if getattr(message, "return").noFinishNeeded:
                del self._questions[question]
            else:
                self._questions[question] = made
        self._busy.pop(question, None)
        self.gated.node.send(given)

    def _renamed(self, name: str, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        if name == "makeThread":
            self._threads.difference_update(before)
            self._threads.update(after)
        elif name in SUBSCRIBERS and before and after:
            self._handlers[after[-1]] = self._handlers.pop(before[0])

    def event(self) -> None:
        """Call a callback, if somebody is subscribed: the guard answers."""
        subscribed = list(self._handlers.values())[:1]
        if not self._ended and subscribed and subscribed[0][0] is CHAIN_NOTIFICATIONS:
            self._asks(lambda own: transaction(own, callback=subscribed[0][1]))
            self.listens()
            if self._next in self._asked:
                self.problems.append("an event without an answer")

    def over(self) -> None:
        """Have the client go, and see every subscription ended before the socket is closed."""
        self.gated.plugin.close()
        self.listens()
        while self.gated.node.outbox.open and self.gated.passes():
            self.listens()
        self.listens()
        left = set(self._handlers) - set(self._ended)
        if left or self._asked:
            self.problems.append(f"at the end: subscriptions {left}, unanswered {self._asked}")


def _fields(given: Any, parameters: Any) -> dict[str, Any]:
    """Read every field of a method's parameters but capabilities."""
    kinds = {name: field.proto.slot.type.which() for name, field in parameters.fields.items()}
    return {
        name: bytes(getattr(given, name)) if kind == "data" else getattr(given, name)
        for name, kind in kinds.items()
        if kind not in ("struct", "interface")  # the context, and capabilities
    }
