"""The mempool of the simulated node."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from telegraf_bitcoin_ipc.simnode.coins import UNCONFIRMED_HEIGHT, Coin, outpoints
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, Transaction

MAX_USAGE = 300_000_000  # bytes: Bitcoin Core's default of -maxmempool
ENTRY_OVERHEAD = 768  # bytes: the order of what Bitcoin Core needs for one entry's indexes and links


@dataclass(frozen=True, slots=True)
class MempoolEntry:
    """A transaction in the mempool: its fee in satoshi and its time of entry in Unix seconds."""

    tx: Transaction
    fee: int
    time: int

    @property
    def usage(self) -> int:
        """Plausible dynamic memory in bytes: a decoded transaction takes about twice its size."""
        return ENTRY_OVERHEAD + 2 * len(self.tx.data)


class Mempool:
    """Unconfirmed transactions, parents before children, without conflicts.

    `vbytes`, `total_fee` (satoshi) and `usage` (bytes of memory) are sums over all entries.
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, MempoolEntry] = {}
        self._spenders: dict[OutPoint, bytes] = {}
        self.vbytes = 0
        self.total_fee = 0
        self.usage = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[MempoolEntry]:
        return iter(self._entries.values())

    def add(self, entry: MempoolEntry) -> None:
        """Add a transaction whose unconfirmed parents are in the mempool, and whose children are not."""
        self._entries[entry.tx.txid] = entry
        self._count(entry, 1)
        for outpoint in entry.tx.inputs:
            self._spenders[outpoint] = entry.tx.txid

    def add_back(self, entries: Iterable[MempoolEntry]) -> None:
        """Add transactions of a disconnected block, in its order; their children may already be in the mempool."""
        children = self._entries
        self._entries = {}
        for entry in entries:
            self.add(entry)
        self._entries.update(children)

    def remove(self, txid: bytes) -> None:
        """Remove a transaction whose children, or whose parents, are not in the mempool."""
        entry = self._entries.pop(txid)
        self._count(entry, -1)
        for outpoint in entry.tx.inputs:
            del self._spenders[outpoint]

    def coin(self, outpoint: OutPoint) -> Coin:
        """Return an output of a transaction in the mempool as a coin."""
        return Coin(self._entries[outpoint.txid].tx.outputs[outpoint.n], UNCONFIRMED_HEIGHT, False)

    def descendants(self, tx: Transaction) -> list[MempoolEntry]:
        """Return the entries that spend outputs of `tx`, directly or not, children before parents."""
        found: dict[bytes, None] = {}
        waiting = [tx]
        while waiting:
            children = [child for child in self._children(waiting.pop()) if child not in found]
            found.update(dict.fromkeys(children))
            waiting.extend(self._entries[child].tx for child in children)
        return [entry for txid, entry in reversed(self._entries.items()) if txid in found]

    def oldest_leaf(self) -> MempoolEntry:
        """Return the oldest entry without descendants; there must be an entry."""
        leaves = (entry for entry in self if next(self._children(entry.tx), None) is None)
        return min(leaves, key=lambda entry: entry.time)

    def random_leaf(self, rng: random.Random) -> MempoolEntry:
        """Return a random entry without descendants; there must be an entry."""
        entry = self._entries[rng.choice(list(self._entries))]
        while (child := next(self._children(entry.tx), None)) is not None:
            entry = self._entries[child]
        return entry

    def _children(self, tx: Transaction) -> Iterator[bytes]:
        return (self._spenders[outpoint] for outpoint in outpoints(tx) if outpoint in self._spenders)

    def _count(self, entry: MempoolEntry, sign: int) -> None:
        self.vbytes += sign * entry.tx.vsize
        self.total_fee += sign * entry.fee
        self.usage += sign * entry.usage
