"""JSON-RPC requests and replies as text, for Node.executeRpc (tracing, chain) and Rpc.executeRpc (stock)."""

import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from telegraf_bitcoin_ipc.errors import CallFailed, DataPruned, NodeUnavailable, NotAllowed

IN_WARMUP: Final = -28
"""RPC_IN_WARMUP of Bitcoin Core: the node has not loaded its chain yet."""

METHOD_NOT_FOUND: Final = -32601
"""RPC_METHOD_NOT_FOUND of JSON-RPC 2.0."""

MISC_ERROR: Final = -1
"""RPC_MISC_ERROR of Bitcoin Core, which it uses for many errors."""

PRUNED: Final = "pruned data"
"""Distinguishes a pruned block from the other errors of that code (getblockstats, Bitcoin Core 31.99)."""


def parameters(values: Sequence[Any]) -> str:
    """Return the parameters as a JSON array, as Node.executeRpc takes them."""
    return json.dumps(values)


def request(method: str, values: Sequence[Any]) -> str:
    """Return a JSON-RPC 2.0 request, as Rpc.executeRpc takes it."""
    return json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": values})


def result(method: str, text: str, rpc_error: str, error: str) -> Any:
    """Return the result from Node.executeRpc's three texts, of which one is not empty; raises as `reply` does."""
    if error:
        raise CallFailed(f"{method}: {error}")
    if rpc_error:
        raise _refusal(method, _parsed(method, rpc_error))
    return _parsed(method, text)


def reply(method: str, text: str) -> Any:
    """Return the result from Rpc.executeRpc's JSON-RPC reply.

    Raises CallFailed (NotAllowed, DataPruned), and NodeUnavailable while the node is still starting.
    """
    parsed = _parsed(method, text)
    if parsed is None:
        raise NotAllowed(f"{method}: the node does not allow it (see its -rpcwhitelist)")
    if isinstance(parsed, dict) and parsed.get("error") is not None:
        raise _refusal(method, parsed["error"])
    if not isinstance(parsed, dict) or "result" not in parsed:
        raise CallFailed(f"{method}: the answer is not valid JSON-RPC")
    return parsed["result"]


def _parsed(method: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CallFailed(f"{method}: the answer is not valid JSON-RPC ({error})") from error


def _no_number(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python accepts and JSON does not have."""
    raise ValueError(f"{name} is not a number")


def _refusal(method: str, error: Any) -> CallFailed | NodeUnavailable:
    """Translate a JSON-RPC error object into one of this program's errors."""
    try:
        code, message = error["code"], error["message"]
    except (KeyError, TypeError) as broken:
        return CallFailed(f"{method}: the answer is not valid JSON-RPC ({broken})")
    if code == IN_WARMUP:
        return NodeUnavailable(f"the node is still starting ({message})")
    if not isinstance(code, int):
        return CallFailed(f"{method}: the answer is not valid JSON-RPC (its error code is {code!r})")
    failure = DataPruned if code == MISC_ERROR and PRUNED in str(message) else CallFailed
    return failure(f"{method}: {message} (error {code})", code)
