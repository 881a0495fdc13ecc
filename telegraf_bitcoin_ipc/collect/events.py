"""What each of the node's notifications means for the store."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from telegraf_bitcoin_ipc.collect import decode
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tags import REMOVAL_REASONS, UNKNOWN
from telegraf_bitcoin_ipc.collect.values import Block

log = logging.getLogger(__name__)

UNCONFIRMED_HEIGHT: Final = 0x7FFFFFFF
"""Height of a coin that is in no block: Bitcoin Core's mempool check gives it to its scratch coins."""


class ChainListener:
    """Receives events on the chain, in order and after they were counted; does nothing unless overridden."""

    def connected(self, block: Block) -> None:
        """Receive a block that was connected to the active chain."""

    def disconnected(self, block: Block) -> None:
        """Receive a block that was disconnected from the active chain."""

    def new_tip(self, tip: Block | None) -> None:
        """Receive a new tip; None if the node announces it without saying which block it is."""

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        """Receive a flush of the coins cache to disk; `locator_size` is in bytes."""


class ActiveChain:
    """Counts and logs what happens at the tip of the active chain, whatever reports it; outlives a session."""

    def __init__(self, store: Store, *listeners: ChainListener) -> None:
        """Count in `store`, then notify each of the `listeners` in order."""
        self._store = store
        self._listeners = listeners
        self._leaving = 0  # blocks that have left the chain since the last one was connected
        self._deepest = 0

    def start(self) -> None:
        """Start counting with a node at its current tip."""
        self._leaving = 0
        self._store.set("reorg_depth_max", self._deepest)

    def connected(self, block: Block) -> None:
        """Count a block."""
        log.debug("block_connected: %s", block)
        self._leaving = 0
        self._store.add("blocks_connected_total", 1)
        for listener in self._listeners:
            listener.connected(block)

    def disconnected(self, block: Block) -> None:
        """Count a block that left the chain; consecutive ones are one reorganisation."""
        log.debug("block_disconnected: height=%d hash=%s", block.height, block.hash)
        self._store.add("blocks_disconnected_total", 1)
        self._leaving += 1
        if self._leaving == 1:
            self._store.add("reorgs_total", 1)
        self._deepest = max(self._deepest, self._leaving)
        self._store.set("reorg_depth_max", self._deepest)
        for listener in self._listeners:
            listener.disconnected(block)

    def new_tip(self, tip: Block | None) -> None:
        """Pass a new tip to the listeners; None if its block is unknown."""
        log.debug("tip_updated" if tip is None else f"tip: height={tip.height} hash={tip.hash}")
        for listener in self._listeners:
            listener.new_tip(tip)

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        """Count a flush of the coins cache."""
        role = "historical" if historical else "validated"
        log.debug("chain_state_flushed: role=%s locator_size=%d", role, locator_size)
        self._store.add("chain_state_flushes_total", 1)
        for listener in self._listeners:
            listener.flushed(historical=historical, locator_size=locator_size)


@dataclass
class ChainEvents:
    """Counts the events of a ChainNotifications subscription; calls `on_tip` after each change of the tip."""

    store: Store
    chain: ActiveChain
    on_tip: Callable[[], None]

    def transaction_added(self, tx: bytes) -> None:
        """Count a transaction that entered the mempool, and its virtual size."""
        self.store.add("mempool_tx_added_total", 1)
        debug = log.isEnabledFor(logging.DEBUG)
        if not (self.store.wants("mempool_tx_added_vbytes_total") or debug):
            return
        transaction = decode.Transaction(tx)
        self.store.add("mempool_tx_added_vbytes_total", transaction.virtual_size)
        if debug:
            log.debug("mempool_add: txid=%s size=%d", transaction.txid, len(tx))

    def transaction_removed(self, tx: bytes, reason: int) -> None:
        """Count a transaction that left the mempool unconfirmed."""
        name = REMOVAL_REASONS[reason] if 0 <= reason < len(REMOVAL_REASONS) else UNKNOWN
        self.store.add("mempool_tx_removed_total", 1)
        self.store.add("mempool_tx_removed_by_reason_total", 1, name)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("mempool_remove: txid=%s reason=%s size=%d", decode.Transaction(tx).txid, name, len(tx))

    def block_connected(self, block: Block, data: bytes, *, historical: bool) -> None:
        """Count a block of the active chain; one of a background chainstate (assumeutxo) does not count."""
        if historical:
            log.debug("block_connected: %s (historical chainstate)", block)
            return
        self.store.set("block_height", block.height)
        self.chain.connected(block)
        if self.store.wants("mempool_tx_confirmed_total"):
            self.store.add("mempool_tx_confirmed_total", decode.block_transactions(data) - 1)

    def block_disconnected(self, block: Block) -> None:
        """Count a block that left the active chain."""
        self.chain.disconnected(block)
        self.on_tip()

    def tip_updated(self) -> None:
        """Count a new tip."""
        self.store.add("tip_updates_total", 1)
        self.chain.new_tip(None)
        self.on_tip()

    def chain_state_flushed(self, *, historical: bool, locator: bytes) -> None:
        """Count a flush of the coins cache."""
        self.chain.flushed(historical=historical, locator_size=len(locator))


@dataclass
class UtxoEvents:
    """Counts the events of a UtxoCacheTrace subscription; with a guard, which counts them, only logs them."""

    store: Store | None

    def utxo(self, action: str, *, txid: bytes, index: int, height: int, value: int, coinbase: bool) -> None:
        """Count a coin and its value in satoshi; a negative value counts as 0, as in the guard."""
        if self.store is not None:
            self.store.add(f"utxo_cache_{action}_total", 1)
            self.store.add(f"utxo_cache_{action}_value_total", max(value, 0))
            if action == "add" and height == UNCONFIRMED_HEIGHT:
                self.store.add("utxo_cache_add_unconfirmed_total", 1)
        if log.isEnabledFor(logging.DEBUG):
            outpoint = f"{decode.hash_text(txid)}:{index}"
            text = "utxo_cache_%s: outpoint=%s height=%d value=%d coinbase=%s"
            log.debug(text, action, outpoint, height, value, str(coinbase).lower())


ABOUT_THE_GUARD: Final = {"events_dropped": "events_dropped_total", "calls_refused": "guard_refused_calls_total"}
"""The counters of those of the guard's totals that do not count coins."""


@dataclass
class GuardTotals:
    """Adds the totals of a session's guard, which begin at 0, to the store; `read` returns the current ones."""

    store: Store
    read: Callable[[], Mapping[str, int]]
    synced: Mapping[str, int] = field(default_factory=dict)

    def sync_totals(self) -> None:
        """Add the increase since the last call to the store's counters."""
        totals = self.read()
        for name, total in totals.items():
            more = total - self.synced.get(name, 0)
            if more:
                self.store.add(ABOUT_THE_GUARD.get(name) or f"utxo_cache_{name}_total", more)
        self.synced = totals
