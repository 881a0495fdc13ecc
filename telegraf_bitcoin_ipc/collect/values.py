"""The values that come from a node: what a metric can have, blocks and headers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Number = int | float

Labelled = Mapping[str, Number]
"""Numbers by the value of a metric's only tag."""

PeerTotals = Mapping[tuple[int, str], Number]
"""Running totals by peer id and tag value; a total disappears with its peer."""

Value = Number | Labelled | PeerTotals | None
"""A polled value; None where the node has none."""

Read = Callable[[Any], Value]
"""Reads a value from the results of a call."""


class Block(NamedTuple):
    """A block; hashes are in display order, and `previous` is empty if unknown.

    `chain_time_max` is the latest block time up to this block (Unix time); None if unknown.
    """

    height: int
    hash: str
    previous: str = ""
    chain_time_max: int | None = None

    def __str__(self) -> str:
        text = f"height={self.height} hash={self.hash} prev={self.previous}"
        return text if self.chain_time_max is None else f"{text} chain_time_max={self.chain_time_max}"


class Header(NamedTuple):
    """A block header from getblockheader; `previous` is empty for the genesis block."""

    hash: str
    previous: str
    height: int
    transactions: int
