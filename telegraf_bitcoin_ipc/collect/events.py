"""What each notification of the node means for the store, and what --debug says about it."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from telegraf_bitcoin_ipc.collect import decode
from telegraf_bitcoin_ipc.collect.metrics import REMOVAL_REASONS, UNKNOWN
from telegraf_bitcoin_ipc.collect.store import Store

log = logging.getLogger(__name__)

UNCONFIRMED_HEIGHT: Final = 0x7FFFFFFF
"""Height of a coin that belongs to no block: Bitcoin Core's mempool check gives it to its scratch coins."""


class ActiveChain:
    """Counts what happens at the tip of the active chain, whoever tells of it; outlives a session."""

    def __init__(
        self,
        store: Store,
        on_connected: Callable[[str], None] = lambda block_hash: None,
        on_disconnected: Callable[[], None] = lambda: None,
    ) -> None:
        """Count in `store`; call the others with the hash of each block connected, and at each disconnected."""
        self._store = store
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._leaving = 0  # blocks that have left the chain since one was connected
        self._deepest = 0

    def start(self) -> None:
        """Begin with a node whose tip is where it is."""
        self._leaving = 0
        self._store.set("reorg_depth_max", self._deepest)

    def connected(self, block_hash: str) -> None:
        """Count a block."""
        self._leaving = 0
        self._store.add("blocks_connected_total", 1)
        self._on_connected(block_hash)

    def disconnected(self) -> None:
        """Count a block that left the chain; those that leave one after another are one reorganisation."""
        self._store.add("blocks_disconnected_total", 1)
        self._leaving += 1
        if self._leaving == 1:
            self._store.add("reorgs_total", 1)
        self._deepest = max(self._deepest, self._leaving)
        self._store.set("reorg_depth_max", self._deepest)
        self._on_disconnected()


class ChainEvents:
    """Counts what a subscriber to ChainNotifications is told."""

    def __init__(self, store: Store, chain: ActiveChain, on_tip: Callable[[], None]) -> None:
        """Count in `store` and in `chain`; call `on_tip` after each change of the tip."""
        self._store = store
        self._chain = chain
        self._on_tip = on_tip
        self._wants_vbytes = store.wants("mempool_tx_added_vbytes_total")
        self._wants_confirmed = store.wants("mempool_tx_confirmed_total")

    def transaction_added(self, tx: bytes) -> None:
        """Count a transaction that entered the mempool, and its virtual size."""
        self._store.add("mempool_tx_added_total", 1)
        debug = log.isEnabledFor(logging.DEBUG)
        if not (self._wants_vbytes or debug):
            return
        transaction = decode.Transaction(tx)
        self._store.add("mempool_tx_added_vbytes_total", transaction.virtual_size)
        if debug:
            log.debug("mempool_add: txid=%s size=%d", transaction.txid, len(tx))

    def transaction_removed(self, tx: bytes, reason: int) -> None:
        """Count a transaction that left the mempool unconfirmed."""
        name = REMOVAL_REASONS[reason] if 0 <= reason < len(REMOVAL_REASONS) else UNKNOWN
        self._store.add("mempool_tx_removed_total", 1)
        self._store.add("mempool_tx_removed_by_reason_total", 1, name)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("mempool_remove: txid=%s reason=%s size=%d", decode.Transaction(tx).txid, name, len(tx))

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
        """Count a block of the active chain; a background chainstate's (assumeutxo) is only logged."""
        log.debug(
            "block_connected: height=%d hash=%s prev=%s chain_time_max=%d%s",
            height,
            _Hash(block_hash),
            _Hash(previous),
            chain_time_max,
            " (historical chainstate)" if historical else "",
        )
        if historical:
            return
        self._store.set("block_height", height)
        self._chain.connected(decode.hash_text(block_hash))
        if self._wants_confirmed:
            self._store.add("mempool_tx_confirmed_total", decode.block_transactions(data) - 1)

    def block_disconnected(self, *, height: int, block_hash: bytes) -> None:
        """Count a block that left the active chain."""
        self._chain.disconnected()
        log.debug("block_disconnected: height=%d hash=%s", height, _Hash(block_hash))
        self._on_tip()

    def tip_updated(self) -> None:
        """Count a new tip."""
        self._store.add("tip_updates_total", 1)
        log.debug("tip_updated")
        self._on_tip()

    def chain_state_flushed(self, *, historical: bool, locator: bytes) -> None:
        """Count a flush of the coins cache."""
        self._store.add("chain_state_flushes_total", 1)
        role = "historical" if historical else "validated"
        log.debug("chain_state_flushed: role=%s locator_size=%d", role, len(locator))


class UtxoEvents:
    """Counts what a subscriber to UtxoCacheTrace is told; with a guard, which counts by itself, only logs it."""

    def __init__(self, store: Store | None) -> None:
        """Count in `store`, if there is one."""
        self._store = store

    def utxo(self, action: str, *, txid: bytes, index: int, height: int, value: int, coinbase: bool) -> None:
        """Take a coin and its value in satoshi; a negative one counts as nothing, as the guard has it."""
        if self._store is not None:
            self._store.add(f"utxo_cache_{action}_total", 1)
            self._store.add(f"utxo_cache_{action}_value_total", max(value, 0))
            if action == "add" and height == UNCONFIRMED_HEIGHT:
                self._store.add("utxo_cache_add_unconfirmed_total", 1)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "utxo_cache_%s: outpoint=%s:%d height=%d value=%d coinbase=%s",
                action,
                _Hash(txid),
                index,
                height,
                value,
                str(coinbase).lower(),
            )


class GuardTotals:
    """Carries what a session's guard has added up over to the store."""

    def __init__(self, store: Store, read: Callable[[], Mapping[str, int]]) -> None:
        """Begin with a guard that has counted nothing; `read` returns its totals, each time anew."""
        self._store = store
        self._read = read
        self._carried: Mapping[str, int] = {}

    def sync_totals(self) -> None:
        """Add to the store's counters what has come since the last time."""
        totals = self._read()
        for name, total in totals.items():
            more = total - self._carried.get(name, 0)
            if more:
                counter = f"{name}_total" if name == "events_dropped" else f"utxo_cache_{name}_total"
                self._store.add(counter, more)
        self._carried = totals


class _Hash:
    """A hash that is turned into text only if the log line is written."""

    def __init__(self, wire_order: bytes) -> None:
        self._wire_order = wire_order

    def __str__(self) -> str:
        return decode.hash_text(self._wire_order)
