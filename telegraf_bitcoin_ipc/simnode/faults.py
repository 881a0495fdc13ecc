"""Faults of the simulated node: methods that fail, or are never answered."""

from typing import NamedTuple


class Failure(NamedTuple):
    """How a method fails: with a JSON-RPC error, or, on a Cap'n Proto interface, an exception of that message."""

    code: int
    message: str


class Faults(dict[str, Failure | None]):
    """Failures by method, `getpeerinfo` for JSON-RPC, `Chain.getHeight` for Cap'n Proto; None if it hangs."""

    def fail(self, method: str, code: int, message: str) -> None:
        """Make a method fail until it is healed."""
        self[method] = Failure(code, message)

    def hang(self, method: str) -> None:
        """Leave calls of a method unanswered until it is healed, when the waiting ones are answered."""
        self[method] = None

    def heal(self, method: str) -> None:
        """Make a method work again. Raises ValueError if it already works."""
        if method not in self:
            raise ValueError(f"{method} is not broken")
        del self[method]

    def hangs(self, method: str) -> bool:
        """Return whether a method is left unanswered."""
        return method in self and self[method] is None
