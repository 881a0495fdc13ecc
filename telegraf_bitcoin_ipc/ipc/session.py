"""A session with a node of a known dialect: polls, subscriptions, following the tip, and a safe end.

A socket with a subscription must not be closed: a real node aborts. Nor may one with an unanswered call, which
aborts a busy tracing node about once in 30 times. waitTipChanged is the one exception.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

from telegraf_bitcoin_ipc.collect.dialect import RPC, Call, Dialect, Source
from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.collect.values import Block, Header, Value
from telegraf_bitcoin_ipc.errors import (
    CallFailed,
    NodeStopping,
    NodeUnavailable,
    NotAnswered,
    PartlyFailed,
    ThreadBusy,
)
from telegraf_bitcoin_ipc.ipc.callbacks import (
    ChainSink,
    Subscriber,
    UtxoSink,
    chain_notifications,
    utxo_cache_trace,
)
from telegraf_bitcoin_ipc.ipc.calls import CALL_LIMIT, ServerThread, answer, translated
from telegraf_bitcoin_ipc.ipc.jsonrpc import JsonRpc

log = logging.getLogger(__name__)

NO_TIP: Final = bytes(32)
"""A hash that no block has: the first wait returns the current tip at once."""

TIP_WAIT_MILLISECONDS: Final = 1000.0
"""Time limit of a wait for a new tip: the guard must wait for the answer before it closes the node's socket."""

