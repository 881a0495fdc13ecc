"""A session with a node of a known dialect: polls, JSON-RPC, subscriptions, the tip, and a harmless leave.

What a real node forces on this module: a socket with a subscription on it must not be closed, or the node aborts.
Nor must one with a call on it that is not answered, which kills a busy tracing node once in some 30 times;
waitTipChanged is the one exception.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, NoReturn

from telegraf_bitcoin_ipc.collect.values import Value
from telegraf_bitcoin_ipc.errors import CallFailed, NodeStopping, NodeUnavailable, PartlyFailed, ThreadBusy
from telegraf_bitcoin_ipc.ipc import jsonrpc
from telegraf_bitcoin_ipc.ipc.callbacks import (
    ChainSink,
    Subscriber,
    UtxoSink,
    chain_notifications,
    utxo_cache_trace,
)
from telegraf_bitcoin_ipc.ipc.calls import CALL_LIMIT, ServerThread, answer, translated
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY, RPC, Call, Dialect, Source

log = logging.getLogger(__name__)

NO_TIP: Final = bytes(32)
"""A block hash that no tip has: the first wait returns the present tip at once."""

TIP_WAIT_MILLISECONDS: Final = 1000.0
"""Time limit of a wait for a new tip; its answer is what the guard has to wait for before it closes."""

MALFORMED: Final = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""What a reader raises at a result that has not the form that it should have."""

RPC_USER: Final = "telegraf-bitcoin-ipc"
"""Who calls Rpc.executeRpc, for the node's log and its -rpcwhitelist."""

BUSY_PAUSE: Final = 0.01
LONGEST_BUSY_PAUSE: Final = 1.0
"""Seconds to wait after the node said `thread busy`; before a wait for the tip they double."""

UNANSWERED_WARNING: Final = 5.0
"""Seconds after which a node that does not let go of a subscription is mentioned in the log."""


class Tip(NamedTuple):
    """A tip of the active chain: its hash as people write it, and its height."""

    hash: str
    height: int


class Header(NamedTuple):
    """What getblockheader says of a block; `previous` is empty for the genesis block."""

    hash: str
    previous: str
    height: int
    transactions: int


class Subscription:
    """One subscription: what the node calls, and what ends it.

    `request` is the call that was answered, or is still to be answered, with the handler.
    """

    def __init__(self, subscriber: Subscriber, request: asyncio.Future[Any]) -> None:
        """Stand for the request that was sent."""
        self.subscriber = subscriber
        self.request = request

    @property
    def failed(self) -> bool:
        """Whether the node has refused it."""
        return self.request.done() and self.request.exception() is not None

    async def end(self, thread: ServerThread) -> None:
        """Call Handler.disconnect and wait until the node has let go, however long that takes."""
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


