"""A simulated node without its socket: each action changes it and returns the events that a real node sends.

The order of the events is the one that was measured on a real tracing node. No clock and no I/O; everything
random comes from the generator that the model is made with.
"""

import random
from itertools import islice
from typing import Any

from bitcoin.core import MAX_BLOCK_WEIGHT

from telegraf_bitcoin_ipc.simnode.chain import Block, Chain, subsidy
from telegraf_bitcoin_ipc.simnode.coins import UNCONFIRMED_HEIGHT, CoinsView, outpoints, utxo_event
from telegraf_bitcoin_ipc.simnode.events import Event, RemovalReason
from telegraf_bitcoin_ipc.simnode.faults import Faults
from telegraf_bitcoin_ipc.simnode.mempool import Mempool, MempoolEntry
from telegraf_bitcoin_ipc.simnode.peers import Peers
from telegraf_bitcoin_ipc.simnode.transactions import (
    FILLER_OUTPUT_WEIGHT,
    OutPoint,
    Transaction,
    coinbase,
    payment,
)
from telegraf_bitcoin_ipc.simnode.wallet import Payment, Wallet, bumped

BLOCK_INTERVAL = 600  # seconds
BLOCK_RESERVED_WEIGHT = 8_000  # Bitcoin Core's default for the header and the coinbase
SYNCED_PROGRESS = 0.9999999876  # a node's estimate stays a little below 1, and needs more than six digits


