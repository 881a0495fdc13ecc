"""The wallet behind the simulated node's transactions: what can be spent, and what the next payment spends."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from telegraf_bitcoin_ipc.simnode.transactions import OutPoint

MIN_VALUE = 10_000  # satoshi; pays the fee of spending it at the highest fee rate
MAX_FEE_RATE = 20  # satoshi per virtual byte
FEW, MANY = 20, 1_000  # outputs; outside of this range payments split or join them
FAN_OUT = 8  # outputs


class Payment(NamedTuple):
    """The inputs and outputs of a transaction to be made; `outputs` and `fee` are satoshi."""

    inputs: Sequence[OutPoint]
    outputs: Sequence[int]
    fee: int


class Wallet:
    """The outputs that the next transaction can spend, confirmed or not, none too small to pay its fee."""

    def __init__(self) -> None:
        self._values: dict[OutPoint, int] = {}

    def add(self, outpoint: OutPoint, value: int) -> None:
        """Add an output of `value` satoshi, unless it is too small."""
        if value >= MIN_VALUE:
            self._values[outpoint] = value

    def discard(self, outpoint: OutPoint) -> None:
        self._values.pop(outpoint, None)

    def next_payment(self, rng: random.Random) -> Payment | None:
        """Return a random payment that keeps the number of outputs in range, None if there is no output.

        The outputs that it spends stay until they are discarded.
        """
        if not self._values:
            return None
        spend, pay = self._shape(rng)
        inputs = rng.sample(list(self._values), min(spend, len(self._values)))
        total = sum(self._values[outpoint] for outpoint in inputs)
        fee = rng.randint(1, MAX_FEE_RATE) * _vsize(len(inputs), pay)
        pay = max(1, min(pay, (total - fee) // MIN_VALUE))
        return Payment(inputs, _split(rng, total - fee, pay), fee)

    def _shape(self, rng: random.Random) -> tuple[int, int]:
        """Return how many outputs to spend and how many to pay."""
        if len(self._values) < FEW:
            return 1, FAN_OUT
        if len(self._values) > MANY:
            return rng.randint(2, 4), rng.randint(1, 2)
        return rng.randint(1, 2), 2


def bumped(rng: random.Random, payment: Payment, vsize: int) -> Payment | None:
    """Return the payment with 1 to 5 satoshi per virtual byte more fee, None if it cannot pay that."""
    bump = rng.randint(1, 5) * vsize
    outputs = list(payment.outputs)
    largest = outputs.index(max(outputs))
    if outputs[largest] - bump < MIN_VALUE:
        return None
    outputs[largest] -= bump
    return Payment(payment.inputs, outputs, payment.fee + bump)


def _vsize(inputs: int, outputs: int) -> int:
    """Estimate the size of a transaction in virtual bytes: all its inputs and outputs are P2WPKH."""
    return 11 + 68 * inputs + 31 * outputs


def _split(rng: random.Random, total: int, parts: int) -> list[int]:
    """Split `total` at random into parts that are not too small; one part is all of it."""
    rest = total - parts * MIN_VALUE
    cuts = sorted(rng.randint(0, rest) for _ in range(parts - 1))
    return [MIN_VALUE + high - low for low, high in zip([0, *cuts], [*cuts, rest], strict=True)]
