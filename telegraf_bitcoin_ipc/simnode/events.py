"""Events that a node reports to its subscribers, each as the call that reports it.

Hashes are 32 bytes in wire order (the reverse of what is displayed), values are satoshi.
"""

from enum import IntEnum
from typing import Any, NamedTuple


class RemovalReason(IntEnum):
    """Why a transaction left the mempool (Bitcoin Core's `MemPoolRemovalReason`)."""

    EXPIRY = 0
    SIZELIMIT = 1
    REORG = 2
    BLOCK = 3
    CONFLICT = 4
    REPLACED = 5


class Event(NamedTuple):
    """A method of ChainNotifications or of UtxoCacheTrace, and its parameters except the context."""

    method: str
    parameters: dict[str, Any]

    @property
    def of_coin(self) -> bool:
        """Whether it is a coin's: added to a coins cache, spent in it, or dropped from it unchanged (uncache)."""
        return "utxoInfo" in self.parameters
