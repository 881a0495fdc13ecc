"""The coins of the simulated node, and a view that changes them and records each change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from telegraf_bitcoin_ipc.simnode.events import Event
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, Transaction

UNCONFIRMED_HEIGHT = 2147483647  # the height that Bitcoin Core gives to coins in no block: INT_MAX


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output: satoshi, the height of its block, and whether a coinbase created it."""

    value: int
    height: int
    coinbase: bool


class CoinsView:
    """A view of coins on top of other coins, like Bitcoin Core's `CCoinsViewCache`.

    Changes stay in the view until `flush`. Each change is in `events`, flushed or not.
    """

    def __init__(self, base: dict[OutPoint, Coin]) -> None:
        self._base = base
        self._changes: dict[OutPoint, Coin | None] = {}
        self.events: list[Event] = []

    def connect(self, tx: Transaction, height: int) -> tuple[Coin, ...]:
        """Spend the inputs of `tx`, add its outputs; return the coins it spent, in input order."""
        spent = tuple(self._spend(outpoint) for outpoint in tx.inputs)
        for outpoint, value in zip(outpoints(tx), tx.outputs, strict=True):
            self._add(outpoint, Coin(value, height, tx.coinbase))
        return spent

    def disconnect(self, tx: Transaction, undo: Sequence[Coin]) -> None:
        """Spend the outputs of `tx`, then add the coins it had spent, the last input first."""
        for outpoint in outpoints(tx):
            self._spend(outpoint)
        for outpoint, coin in zip(reversed(tx.inputs), reversed(undo), strict=True):
            self._add(outpoint, coin)

    def flush(self) -> None:
        for outpoint, coin in self._changes.items():
            if coin is None:
                self._base.pop(outpoint, None)
            else:
                self._base[outpoint] = coin
        self._changes.clear()

    def _add(self, outpoint: OutPoint, coin: Coin) -> None:
        self._changes[outpoint] = coin
        self.events.append(utxo_event("add", outpoint, coin))

    def _spend(self, outpoint: OutPoint) -> Coin:
        coin = self._changes[outpoint] if outpoint in self._changes else self._base[outpoint]
        if coin is None:
            raise KeyError(outpoint)
        self._changes[outpoint] = None
        self.events.append(utxo_event("spend", outpoint, coin))
        return coin


def outpoints(tx: Transaction) -> Iterator[OutPoint]:
    """Yield the outpoints of the outputs that become coins."""
    return (OutPoint(tx.txid, n) for n in range(len(tx.outputs)))


def utxo_event(method: Literal["add", "spend", "uncache"], outpoint: OutPoint, coin: Coin) -> Event:
    """Return the event for a change of `coin`."""
    info = {
        "outpointHash": outpoint.txid,
        "outpointN": outpoint.n,
        "height": coin.height,
        "value": coin.value,
        "isCoinbase": coin.coinbase,
    }
    return Event(method, {"utxoInfo": info})
