"""One client of the simulated node: its server threads, its subscriptions, its JSON-RPC calls."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, Final, Literal

from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.simnode.dialects import DIALECTS
from telegraf_bitcoin_ipc.simnode.node import CALL_TOO_MANY, SimulatedNode, Subscription
from telegraf_bitcoin_ipc.simnode.rpc.service import ask, execute

CALL_SECONDS: Final = 0.0002
"""Seconds that a call takes on a real node's server thread, round trip (measured 200-350 us)."""

MAY_BE_LOST: Final = "waitTipChanged"
"""The one call during which losing the connection is harmless in every dialect; others abort some nodes."""

Method = Callable[..., Coroutine[Any, Any, Any]]


class Connection:
    """One client of a node that speaks a dialect."""

    def __init__(self, node: SimulatedNode, dialect: str) -> None:
        self.node = node
        self.schema = schema.load(dialect)
        self.dialect = DIALECTS[dialect]
        self.subscriptions: list[Subscription] = []
        self.lost_at_work = False  # on a call whose loss aborts the node
        self._threads: dict[str, asyncio.Lock] = {}
        self._at_work: dict[str, tuple[Any, str]] = {}  # the current or last call of a thread
        self._hung: set[str] = set()

    def make_thread(self, name: str) -> Any:
        """Return a Thread server with a unique name."""
        unique = f"simnode-{len(self._threads) + 1} (from {name})"
        self._threads[unique] = asyncio.Lock()

        class Thread(self.schema.proxy.Thread.Server):  # type: ignore[misc, name-defined]
            async def getName(self, **_: Any) -> str:
                return unique

        return Thread()

    def on_thread(self, method: Method) -> Method:
        """Run a server's method on the server thread that its context names, unless a script makes it fail."""

        @wraps(method)
        async def served(server: Any, context: Any, **arguments: Any) -> Any:
            name = f"{type(server).__name__}.{method.__name__}"
            self.node.journal.count("calls", name)
            async with self._busy(context, server, method.__name__):
                if failure := await self.node.fault(name):
                    raise RuntimeError(f"std::exception: {failure.message}")
                return await method(server, **arguments)

        return served

    @asynccontextmanager
    async def _busy(self, context: Any, server: Any, method: str) -> AsyncIterator[None]:
        """Occupy the server thread that a call names; it does one call at a time."""
        name = (await context.thread.getName()).result
        thread, call = self._threads[name], (server, method)
        if thread.locked() and not self.dialect.is_recent:
            if self.dialect.aborts_at_second_call:
                self.node.abort(CALL_TOO_MANY)
            elif method == "disconnect" and self._at_work[name] == call:
                self._hung.add(name)  # a real node's thread then waits for itself
                await asyncio.Event().wait()
            else:
                raise RuntimeError("std::exception: thread busy")
        try:
            async with thread:
                self._at_work[name] = call
                await asyncio.sleep(CALL_SECONDS)
                yield
                if name in self._hung:
                    await asyncio.Event().wait()
        except asyncio.CancelledError:  # the client has gone
            self.lost_at_work |= not self.dialect.is_recent and method != MAY_BE_LOST
            raise

    async def ask(self, method: str, params: Sequence[Any]) -> object:
        """Return the result of a JSON-RPC method; raises RpcError."""
        return await ask(self.node, self.dialect.subversion, method, params)

    async def execute(self, request: str) -> str:
        """Return the reply to a whole JSON-RPC request."""
        return await execute(request, self.ask)

    def subscribe(self, kind: Literal["chain", "utxo_cache"], callback: Any) -> Subscription:
        """Begin a subscription of this connection; each call gets a new Thread capability."""
        subscription = Subscription(
            kind,
            callback,
            lambda: {"callbackThread": self.make_thread("callback")},
            may_be_lost=self.dialect.is_recent,
        )
        self.subscriptions.append(subscription)
        self.node.subscribe(subscription)
        return subscription