MALFORMED: Final = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""Exceptions that a reader raises on an unexpected result."""

BUSY_PAUSE: Final = 0.01
LONGEST_BUSY_PAUSE: Final = 1.0
"""Seconds to wait after `thread busy`; doubled each time when waiting for the tip."""

UNANSWERED_WARNING: Final = 5.0
"""Seconds after which the log mentions a subscription that has not ended yet."""


class Subscribed(NamedTuple):
    """The server that the node calls, and the subscribing call, whose result is the handler that ends it."""

    subscriber: Subscriber
    request: asyncio.Future[Any]

    @property
    def failed(self) -> bool:
        """Whether the node has refused the subscription."""
        return self.request.done() and self.request.exception() is not None

    async def end(self, thread: ServerThread) -> None:
        """Call Handler.disconnect and wait for `destroy`, without a time limit."""
        await asyncio.wait({self.request})
        if self.failed:
            return
        handler = self.request.result().result
        while True:
            try:
                await thread.call(handler, "disconnect")
                break
            except CallFailed as error:
                log.debug("a subscription has not ended yet: %s", error)
                await asyncio.sleep(BUSY_PAUSE)
        await self.subscriber.destroyed.wait()


@dataclass(eq=False)
class Session:
    """An open session: polls, subscriptions and the tip of a node whose dialect is known.

    `capabilities` are the node's interfaces by name, `threads` our threads in the node by name, `schema` the
    dialect's. `json_rpc` is None if the dialect has none; `version` and `chain` are empty if unknown.

    `tip_works` is the result of `probe_tip`. While it is false nothing may be subscribed: the node's stop would go
    unnoticed, and a node that stops with a subscriber aborts.
    """

    dialect: Dialect
    capabilities: Mapping[str, Any]
    threads: Mapping[str, ServerThread]
    schema: Any
    json_rpc: JsonRpc | None = None
    version: str = ""
    chain: str = ""
    tip_works: bool = field(default=False, init=False)
    _subscriptions: dict[Subscription, Subscribed] = field(default_factory=dict, init=False)

    def __str__(self) -> str:
        return f"node {self.version or 'of unknown version'}, chain {self.chain or 'unknown'}, {self.dialect.name}"

    async def read(self, source: Source) -> dict[str, Value]:
        """Return a source's values by metric. Raises NodeUnavailable and CallFailed (PartlyFailed)."""
        problems: list[CallFailed] = []
        results = await self._results(source.call, problems)
        values: dict[str, Value] = {}
        for metric, read in source.values.items():
            try:
                values[metric] = read(results)
            except MALFORMED as error:
                problems.append(CallFailed(f"{source.name}: the answer is malformed ({error!r})"))
        if problems and not values:
            raise problems[0]
        if problems:
            raise PartlyFailed(str(problems[0]), values) from problems[0]
        return values

    async def _results(self, call: Call, problems: list[CallFailed]) -> Any:
        """Return the results of a call; of a repeated one (`each`) those that came, by argument."""
        if call.interface != RPC:
            capability = self.capabilities[call.interface]
            return await self.threads["poll"].call(capability, call.method, **dict(call.arguments))
        if not call.each:
            return await self.rpc(call.method, *(value for _, value in call.arguments))
        results: dict[str, Any] = {}
        for value in call.each:
            try:
                results[str(value)] = await self.rpc(call.method, value)
            except CallFailed as error:
                problems.append(error)
        if not results:
            raise problems[0]
        return results

    async def rpc(self, method: str, *values: Any) -> Any:
        """Return the result of a read-only JSON-RPC method; raises CallFailed or NodeUnavailable."""
        if self.json_rpc is None:
            raise ValueError(f"the dialect {self.dialect.name} has no JSON-RPC")
        return await self.json_rpc(method, *values)

    async def header(self, block_hash: str) -> Header:
        """Return a block's header, on the active chain or off it; raises CallFailed."""
        header = await self.rpc("getblockheader", block_hash)
        try:
            previous = header.get("previousblockhash", "")
            return Header(block_hash, previous, int(header["height"]), int(header["nTx"]))
        except MALFORMED as error:
            raise CallFailed(f"getblockheader: the answer is malformed ({error!r})") from error

    async def subscribe_chain(self, sink: ChainSink) -> None:
        """Subscribe `sink` to every chain and mempool event; raises CallFailed."""
        server = chain_notifications(self.schema, sink)
        await self._subscribe(Subscription.CHAIN, server, "chain", "handleNotifications", notifications=server)

    async def subscribe_utxo_cache(self, sink: UtxoSink) -> None:
        """Subscribe `sink` to every UTXO cache event; raises CallFailed."""
        server = utxo_cache_trace(self.schema, sink)
        await self._subscribe(Subscription.UTXO_CACHE, server, "tracing", "traceUtxoCache", callback=server)

    async def _subscribe(
        self, name: Subscription, subscriber: Subscriber, interface: str, method: str, **arguments: Any
    ) -> None:
        subscription = self._subscriptions.get(name)
        # A subscription that is active, or may still be answered, is never made a second time.
        if subscription is None or subscription.failed:
            request = self.threads["subscribe"].begin(self.capabilities[interface], method, **arguments)
            subscription = self._subscriptions[name] = Subscribed(subscriber, request)
        request = subscription.request
        if not (await asyncio.wait({request}, timeout=CALL_LIMIT))[0]:
            raise NotAnswered(f"{method}: no answer within {CALL_LIMIT:g} seconds")
        with translated(method):
            request.result()

    async def probe_tip(self) -> None:
        """Check that waitTipChanged, which also reports the node's stop, works; raises CallFailed if not."""
        self.tip_works = False
        await self._next_tip(NO_TIP, limit=CALL_LIMIT, timeout=TIP_WAIT_MILLISECONDS)
        self.tip_works = True

    async def follow_tip(self, on_tip: Callable[[Block], Awaitable[None]] | None = None) -> NoReturn:
        """Call `on_tip` with the current tip and each new one, until the session is over.

        Raises NodeStopping when the node begins to stop, and NodeUnavailable when it is gone or its tip can no
        longer be followed. A pending Mining.waitTipChanged returns without a tip as soon as the node is told to
        stop; an idle regtest node that still has a subscriber aborts 0.09 s later (measured). Without `on_tip` the
        wait has no time limit: it ends with the connection. It is repeated only if the node's thread is busy.
        """
        limited: dict[str, Any] = {} if on_tip is None else {"timeout": TIP_WAIT_MILLISECONDS}
        tip, pause = NO_TIP, BUSY_PAUSE
        while True:
            try:
                before, (tip, height) = tip, await self._next_tip(tip, limit=None, **limited)
            except ThreadBusy:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_BUSY_PAUSE)
                continue
            except CallFailed as error:  # the node's stop would go unnoticed
                raise NodeUnavailable(str(error)) from error
            pause = BUSY_PAUSE
            if on_tip is not None and tip != before:
                await on_tip(Block(height, tip[::-1].hex()))

    async def _next_tip(self, tip: bytes, *, limit: float | None, **limited: Any) -> tuple[bytes, int]:
        """Wait until the tip is not `tip`, or until the timeout; return the hash and height of the tip."""
        call, mining, what = self.threads["tip"].call, self.capabilities["mining"], "waitTipChanged"
        changed = await call(mining, what, currentTip=tip, limit=limit, **limited)
        with translated(what):
            found, height = bytes(changed.result.hash), changed.result.height
        if not found:
            # At once, before another task begins a call: that could run while the node destroys its state.
            self.tip_works, self.threads["poll"].retired = False, True
            raise NodeStopping
        if len(found) != len(NO_TIP):
            raise CallFailed(f"{what}: the answer is malformed")
        return found, height

    async def unsubscribe(self) -> None:
        """End every subscription, one after another, without a time limit.

        Returns early if the connection is lost or a call fails.
        """
        try:
            for name, subscription in reversed(self._subscriptions.items()):
                ending = asyncio.ensure_future(subscription.end(self.threads["subscribe"]))
                try:
                    while not (await asyncio.wait({ending}, timeout=UNANSWERED_WARNING))[0]:
                        log.warning("the node has not ended the %s subscription yet; waiting for it", name)
                finally:
                    ending.cancel()  # no effect if it is done
                ending.result()
            if self._subscriptions:
                # The answer proves that the node has read our answers to its last calls.
                await answer("getName", self.threads["subscribe"].capability.getName())
        except (NodeUnavailable, CallFailed) as error:
            log.debug("while unsubscribing: %s", error)