class Model:
    """A node on regtest with a chain of `blocks` blocks on the genesis block, the last one mined at `now`.

    Times are Unix seconds, values satoshi, hashes bytes in wire order. With `check_mempool` every
    acceptance replays the whole mempool on a scratch view, as `-checkmempool` does.

    What may be set: `ibd`; `pruned`, whether blocks may be deleted; `loaded`, whether a script has ended the
    warm-up; `mempool_loaded`; `warnings`; `indexes`, the height of each that is behind, and None for one that
    follows the tip; `fee_estimates`, satoshi per virtual byte by the target in blocks.
    """

    def __init__(self, *, rng: random.Random, now: int, blocks: int = 110, check_mempool: bool = False) -> None:
        self.chain = Chain()
        self.mempool = Mempool()
        self.peers = Peers()
        self.faults = Faults()
        self.loaded = False
        self.ibd = False
        self.pruned = False
        self.mempool_loaded = True
        self.warnings: list[str] = []
        self.indexes: dict[str, int | None] = {}
        self.fee_estimates: dict[int, float] = {}
        self._header_height = 0
        self._rng = rng
        self._check_mempool = check_mempool
        self._wallet = Wallet()
        self._background_height = 0
        self._snapshot_height = blocks // 2
        for age in reversed(range(blocks)):
            self.connect_block(now - age * BLOCK_INTERVAL)

    @property
    def height(self) -> int:
        return self.chain.height

    @property
    def tip_hash(self) -> bytes:
        return self.chain.tip.hash

    @property
    def header_height(self) -> int:
        """The height of the best header; can be set ahead of the tip, and is never behind it."""
        return max(self._header_height, self.height)

    @header_height.setter
    def header_height(self, height: int) -> None:
        self._header_height = height

    @property
    def verification_progress(self) -> float:
        """The node's estimate of how much of the chain it has verified, below 1."""
        return self.height / max(self.header_height, self.height + 1) if self.ibd else SYNCED_PROGRESS

    def accept_transaction(self, now: int) -> list[Event]:
        """Accept a transaction that spends random coins, confirmed or not; no event if there is no coin."""
        proposal = self._wallet.next_payment(self._rng)
        if proposal is None:
            return []
        tx = self._enter(proposal, now)
        return [*self._mempool_check(), _added(tx)]

    def replace_transaction(self, now: int) -> list[Event]:
        """Replace a random transaction without descendants by one that pays a higher fee.

        No event if there is none, or it cannot pay more.
        """
        if not self.mempool:
            return []
        old = self.mempool.random_leaf(self._rng)
        proposal = bumped(self._rng, Payment(old.tx.inputs, old.tx.outputs, old.fee), old.tx.vsize)
        if proposal is None:
            return []
        self._leave(old)
        new = self._enter(proposal, now)
        # The two notifications go through the node's queue; the check's events do not.
        return [*self._mempool_check(), _removed(old, RemovalReason.REPLACED), _added(new)]

    def remove_transaction(self, reason: int) -> list[Event]:
        """Remove a transaction without descendants: the oldest for expiry, a random one for the others.

        Reasons are expiry, sizelimit and conflict. After the first two its confirmed inputs, which nothing
        else spends, are uncached. No event if the mempool is empty.
        """
        if reason not in (RemovalReason.EXPIRY, RemovalReason.SIZELIMIT, RemovalReason.CONFLICT):
            raise ValueError(f"not a reason to remove one transaction: {reason}")
        if not self.mempool:
            return []
        expired = reason == RemovalReason.EXPIRY
        entry = self.mempool.oldest_leaf() if expired else self.mempool.random_leaf(self._rng)
        self._leave(entry)
        uncached = () if reason == RemovalReason.CONFLICT else entry.tx.inputs
        coins = self.chain.coins
        return [
            _removed(entry, reason),
            *(utxo_event("uncache", spent, coins[spent]) for spent in uncached if spent in coins),
        ]

    def connect_block(self, now: int, outputs: int = 0, transactions: int | None = None) -> list[Event]:
        """Mine the mempool, or its first `transactions`, as far as they fit into a block.

        The coinbase has `outputs` outputs, at least one. Raises ValueError if they do not fit into a block.
        """
        mined = self._template(outputs, transactions)
        changes = self.chain.connect(mined, now)
        for tx in mined[1:]:
            self.mempool.remove(tx.txid)
        matured = self.chain.youngest_mature_coinbase()
        if matured is not None:
            self._wallet.add(OutPoint(matured.txid, 0), matured.outputs[0])
        return [*changes, _connected(self.chain.tip), Event("updatedBlockTip", {})]

    def disconnect_tip(self) -> list[Event]:
        """Disconnect the tip; its transactions return to the mempool. No event at the genesis block.

        Transactions that spend a coinbase which is no longer mature leave the mempool, with reason reorg.
        """
        if self.height == 0:
            return []
        immature = self.chain.youngest_mature_coinbase()
        block, changes = self.chain.disconnect()
        returned = [
            MempoolEntry(tx, sum(coin.value for coin in undo) - sum(tx.outputs), block.time)
            for tx, undo in zip(block.transactions[1:], block.undo, strict=True)
        ]
        self.mempool.add_back(returned)
        return [
            *changes,
            Event("blockDisconnected", {"block": _info(block)}),
            *(_added(entry.tx) for entry in returned),
            *self._remove_immature(immature),
        ]

    def reorg(self, now: int, depth: int) -> list[Event]:
        """Disconnect `depth` blocks (at least one) and connect one more than that."""
        if not 1 <= depth <= self.height:
            raise ValueError(f"cannot reorganise {depth} of {self.height} blocks")
        events: list[Event] = []
        for _ in range(depth):
            events += self.disconnect_tip()
        for _ in range(depth + 1):
            events += self.connect_block(now)
        return events

    def connect_historical_block(self) -> list[Event]:
        """Connect the next block of the background chainstate, as if the node had begun from a snapshot.

        The snapshot was taken halfway up the first chain; no event once the background chainstate has reached it.
        """
        if self._background_height >= min(self._snapshot_height, self.height):
            return []
        self._background_height += 1
        return [_connected(self.chain.blocks[self._background_height], historical=True)]

    def build_template(self) -> list[Event]:
        """Check a template of the next block on a scratch view; the chain stays as it is."""
        view = CoinsView(self.chain.coins)
        for tx in self._template():
            view.connect(tx, self.height + 1)
        return [*view.events]

    def flush(self) -> list[Event]:
        return [Event("chainStateFlushed", {"role": _role(), "locator": self.chain.locator()})]

    def prune(self, height: int) -> list[Event]:
        """Delete the blocks below `height`, of which at least the tip stays."""
        if not 0 <= height <= self.height:
            raise ValueError(f"cannot delete {height} of {self.height} blocks")
        self.pruned = True
        self.chain.prune(height)
        return []

    def _enter(self, proposal: Payment, now: int) -> Transaction:
        tx = payment(self._rng, proposal.inputs, proposal.outputs)
        self.mempool.add(MempoolEntry(tx, proposal.fee, now))
        for spent in tx.inputs:
            self._wallet.discard(spent)
        for created, value in zip(outpoints(tx), tx.outputs, strict=True):
            self._wallet.add(created, value)
        return tx

    def _leave(self, entry: MempoolEntry) -> None:
        """Remove a transaction without descendants from the mempool without confirming it."""
        self.mempool.remove(entry.tx.txid)
        for created in outpoints(entry.tx):
            self._wallet.discard(created)
        for spent in entry.tx.inputs:
            coin = self.chain.coins.get(spent) or self.mempool.coin(spent)
            if self.chain.is_mature(coin):
                self._wallet.add(spent, coin.value)

    def _remove_immature(self, immature: Transaction | None) -> list[Event]:
        """Remove the transactions that spend a coinbase which is immature again."""
        if immature is None:
            return []
        self._wallet.discard(OutPoint(immature.txid, 0))
        removed = self.mempool.descendants(immature)
        for entry in removed:
            self._leave(entry)
        return [_removed(entry, RemovalReason.REORG) for entry in removed]

    def _mempool_check(self) -> list[Event]:
        """Replay the mempool on a scratch view, if the node was made with `check_mempool`."""
        view = CoinsView(self.chain.coins)
        for entry in self.mempool if self._check_mempool else ():
            view.connect(entry.tx, UNCONFIRMED_HEIGHT)
        return [*view.events]

    def _template(self, outputs: int = 0, transactions: int | None = None) -> list[Transaction]:
        """Return the transactions of the next block, its coinbase first."""
        height = self.height + 1
        room = MAX_BLOCK_WEIGHT - BLOCK_RESERVED_WEIGHT - outputs * FILLER_OUTPUT_WEIGHT
        if room < 0:
            raise ValueError(f"{outputs} outputs do not fit into a block")
        chosen: list[MempoolEntry] = []
        for entry in islice(self.mempool, transactions):
            room -= entry.tx.weight
            if room < 0:
                break  # later transactions may be its children
            chosen.append(entry)
        first = coinbase(
            self._rng,
            height=height,
            reward=subsidy(height) + sum(entry.fee for entry in chosen),
            outputs=max(outputs, 1),
            wtxids=[entry.tx.wtxid for entry in chosen],
        )
        return [first, *(entry.tx for entry in chosen)]


def _added(tx: Transaction) -> Event:
    return Event("transactionAddedToMempool", {"tx": tx.data})


def _removed(entry: MempoolEntry, reason: int) -> Event:
    return Event("transactionRemovedFromMempool", {"tx": entry.tx.data, "reason": int(reason)})


def _connected(block: Block, *, historical: bool = False) -> Event:
    return Event("blockConnected", {"role": _role(historical), "block": _info(block)})


def _role(historical: bool = False) -> dict[str, bool]:
    return {"validated": True, "historical": historical}


def _info(block: Block) -> dict[str, Any]:
    return {
        "hash": block.hash,
        "prevHash": block.prev_hash,
        "height": block.height,
        "data": block.data,
        "chainTimeMax": block.time_max,
    }
