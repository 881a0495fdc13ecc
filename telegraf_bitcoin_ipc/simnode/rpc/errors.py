"""JSON-RPC errors."""

from typing import Final

MISC_ERROR: Final = -1
INVALID_ADDRESS_OR_KEY: Final = -5
INVALID_PARAMETER: Final = -8
IN_WARMUP: Final = -28
METHOD_NOT_FOUND: Final = -32601
"""Bitcoin Core's RPC error codes (`RPCErrorCode`)."""


class RpcError(Exception):
    """A JSON-RPC error: Bitcoin Core's `code` and `message`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message

    def as_object(self) -> dict[str, object]:
        """Return the error object of JSON-RPC."""
        return {"code": self.code, "message": self.message}
