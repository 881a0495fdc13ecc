"""Events that a node reports to its subscribers: one class per notification.

Hashes are 32 bytes in wire order (the reverse of what is displayed), values are satoshi.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class RemovalReason(IntEnum):
    """Why a transaction left the mempool (Bitcoin Core's `MemPoolRemovalReason`)."""

    EXPIRY = 0
    SIZELIMIT = 1
    REORG = 2
    BLOCK = 3
    CONFLICT = 4
    REPLACED = 5


@dataclass(frozen=True, slots=True)
class UtxoEvent:
    """A coin was added to a coins cache, spent in it, or dropped from it unchanged.

    `height` is that of the block that created the coin, 2147483647 for a coin that is in no block.
    """

    kind: Literal["add", "spend", "uncache"]
    txid: bytes
    index: int
    height: int
    value: int
    coinbase: bool


@dataclass(frozen=True, slots=True)
class TransactionAdded:
    """The mempool accepted a transaction; `tx` is its whole serialisation."""

    tx: bytes


@dataclass(frozen=True, slots=True)
class TransactionRemoved:
    """A transaction left the mempool without being confirmed; `reason` is a `RemovalReason`."""

    tx: bytes
    reason: int


@dataclass(frozen=True, slots=True)
class BlockConnected:
    """A block was connected; `data` is the whole block, `chain_time_max` the latest time up to it.

    A `historical` one belongs to the background chainstate of an assumeutxo node, not to the active chain.
    """

    hash: bytes
    prev_hash: bytes
    height: int
    data: bytes
    chain_time_max: int
    historical: bool = False


@dataclass(frozen=True, slots=True)
class BlockDisconnected:
    """The block at the tip was disconnected; the fields are those of `BlockConnected`."""

    hash: bytes
    prev_hash: bytes
    height: int
    data: bytes
    chain_time_max: int


@dataclass(frozen=True, slots=True)
class TipUpdated:
    """The active chain has a new tip."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """The coins cache was written to disk; `locator` is a serialised `CBlockLocator` of the tip."""

    locator: bytes
    historical: bool = False


Event = (
    UtxoEvent | TransactionAdded | TransactionRemoved | BlockConnected | BlockDisconnected | TipUpdated | Flushed
)
