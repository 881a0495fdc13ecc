"""The state that polls of the simulated node read: chain, mempool and peers."""

from collections.abc import Mapping

from telegraf_bitcoin_ipc.simnode.chain import Block, Chain
from telegraf_bitcoin_ipc.simnode.coins import Coin
from telegraf_bitcoin_ipc.simnode.faults import Faults
from telegraf_bitcoin_ipc.simnode.mempool import Mempool
from telegraf_bitcoin_ipc.simnode.peers import Peers
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint

SYNCED_PROGRESS = 0.9999999876  # a node's estimate stays a little below 1, and needs more than six digits


class State:
    """A regtest node that has only the genesis block, no transactions and no peers.

    Times are Unix seconds, values satoshi, hashes bytes in wire order. What may be set: `ibd`; `pruned`, whether
    blocks may be deleted; `loaded`, whether a script has ended the warm-up; `mempool_loaded`; `warnings`;
    `indexes`, the height of each that is behind, and None for one that follows the tip; `fee_estimates`, satoshi
    per virtual byte by the target in blocks.
    """

    def __init__(self) -> None:
        self.chain = Chain()
        self._header_height = 0
        self.mempool = Mempool()
        self.loaded = False
        self.ibd = False
        self.pruned = False
        self.mempool_loaded = True
        self.warnings: list[str] = []
        self.indexes: dict[str, int | None] = {}
        self.fee_estimates: dict[int, float] = {}
        self.peers = Peers()
        self.faults = Faults()

    @property
    def height(self) -> int:
        """The height of the tip."""
        return self.chain.height

    @property
    def tip_hash(self) -> bytes:
        """The hash of the tip."""
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

    @property
    def coins(self) -> Mapping[OutPoint, Coin]:
        """The UTXO set after the tip."""
        return self.chain.coins

    @property
    def mempool_size(self) -> int:
        """The number of transactions in the mempool."""
        return len(self.mempool)

    def block(self, height: int) -> Block:
        """Return the block at `height` (0 to the tip's) of the active chain."""
        return self.chain.blocks[height]
