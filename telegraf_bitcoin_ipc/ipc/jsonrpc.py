"""JSON-RPC texts: what Node.executeRpc (tracing, chain) and Rpc.executeRpc (stock) take and give."""

import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable

IN_WARMUP: Final = -28
"""RPC_IN_WARMUP of Bitcoin Core: the node has not loaded its chain yet."""


def parameters(values: Sequence[Any]) -> str:
    """Return the parameters as a JSON array, as Node.executeRpc takes them."""
    return json.dumps(values)


def request(method: str, values: Sequence[Any]) -> str:
    """Return a whole JSON-RPC 2.0 request, as Rpc.executeRpc takes it."""
    return json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": values})


def result(method: str, text: str, rpc_error: str, error: str) -> Any:
    """Return what Node.executeRpc gave, of whose three texts one is not empty; raises as `reply` does."""
    if error:
        raise CallFailed(f"{method}: {error}")
    if rpc_error:
        raise _refusal(method, _parsed(method, rpc_error))
    return _parsed(method, text)


def reply(method: str, text: str) -> Any:
    """Return what Rpc.executeRpc gave, a whole JSON-RPC reply.

    Raises CallFailed, and NodeUnavailable while the node is still starting.
    """
    said = _parsed(method, text)
    if said is None:
        raise CallFailed(f"{method}: the node does not allow it (see its -rpcwhitelist)")
    if isinstance(said, dict) and said.get("error") is not None:
        raise _refusal(method, said["error"])
    if not isinstance(said, dict) or "result" not in said:
        raise CallFailed(f"{method}: the answer is not what JSON-RPC says")
    return said["result"]


def _parsed(method: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CallFailed(f"{method}: the answer is not what JSON-RPC says ({error})") from error


def _no_number(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are Python's idea of JSON."""
    raise ValueError(f"{name} is no number")


def _refusal(method: str, error: Any) -> CallFailed | NodeUnavailable:
    """Return what an error object means."""
    try:
        code, message = error["code"], error["message"]
    except (KeyError, TypeError) as broken:
        return CallFailed(f"{method}: the answer is not what JSON-RPC says ({broken})")
    if code == IN_WARMUP:
        return NodeUnavailable(f"the node is still starting ({message})")
    return CallFailed(f"{method}: {message} (error {code})")
