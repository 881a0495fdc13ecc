"""JSON-RPC methods over the node's IPC socket: Node.executeRpc or Rpc.executeRpc, only read-only methods."""

from dataclasses import dataclass
from typing import Any, Final

from telegraf_bitcoin_ipc.errors import CallFailed
from telegraf_bitcoin_ipc.ipc import jsonrpc
from telegraf_bitcoin_ipc.ipc.calls import ServerThread
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY

USER: Final = "telegraf-bitcoin-ipc"
"""The user of Rpc.executeRpc, for the node's log and its -rpcwhitelist."""


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
        if self.rpc is not None:
            request = jsonrpc.request(method, values)
            results = await self.thread.call(
                self.rpc, "executeRpc", what=method, request=request, uri="", user=USER
            )
            return jsonrpc.reply(method, results.result)
        results = await self.thread.call(
            self.node, "executeRpc", what=method, command=method, params=jsonrpc.parameters(values), uri=""
        )
        return jsonrpc.result(method, results.result, results.rpcError, results.error)

    async def version(self) -> str:
        """Return the node's subversion. Raises CallFailed, and NodeUnavailable while the node is still loading."""
        return await self._text("getnetworkinfo", "subversion")

    async def chain(self) -> str:
        """Return the name of the node's chain; raises as `version` does."""
        return await self._text("getblockchaininfo", "chain")

    async def _text(self, method: str, field: str) -> str:
        result = await self(method)
        if not isinstance(result, dict):
            raise CallFailed(f"{method}: the answer is malformed")
        return str(result.get(field, ""))
