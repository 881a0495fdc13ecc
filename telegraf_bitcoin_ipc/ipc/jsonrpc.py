"""Read-only JSON-RPC methods over the IPC socket: Node.executeRpc (tracing, chain), or Rpc.executeRpc (stock)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

from telegraf_bitcoin_ipc.errors import CallFailed, DataPruned, NodeUnavailable, NotAllowed
from telegraf_bitcoin_ipc.ipc.calls import ServerThread
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY

USER: Final = "telegraf-bitcoin-ipc"
"""The user of Rpc.executeRpc, for the node's log and its -rpcwhitelist."""

IN_WARMUP: Final = -28
"""RPC_IN_WARMUP of Bitcoin Core: the node has not loaded its chain yet."""

METHOD_NOT_FOUND: Final = -32601
"""RPC_METHOD_NOT_FOUND of JSON-RPC 2.0."""

MISC_ERROR: Final = -1
"""RPC_MISC_ERROR of Bitcoin Core, which it uses for many errors."""

PRUNED: Final = "pruned data"
"""Distinguishes a pruned block from the other errors of that code (getblockstats, Bitcoin Core 31.99)."""


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


@dataclass(frozen=True, kw_only=True)
class JsonRpc:
    """Calls read-only JSON-RPC methods through the node's Node or Rpc, as `await rpc(method, *values)`."""

    thread: ServerThread
    node: Any = None
    rpc: Any = None

    async def __call__(self, method: str, *values: Any) -> Any:
        """Return a method's result. Raises CallFailed, NodeUnavailable, and ValueError for any other method."""
        if method not in READ_ONLY:
            raise ValueError(f"{method} is not one of the read-only methods")
        call = partial(self.thread.call, what=method, uri="")
        if self.rpc is not None:
            results = await call(self.rpc, "executeRpc", request=request(method, values), user=USER)
            return reply(method, results.result)
        results = await call(self.node, "executeRpc", command=method, params=json.dumps(values))
        return result(method, results.result, results.rpcError, results.error)

    async def version(self) -> str:
        """Return the node's version. Raises CallFailed, and NodeUnavailable while the node is loading."""
        return await self._text("getnetworkinfo", "subversion")

    async def chain(self) -> str:
        """Return the node's chain. Raises CallFailed, and NodeUnavailable while the node is loading."""
        return await self._text("getblockchaininfo", "chain")

    async def _text(self, method: str, field: str) -> str:
        result = await self(method)
        if not isinstance(result, dict):
            raise CallFailed(f"{method}: the answer is malformed")
        return str(result.get(field, ""))
