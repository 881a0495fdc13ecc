"""A recorded session, sent once more to a guard by a client that puts hostile frames in it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from support.frames import question_of
from support.gated import Gated
from support.mutations import KINDS
from support.recorded import recorded
from support.strict_node import StrictNode

from telegraf_bitcoin_ipc.guard import wire
from telegraf_bitcoin_ipc.ipc.dialects import STOCK_30


@cache
def script(dialect: str) -> tuple[tuple[bytes, bytes | None], ...]:
    """Return each frame of a recorded client, and the node's answer to it."""
    answers: dict[int, bytes] = {}  # by question: a later one may have the same
    found = list[tuple[bytes, bytes | None]]()
    for is_node, frame in reversed(recorded(dialect).said):
        kind = wire.Message.of(frame).kind
        if not is_node:
            asks = kind in (wire.CALL, wire.BOOTSTRAP)
            found.append((frame, answers.get(question_of(frame)) if asks else None))
        elif kind == wire.RETURN:
            answers[question_of(frame)] = frame
    return tuple(reversed(found))


@dataclass
class Outcome:
    """What became of hostile inputs, by their kinds."""

    tried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)  # of the last input before a problem
    problems: list[str] = field(default_factory=list)


class Attack:
    """One session with a guard in memory."""

    def __init__(self, dialect: str, outcome: Outcome) -> None:
        self.outcome = outcome
        self.gated = Gated(loaded=dialect == STOCK_30.name)
        self.node = StrictNode(self.gated)
        self._script = script(dialect)

    @property
    def open(self) -> bool:
        """Whether the guard still serves the client."""
        return self.gated.plugin.outbox.open

    def says(self, frame: bytes, answer: bytes | None = None) -> None:
        """Have the client say a frame, and the node answer as it did in the recording."""
        self.node.recorded = answer
        self.gated.plugin.send(frame)
        self.node.listens()
        self.node.recorded = None
        self.gated.plugin.outbox.frames.clear()

    def goes(self, rng: random.Random, kinds: list[str], begin: float) -> None:
        """Say the recording with frames changed: one of those kinds at a time, from a part of it on."""
        first = int(begin * len(self._script))
        left, last = list(kinds), "none"
        for place, (frame, answer) in enumerate(self._script):
            if not self.open:
                break
            if place < first or not left or rng.random() < 0.5:
                self.says(frame, answer)
                continue
            last = left.pop()
            self.attacks(rng, last, frame, answer)
        self.node.event()
        self.node.over()
        self.outcome.problems += self.node.problems
        self.outcome.reached[last] += len(self.node.problems)

    def attacks(self, rng: random.Random, kind: str, frame: bytes, answer: bytes | None) -> None:
        """Say something else instead of a frame."""
        refused = self.gated.totals()["calls_refused"]
        for each in KINDS[kind](rng, frame):
            self.says(each, answer)
        self.outcome.tried[kind] += 1
        self.outcome.refused[kind] += self.gated.totals()["calls_refused"] > refused
        self.outcome.ended[kind] += not self.open
