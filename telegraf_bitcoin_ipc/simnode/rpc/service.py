"""JSON-RPC as a running node offers it: counted, after the warm-up, and as broken as it was told to be."""

import time
from typing import Any, Final

from telegraf_bitcoin_ipc.simnode.node import SimulatedNode
from telegraf_bitcoin_ipc.simnode.rpc.errors import IN_WARMUP, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.methods import answer

WARMUP: Final = "Loading block index…"


async def ask(node: SimulatedNode, subversion: str, method: str, params: Any) -> object:
    """Return the result of a method, for `json.dumps`; raises RpcError."""
    node.journal.asked(method)
    if not node.loaded:
        raise RpcError(IN_WARMUP, WARMUP)
    node.need_chain()  # it may be gone again
    if failure := await node.fault(method):
        raise RpcError(failure.code, failure.message)
    return answer(node.model, method, params, now=int(time.time()), started=node.started_at, subversion=subversion)
