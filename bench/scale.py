"""How much is measured: all of it, or in seconds for continuous integration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Numbers of rounds, events and seconds."""

    rounds: int
    burst: int  # UTXO events
    blocks: int  # blockConnected calls in a round
    rate_seconds: float  # of transactions at RATE, over all rounds
    idle_seconds: float
    starts: int
    polls: int
    bursts: int  # for the growth of memory
    emissions: int
    spin_ends: int
    whole: bool  # what takes minutes: an hour's worth of events, how costs grow


FULL = Scale(5, 50_000, 40, 30.0, 10.0, 9, 15, 10, 300, 100, whole=True)
SHORT = Scale(3, 2_000, 5, 1.5, 1.0, 2, 4, 0, 50, 20, whole=False)

RATE = 1_000
"""Transactions a second."""
