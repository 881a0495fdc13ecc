"""The node's calls on us -> plain method calls on a sink.

The node waits for each of these calls, and one that raises or is missing can end its process. So every method
of both interfaces is here, and each answers whatever the sink does.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Protocol

log = logging.getLogger(__name__)


class ChainSink(Protocol):
    """What a subscriber to ChainNotifications has to take. Hashes are in wire (reversed) byte order."""

    def transaction_added(self, tx: bytes) -> None:
        """Take a serialised transaction that entered the mempool."""

    def transaction_removed(self, tx: bytes, reason: int) -> None:
        """Take a serialised transaction that left the mempool, and a MemPoolRemovalReason."""

    def block_connected(
        self,
        *,
        height: int,
        block_hash: bytes,
        previous: bytes,
        data: bytes,
        chain_time_max: int,
        historical: bool,
    ) -> None:
        """Take a block that was connected; `historical` where it is not on the active chain's tip."""

    def block_disconnected(self, *, height: int, block_hash: bytes) -> None:
        """Take a block that left the active chain."""

    def tip_updated(self) -> None:
        """Take the news that there is a new tip."""

    def chain_state_flushed(self, *, historical: bool, locator: bytes) -> None:
        """Take the news that the coins cache was written to disk."""


class UtxoSink(Protocol):
    """What a subscriber to UtxoCacheTrace has to take."""

    def utxo(self, action: str, *, txid: bytes, index: int, height: int, value: int, coinbase: bool) -> None:
        """Take one coin (value in satoshi) with which the cache did `action`: add, spend or uncache."""


class Subscriber:
    """What both servers share: they know when the node has let go of them."""

    def __init__(self) -> None:
        """Stand until the node calls `destroy`."""
        self.destroyed = asyncio.Event()

    async def destroy(self, **_: Any) -> None:
        """Take the node's word that it will not call again."""
        self.destroyed.set()


def _answered(take: Callable[..., None]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Make a server method of a plain one. The one place that catches everything: the node gets its answer."""

    @wraps(take)
    async def method(self: Any, **parameters: Any) -> None:
        try:
            take(self, **parameters)
        except Exception:
            log.exception("an event could not be counted")

    return method


def chain_notifications(schema: Any, sink: ChainSink) -> Subscriber:
    """Return a server of ChainNotifications that hands every event to `sink`."""

    class ChainNotifications(Subscriber, schema.chain.ChainNotifications.Server):  # type: ignore[misc]
        @_answered
        def transactionAddedToMempool(self, tx: bytes, **_: Any) -> None:
            sink.transaction_added(bytes(tx))

        @_answered
        def transactionRemovedFromMempool(self, tx: bytes, reason: int, **_: Any) -> None:
            sink.transaction_removed(bytes(tx), reason)

        @_answered
        def blockConnected(self, role: Any, block: Any, **_: Any) -> None:
            sink.block_connected(
                height=block.height,
                block_hash=bytes(block.hash),
                previous=bytes(block.prevHash),
                data=bytes(block.data),
                chain_time_max=block.chainTimeMax,
                historical=role.historical,
            )

        @_answered
        def blockDisconnected(self, block: Any, **_: Any) -> None:
            sink.block_disconnected(height=block.height, block_hash=bytes(block.hash))

        @_answered
        def updatedBlockTip(self, **_: Any) -> None:
            sink.tip_updated()

        @_answered
        def chainStateFlushed(self, role: Any, locator: bytes, **_: Any) -> None:
            sink.chain_state_flushed(historical=role.historical, locator=bytes(locator))

    return ChainNotifications()


def utxo_cache_trace(schema: Any, sink: UtxoSink) -> Subscriber:
    """Return a server of UtxoCacheTrace that hands every event to `sink`."""

    def take(action: str, info: Any) -> None:
        sink.utxo(
            action,
            txid=bytes(info.outpointHash),
            index=info.outpointN,
            height=info.height,
            value=info.value,
            coinbase=info.isCoinbase,
        )

    class UtxoCacheTrace(Subscriber, schema.tracing.UtxoCacheTrace.Server):  # type: ignore[misc]
        @_answered
        def add(self, utxoInfo: Any, **_: Any) -> None:
            take("add", utxoInfo)

        @_answered
        def spend(self, utxoInfo: Any, **_: Any) -> None:
            take("spend", utxoInfo)

        @_answered
        def uncache(self, utxoInfo: Any, **_: Any) -> None:
            take("uncache", utxoInfo)

    return UtxoCacheTrace()
