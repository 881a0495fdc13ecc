"""Faults of the simulated node: methods that fail, or are never answered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """How a method fails: with a JSON-RPC error, or, on a Cap'n Proto interface, an exception of that message."""

    code: int
    message: str


class Faults:
    """Faults by method: `getpeerinfo` for JSON-RPC, `Chain.getHeight` for Cap'n Proto."""

    def __init__(self) -> None:
        self._failures: dict[str, Failure] = {}
        self._hanging: set[str] = set()

    def fail(self, method: str, code: int, message: str) -> None:
        """Make a method fail until it is healed."""
        self._failures[method] = Failure(code, message)

    def hang(self, method: str) -> None:
        """Leave calls of a method unanswered until it is healed, when the waiting ones are answered."""
        self._hanging.add(method)

    def heal(self, method: str) -> None:
        """Make a method work again. Raises ValueError if it already works."""
        if method not in self._failures and method not in self._hanging:
            raise ValueError(f"{method} is not broken")
        self._failures.pop(method, None)
        self._hanging.discard(method)

    def failure(self, method: str) -> Failure | None:
        """Return how a method fails; None if it works."""
        return self._failures.get(method)

    def hangs(self, method: str) -> bool:
        """Return whether a method is left unanswered."""
        return method in self._hanging
