"""JSON-RPC of a running node: counted, refused during warm-up, and failing where a script says so."""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from telegraf_bitcoin_ipc.simnode.node import SimulatedNode
from telegraf_bitcoin_ipc.simnode.rpc.errors import IN_WARMUP, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.methods import answer

WARMUP: Final = "Loading block index…"


async def ask(node: SimulatedNode, subversion: str, method: str, params: Sequence[Any]) -> object:
    """Return the result of a method, for `json.dumps`; raises RpcError."""
    node.journal.count("rpc_calls", method)
    if not node.loaded:
        raise RpcError(IN_WARMUP, WARMUP)
    node.need_chain()  # it may be gone again
    if failure := await node.fault(method):
        raise RpcError(*failure)
    return answer(node.model, method, params, now=int(time.time()), started=node.started_at, subversion=subversion)


async def execute(text: str, ask: Callable[[str, Sequence[Any]], Awaitable[object]]) -> str:
    """Return the reply to a JSON-RPC 2.0 request, as Rpc.executeRpc does; `ask` answers, or raises RpcError."""
    request = json.loads(text)
    reply = {"jsonrpc": request["jsonrpc"], "id": request["id"]}
    try:
        reply["result"] = await ask(request["method"], request["params"])
    except RpcError as error:
        reply["error"] = error.as_object()
    return json.dumps(reply, ensure_ascii=False)
