"""The simulated node's actions as JSON lines on stdout, each with the totals so far."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TextIO

SLOW_CALLBACK_SECONDS: Final = 0.05
"""A subscriber that takes longer than this to answer is counted as slow."""


class Journal:
    """Counts events, deliveries and calls, and writes the journal."""

    def __init__(self, out: TextIO, on_closed: Callable[[], None] = lambda: None) -> None:
        """Write to `out`; `on_closed` is called at each line after `out` was closed at its other end."""
        self.closed = False
        self._out = out
        self._on_closed = on_closed
        self._happened: Counter[str] = Counter()
        self._delivered: Counter[str] = Counter()
        self._values: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._rpc_calls: Counter[str] = Counter()
        self._slowest = 0.0
        self._slow = 0

    def happened(self, method: str) -> None:
        """Count an event, with or without subscribers."""
        self._happened[method] += 1

    def delivered(self, method: str, value: int, seconds: float) -> None:
        """Count a call on a subscriber that was answered after `seconds`, time without a processor included."""
        self._delivered[method] += 1
        if value:
            self._values[method] += value
        self._slowest = max(self._slowest, seconds)
        self._slow += seconds > SLOW_CALLBACK_SECONDS

    def called(self, method: str) -> None:
        """Count a call of a Cap'n Proto method, for instance `Chain.getHeight`."""
        self._calls[method] += 1

    def asked(self, method: str) -> None:
        """Count a call of a JSON-RPC method."""
        self._rpc_calls[method] += 1

    def write(self, action: str, **details: Any) -> None:
        """Write a line about an action."""
        line = {
            "action": action,
            **details,
            "happened": dict(self._happened),
            "delivered": dict(self._delivered),
            "delivered_value": dict(self._values),
            "calls": dict(self._calls),
            "rpc_calls": dict(self._rpc_calls),
            "slowest_callback_seconds": round(self._slowest, 6),
            "slow_callbacks": self._slow,
        }
        try:
            print(json.dumps(line), file=self._out, flush=True)
        except BrokenPipeError:
            self.closed = True
            self._on_closed()