class Session:
    """A node that answered: `dialect` says what it is, `version` and `chain` are empty where it does not tell.

    `capabilities` are its interfaces by name, `threads` our threads in it. `tells_of_its_stop` is what
    `ask_for_tip` has found out; while it is false nothing may be subscribed, or the node would stop with a
    subscriber, and abort.
    """

    def __init__(
        self,
        dialect: Dialect,
        capabilities: dict[str, Any],
        threads: Mapping[str, ServerThread],
        loaded: Any,
    ) -> None:
        """Use what the handshake gave; see `handshake.open_session`."""
        self.dialect = dialect
        self.version = ""
        self.chain = ""
        self.capabilities = capabilities
        self.threads = threads
        self.tells_of_its_stop = False
        self._schema = loaded
        self._subscriptions: dict[str, Subscription] = {}

    def __str__(self) -> str:
        """Say what is watched, in a few words."""
        return f"node {self.version or 'of unknown version'}, chain {self.chain or 'unknown'}, {self.dialect.name}"

    async def introduce(self) -> None:
        """Ask for version and chain; raises CallFailed, and NodeUnavailable while the node is still loading."""
        self.version = await self._text("getnetworkinfo", "subversion")
        self.chain = await self._text("getblockchaininfo", "chain")

    async def why_loading(self) -> str:
        """Return what a node does that is loading its chain, in its own words; empty where it does not say."""
        try:
            await self.rpc("getblockchaininfo")
        except NodeUnavailable as error:
            return str(error)
        except CallFailed as error:
            log.debug("%s", error)
        return ""

    async def _text(self, method: str, field: str) -> str:
        said = await self.rpc(method)
        if not isinstance(said, dict):
            raise CallFailed(f"{method}: the answer is malformed")
        return str(said.get(field, ""))

    async def read(self, source: Source) -> dict[str, Value]:
        """Make a source's call and return its values by metric.

        Raises CallFailed (PartlyFailed where some values are known all the same) or NodeUnavailable.
        """
        problems: list[CallFailed] = []
        results = await self._all_results(source.call, problems)
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

    async def _all_results(self, call: Call, problems: list[CallFailed]) -> Any:
        """Return the results of a call; of one that is made several times those that came, by argument."""
        if not call.each:
            return await self._results(call, *(value for _, value in call.arguments))
        results: dict[str, Any] = {}
        for value in call.each:
            try:
                results[str(value)] = await self._results(call, value)
            except CallFailed as error:
                problems.append(error)
        if not results:
            raise problems[0]
        return results

    async def _results(self, call: Call, *values: Any) -> Any:
        if call.interface == RPC:
            return await self.rpc(call.method, *values)
        capability = self.capabilities[call.interface]
        return await self.threads["poll"].call(capability, call.method, **dict(call.arguments))

    async def rpc(self, method: str, *values: Any) -> Any:
        """Return the result of one of the read-only JSON-RPC methods; raises CallFailed or NodeUnavailable."""
        if method not in READ_ONLY:
            raise ValueError(f"{method} is none of the methods that may be called")
        thread = self.threads["poll"]
        if "rpc" in self.capabilities:
            request = jsonrpc.request(method, values)
            said = await thread.call(
                self.capabilities["rpc"], "executeRpc", what=method, request=request, uri="", user=RPC_USER
            )
            return jsonrpc.reply(method, said.result)
        said = await thread.call(
            self.capabilities["node"],
            "executeRpc",
            what=method,
            command=method,
            params=jsonrpc.parameters(values),
            uri="",
        )
        return jsonrpc.result(method, said.result, said.rpcError, said.error)

    async def header(self, block_hash: str) -> Header:
        """Return what the header of a block says, be it on the active chain or not; raises CallFailed."""
        said = await self.rpc("getblockheader", block_hash)
        try:
            return Header(block_hash, said.get("previousblockhash", ""), int(said["height"]), int(said["nTx"]))
        except MALFORMED as error:
            raise CallFailed(f"getblockheader: the answer is malformed ({error!r})") from error

    async def subscribe_chain(self, sink: ChainSink) -> None:
        """Have the node call `sink` at every chain and mempool event; raises CallFailed."""
        subscriber = chain_notifications(self._schema, sink)
        await self._subscribe("chain", subscriber, "chain", "handleNotifications", notifications=subscriber)

    async def subscribe_utxo_cache(self, sink: UtxoSink) -> None:
        """Have the node call `sink` at everything that its UTXO cache does; raises CallFailed."""
        subscriber = utxo_cache_trace(self._schema, sink)
        await self._subscribe("utxo_cache", subscriber, "tracing", "traceUtxoCache", callback=subscriber)

    async def _subscribe(
        self, name: str, subscriber: Subscriber, interface: str, method: str, **arguments: Any
    ) -> None:
        subscription = self._subscriptions.get(name)
        if (
            subscription is None or subscription.failed
        ):  # else it stands, or may yet be answered: never a second one
            request = self.threads["subscribe"].begin(self.capabilities[interface], method, **arguments)
            subscription = self._subscriptions[name] = Subscription(subscriber, request)
        request = subscription.request
        if not (await asyncio.wait({request}, timeout=CALL_LIMIT))[0]:
            raise CallFailed(f"{method}: no answer within {CALL_LIMIT:g} seconds")
        with translated(method):
            request.result()

    async def ask_for_tip(self) -> None:
        """Find out whether the node tells of its tip, and so of its stop. Raises CallFailed if it does not."""
        self.tells_of_its_stop = False
        await self._next_tip(NO_TIP, limit=CALL_LIMIT, timeout=TIP_WAIT_MILLISECONDS)
        self.tells_of_its_stop = True

    async def until_it_leaves(self, on_tip: Callable[[Tip], Awaitable[None]] | None = None) -> NoReturn:
        """Wait until the node begins to stop (NodeStopping), is gone, or no longer tells (NodeUnavailable).

        A pending Mining.waitTipChanged returns without a tip as soon as the node has been told to stop. An idle
        node on regtest then aborts 0.09 s later if it still has a subscriber (measured). Without `on_tip` the
        wait has no time limit: a guard repeats it by itself, and it ends with the connection. With it, each tip
        is awaited and told, the present one first. Only where the node's thread is busy the wait is repeated.
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
                await on_tip(Tip(tip[::-1].hex(), height))

    async def _next_tip(self, tip: bytes, *, limit: float | None, **limited: Any) -> tuple[bytes, int]:
        """Wait until the tip is another than `tip`, or its time is over; return the tip's hash and height."""
        what = "waitTipChanged"
        changed = await self.threads["tip"].call(
            self.capabilities["mining"], what, currentTip=tip, limit=limit, **limited
        )
        with translated(what):
            found, height = bytes(changed.result.hash), changed.result.height
        if not found:
            raise NodeStopping
        if len(found) != len(NO_TIP):
            raise CallFailed(f"{what}: the answer is malformed")
        return found, height

    async def unsubscribe(self) -> None:
        """End every subscription, one after another, and return when the node will not call any more.

        Takes as long as the node takes; returns early when the connection is lost, for then the node knows.
        """
        try:
            for name, subscription in reversed(self._subscriptions.items()):
                ending = asyncio.ensure_future(subscription.end(self.threads["subscribe"]))
                try:
                    while not (await asyncio.wait({ending}, timeout=UNANSWERED_WARNING))[0]:
                        log.warning("the node has not let go of the %s subscription yet; waiting for it", name)
                finally:
                    ending.cancel()  # without effect where it is done
                ending.result()
            if self._subscriptions:
                # Its next answer proves that the node has read our answers to its last calls.
                await answer("getName", self.threads["subscribe"].capability.getName())
        except (NodeUnavailable, CallFailed) as error:
            log.debug("while unsubscribing: %s", error)
