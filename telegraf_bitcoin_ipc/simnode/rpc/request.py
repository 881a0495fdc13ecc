"""One JSON-RPC call, with all that its answer is made from."""

import re
from dataclasses import dataclass
from typing import Any, Final

from bitcoin.core import COIN

from telegraf_bitcoin_ipc.simnode.state import State

CORE_32: Final = 319_900
"""From this version on (the master that became 32) some answers have other fields."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call whose parameters have the right number and types; `now` and `started` are Unix seconds."""

    model: State
    params: list[Any]
    now: int
    started: int
    subversion: str
    chain: str

    @property
    def version(self) -> int:
        """Core's CLIENT_VERSION for a subversion like `/Satoshi:30.99.0/`, which is 309900."""
        match = re.search(r"(\d+)\.(\d+)\.(\d+)", self.subversion)
        if match is None:
            raise ValueError(f"no version in {self.subversion!r}")
        major, minor, build = map(int, match.groups())
        return 10_000 * major + 100 * minor + build

    @property
    def since_32(self) -> bool:
        """Whether the node answers as Bitcoin Core 32 does."""
        return self.version >= CORE_32


def displayed(block_hash: bytes) -> str:
    """Return a hash as Bitcoin displays it."""
    return block_hash[::-1].hex()


def btc(satoshi: float) -> float:
    """Return an amount in BTC."""
    return satoshi / int(COIN)
