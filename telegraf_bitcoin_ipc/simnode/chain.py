"""The active chain of the simulated node: real blocks from regtest's genesis on, and the coins they leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median_high
from typing import Any

from bitcoin.core import COIN, CBlockHeader, CoreRegTestParams
from bitcoin.core.serialize import VarIntSerializer, uint256_from_compact
from bitcoin.net import CBlockLocator

from telegraf_bitcoin_ipc.simnode.coins import Coin, CoinsView
from telegraf_bitcoin_ipc.simnode.events import Event
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, Transaction, described, merkle_root

GENESIS = CoreRegTestParams.GENESIS_BLOCK
BITS: int = GENESIS.nBits  # regtest's proof of work limit: every other hash satisfies it
TARGET: int = uint256_from_compact(BITS)
COINBASE_MATURITY = 100
MEDIAN_TIME_SPAN = 11
BLOCK_VERSION = 0x20000000  # BIP 9, no deployment signalled
LOCATOR_VERSION = 70016  # `CBlockLocator::DUMMY_VERSION`
BLOCK_FILE_HEADER = 8  # bytes: in blk*.dat the network's magic and the length stand before each block


@dataclass(frozen=True, slots=True)
class Block:
    """A connected block; `undo` holds the coins spent by each transaction except the coinbase.

    Hashes are in wire order, times are Unix seconds, `time_max` is the latest time of it and its ancestors.
    """

    hash: bytes
    prev_hash: bytes
    height: int
    time: int
    time_max: int
    data: bytes
    transactions: tuple[Transaction, ...]
    undo: tuple[tuple[Coin, ...], ...]


class Chain:
    """The blocks from the genesis block to the tip, and `coins`, the UTXO set after the tip.

    `known` has every block that was ever connected, by its hash. `size_on_disk` is in bytes and counts all of
    them: they stay on disk. `pruned_below` is the height of the first block whose data is there.
    """

    def __init__(self) -> None:
        genesis = _genesis()
        self.blocks = [genesis]
        self.coins: dict[OutPoint, Coin] = {}
        self.size_on_disk = len(genesis.data) + BLOCK_FILE_HEADER
        self.pruned_below = 0
        self.known = {genesis.hash: genesis}

    @property
    def tip(self) -> Block:
        return self.blocks[-1]

    @property
    def height(self) -> int:
        return self.tip.height

    @property
    def median_time(self) -> int:
        """The median time of the last 11 blocks, which the time of the next block must exceed."""
        return median_high(block.time for block in self.blocks[-MEDIAN_TIME_SPAN:])

    def stale_tips(self) -> list[Block]:
        """Return the blocks without children that are not on the active chain."""
        parents = {block.prev_hash for block in self.known.values()}
        return [block for block in self.known.values() if block.hash not in parents and block is not self.tip]

    def prune(self, height: int) -> None:
        """Delete the data of the blocks below `height`, which is at most the tip's height."""
        gone = self.blocks[self.pruned_below : height]
        self.size_on_disk -= sum(len(block.data) + BLOCK_FILE_HEADER for block in gone)
        self.pruned_below = max(self.pruned_below, height)

    def is_mature(self, coin: Coin) -> bool:
        """Return whether the next block may spend `coin`."""
        return not coin.coinbase or self.height + 1 - coin.height >= COINBASE_MATURITY

    def youngest_mature_coinbase(self) -> Transaction | None:
        """Return the coinbase that matures with the next block, if there is one."""
        height = self.height + 1 - COINBASE_MATURITY
        return self.blocks[height].transactions[0] if height > 0 else None

    def connect(self, transactions: Sequence[Transaction], now: int) -> list[Event]:
        """Mine `transactions` (the coinbase first) into a block with the time `now`, or the first valid time."""
        tip, time = self.tip, max(now, self.median_time + 1)
        view = CoinsView(self.coins)
        undo = [view.connect(tx, tip.height + 1) for tx in transactions]
        header = _mine(tip.hash, merkle_root([tx.txid for tx in transactions]), time)
        size = VarIntSerializer.serialize(len(transactions))
        block = Block(
            hash=header.GetHash(),
            prev_hash=tip.hash,
            height=tip.height + 1,
            time=time,
            time_max=max(time, tip.time_max),
            data=b"".join([header.serialize(), size, *(tx.data for tx in transactions)]),
            transactions=tuple(transactions),
            undo=tuple(undo[1:]),
        )
        view.flush()
        self.blocks.append(block)
        self.known[block.hash] = block
        self.size_on_disk += len(block.data) + BLOCK_FILE_HEADER
        return view.events

    def disconnect(self) -> tuple[Block, list[Event]]:
        """Disconnect the tip, which must not be the genesis block, and return it."""
        block = self.blocks.pop()
        view = CoinsView(self.coins)
        undo = ((), *block.undo)
        for tx, coins in zip(reversed(block.transactions), reversed(undo), strict=True):
            view.disconnect(tx, coins)
        view.flush()
        return block, view.events

    def locator(self) -> bytes:
        """Return a serialised `CBlockLocator` with the tip alone: subscribers only read its size."""
        locator = CBlockLocator(LOCATOR_VERSION)
        locator.vHave = [self.tip.hash]
        return bytes(locator.serialize())


def subsidy(height: int) -> int:
    """Return the satoshi that a block at `height` may create on regtest."""
    halvings: int = height // CoreRegTestParams.SUBSIDY_HALVING_INTERVAL
    return int(50 * COIN) >> halvings


def _genesis() -> Block:
    """Return regtest's genesis block, whose only output never becomes a coin."""
    return Block(
        hash=GENESIS.GetHash(),
        prev_hash=GENESIS.hashPrevBlock,
        height=0,
        time=GENESIS.nTime,
        time_max=GENESIS.nTime,
        data=GENESIS.serialize(),
        transactions=(described(GENESIS.vtx[0], inputs=(), outputs=()),),
        undo=(),
    )


def _mine(prev_hash: bytes, root: bytes, time: int) -> Any:
    """Return a header (`CBlockHeader`) whose hash satisfies the target."""
    headers = (CBlockHeader(BLOCK_VERSION, prev_hash, root, time, BITS, nonce) for nonce in count())
    return next(header for header in headers if int.from_bytes(header.GetHash(), "little") <= TARGET)
