"""Cap'n Proto servers for the node's callbacks, which pass each event to a plain object, the sink.

The node waits for each callback, and aborts if one raises or is missing. So every method of both interfaces is
here, and each answers, whatever the sink does.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Protocol

from telegraf_bitcoin_ipc.collect.values import Block

log = logging.getLogger(__name__)


class ChainSink(Protocol):
    """Receives the events of ChainNotifications, with serialised transactions and blocks.

    `reason` is a MemPoolRemovalReason; `historical` is the background chainstate of an assumeutxo node.
    """

    def transaction_added(self, tx: bytes) -> None: ...
    def transaction_removed(self, tx: bytes, reason: int) -> None: ...
    def block_connected(self, block: Block, data: bytes, *, historical: bool) -> None: ...
    def block_disconnected(self, block: Block) -> None: ...
    def tip_updated(self) -> None: ...
    def chain_state_flushed(self, *, historical: bool, locator: bytes) -> None: ...


class UtxoSink(Protocol):
    """Receives the events of UtxoCacheTrace: a coin, its value in satoshi, and what the cache did."""

    def utxo(self, action: str, *, txid: bytes, index: int, height: int, value: int, coinbase: bool) -> None: ...


class Subscriber:
    """Base of both servers; `destroyed` is set once the node will make no more calls."""

    def __init__(self) -> None:
        self.destroyed = asyncio.Event()

    async def destroy(self, **_: Any) -> None:
        """Set `destroyed`: this is the node's last call."""
        self.destroyed.set()


def _answered(take: Callable[..., None]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Turn a plain method into a server method that catches every exception: the node always gets an answer."""

    @wraps(take)
    async def method(self: Any, **parameters: Any) -> None:
        try:
            take(self, **parameters)
        except Exception:
            log.exception("an event could not be counted")

    return method


def _block(info: Any) -> Block:
    """Return a BlockInfo without its data, with hashes in display order."""
    return Block(info.height, bytes(info.hash)[::-1].hex(), bytes(info.prevHash)[::-1].hex(), info.chainTimeMax)


def chain_notifications(schema: Any, sink: ChainSink) -> Subscriber:
    """Return a server of ChainNotifications that passes every event to `sink`."""

    class ChainNotifications(Subscriber, schema.chain.ChainNotifications.Server):  # type: ignore[misc]
        @_answered
        def transactionAddedToMempool(self, tx: bytes, **_: Any) -> None:
            sink.transaction_added(bytes(tx))

        @_answered
        def transactionRemovedFromMempool(self, tx: bytes, reason: int, **_: Any) -> None:
            sink.transaction_removed(bytes(tx), reason)

        @_answered
        def blockConnected(self, role: Any, block: Any, **_: Any) -> None:
            sink.block_connected(_block(block), bytes(block.data), historical=role.historical)

        @_answered
        def blockDisconnected(self, block: Any, **_: Any) -> None:
            sink.block_disconnected(_block(block))

        @_answered
        def updatedBlockTip(self, **_: Any) -> None:
            sink.tip_updated()

        @_answered
        def chainStateFlushed(self, role: Any, locator: bytes, **_: Any) -> None:
            sink.chain_state_flushed(historical=role.historical, locator=bytes(locator))

    return ChainNotifications()


def utxo_cache_trace(schema: Any, sink: UtxoSink) -> Subscriber:
    """Return a server of UtxoCacheTrace that passes every event to `sink`."""

    def pass_on(action: str) -> Callable[..., Coroutine[Any, Any, None]]:
        @_answered
        def take(self: Any, utxoInfo: Any, **_: Any) -> None:
            sink.utxo(
                action,
                txid=bytes(utxoInfo.outpointHash),
                index=utxoInfo.outpointN,
                height=utxoInfo.height,
                value=utxoInfo.value,
                coinbase=utxoInfo.isCoinbase,
            )

        return take

    class UtxoCacheTrace(Subscriber, schema.tracing.UtxoCacheTrace.Server):  # type: ignore[misc]
        add, spend, uncache = pass_on("add"), pass_on("spend"), pass_on("uncache")

    return UtxoCacheTrace()
