"""The simulated node's actions as JSON lines on stdout, each with the totals so far."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TextIO

SLOW_CALLBACK_SECONDS: Final = 0.05
"""A subscriber that takes longer than this to answer is counted as slow."""


KINDS: Final = ("happened", "delivered", "delivered_value", "calls", "rpc_calls")


class Journal:
    """Counts events, deliveries and calls, and writes the journal."""

    def __init__(self, out: TextIO, on_closed: Callable[[], None] = lambda: None) -> None:
        """Write to `out`; `on_closed` is called at each line after `out` was closed at its other end."""
        self.closed = False
        self._out = out
        self._on_closed = on_closed
        self._totals: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self._slowest = 0.0
        self._slow = 0

    def count(self, kind: str, method: str, number: int = 1) -> None:
        """Count an event, with or without subscribers; its delivery, the satoshi in it; a call of either kind."""
        self._totals[kind][method] += number

    def timed(self, seconds: float) -> None:
        """Note how long a subscriber took to answer, time without a processor included."""
        self._slowest = max(self._slowest, seconds)
        self._slow += seconds > SLOW_CALLBACK_SECONDS

    def write(self, action: str, **details: Any) -> None:
        line = {
            "action": action,
            **details,
            **self._totals,
            "slowest_callback_seconds": round(self._slowest, 6),
            "slow_callbacks": self._slow,
        }
        try:
            print(json.dumps(line), file=self._out, flush=True)
        except BrokenPipeError:
            self.closed = True
            self._on_closed()
