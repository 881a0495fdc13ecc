"""JSON-RPC texts, as Node.executeRpc takes and gives them."""

import json
from typing import Any, Final

from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable

IN_WARMUP: Final = -28
"""RPC_IN_WARMUP of Bitcoin Core: the node has not loaded its chain yet."""


def encode(parameters: tuple[Any, ...]) -> str:
    """Return the parameters as a JSON array."""
    return json.dumps(parameters)


def decode(method: str, result: str, rpc_error: str, error: str) -> Any:
    """Return a method's result. Raises CallFailed, and NodeUnavailable while the node is still starting."""
    if error:
        raise CallFailed(f"{method}: {error}")
    try:
        if rpc_error:
            said = json.loads(rpc_error)
            if said["code"] == IN_WARMUP:
                raise NodeUnavailable(f"the node is still starting ({said['message']})")
            raise CallFailed(f"{method}: {said['message']} (error {said['code']})")
        return json.loads(result)
    except (ValueError, KeyError, TypeError) as broken:
        raise CallFailed(f"{method}: the answer is not what JSON-RPC says ({broken})") from broken
