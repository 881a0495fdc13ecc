"""What the simulated node does next: a steady life with rates, or a script of actions, one JSON object a line.

A script line is `{"do": ACTION, ...}` with the action's parameters, `{"wait": SECONDS}`, or both.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.simnode.events import Event, RemovalReason
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.node import SimulatedNode

REPLACED_OF_ACCEPTED: Final = 0.05
REMOVED_OF_ACCEPTED: Final = 0.02
BLOCKS_PER_FLUSH: Final = 6
IBD_BLOCKS_AHEAD: Final = 1000
BYTES_PER_TRANSACTION: Final = 400
PEERS: Final = (8, 10)
"""Inbound and outbound connections at the start."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How a steady life goes: seconds between blocks, transactions per second, and so on."""

    block_interval: float = 10.0
    tx_rate: float = 2.0
    reorg_every: int = 0
    utxo_burst: int = 0
    ibd: float = 0.0
    reorg_depth: int = 2


def actions(model: Model, now: Callable[[], int]) -> Mapping[str, Callable[..., list[Event]]]:
    """Return what a script can do, by name; each returns the events that it causes."""

    def remove(reason: str = "expiry") -> list[Event]:
        if reason.upper() not in RemovalReason.__members__:
            raise ValueError(f"there is no reason {reason!r}")
        return model.remove_transaction(RemovalReason[reason.upper()])

    def ibd(on: bool) -> list[Event]:
        model.ibd = on
        return []

    def headers(height: int) -> list[Event]:
        model.header_height = height
        return []

    def peers(inbound: int, outbound: int) -> list[Event]:
        model.inbound, model.outbound = inbound, outbound
        return []

    def traffic(received: int, sent: int) -> list[Event]:
        model.bytes_recv += received
        model.bytes_sent += sent
        return []

    def accept(count: int = 1) -> list[Event]:
        return [event for _ in range(count) for event in model.accept_transaction(now())]

    return {
        "accept": accept,
        "replace": lambda: model.replace_transaction(now()),
        "remove": remove,
        "refuse": model.refuse_transaction,
        "block": lambda outputs=0, transactions=None: model.connect_block(now(), outputs, transactions),
        "disconnect": model.disconnect_tip,
        "reorg": lambda depth=1: model.reorg(now(), depth),
        "historical": model.connect_historical_block,
        "template": model.build_template,
        "flush": model.flush,
        "ibd": ibd,
        "headers": headers,
        "peers": peers,
        "traffic": traffic,
    }


async def follow(script: AsyncIterator[str], node: SimulatedNode, now: Callable[[], int]) -> None:
    """Do what a script says, line by line, each action whole before the next."""
    known = actions(node.model, now)
    async for line in script:
        if not line.strip():
            continue
        step = _step(line)
        await asyncio.sleep(step.pop("wait", 0))
        name = step.pop("do", None)
        if name is None:
            continue
        if name not in known:
            raise ConfigError(f"the script's action {name!r} is none of {', '.join(known)}")
        try:
            events = known[name](**step)
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"the script's action {name!r} cannot be done: {error}") from error
        await node.perform(name, events)
        await node.settle(name)


def _step(line: str) -> dict[str, Any]:
    try:
        step = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"the script's line {line.strip()!r} is not JSON: {error}") from error
    if not isinstance(step, dict):
        raise ConfigError(f"the script's line {line.strip()!r} is no JSON object")
    return step


class Life:
    """A steady life: transactions and blocks at their rates, now and then a reorganisation."""

    def __init__(self, node: SimulatedNode, rates: Rates, rng: random.Random, now: Callable[[], int]) -> None:
        """Live by `rates`; everything random comes from `rng`."""
        self._node = node
        self._rates = rates
        self._rng = rng
        self._now = now
        self._blocks = 0
        self._burst_due = rates.utxo_burst > 0
        model = node.model
        model.inbound, model.outbound = PEERS
        if rates.ibd:
            model.ibd = True
            model.header_height = model.height + IBD_BLOCKS_AHEAD

    async def live(self) -> None:
        """Live for ever."""
        await asyncio.gather(self._download(), self._make_blocks(), self._make_transactions())

    async def _download(self) -> None:
        """Leave initial block download when its time is over."""
        if not self._rates.ibd:
            return
        await asyncio.sleep(self._rates.ibd)
        self._node.model.ibd = False
        self._node.model.header_height = 0
        await self._node.perform("ibd_over", [])

    async def _make_blocks(self) -> None:
        while True:
            await asyncio.sleep(self._rates.block_interval)
            await self._make_block()

    async def _make_block(self) -> None:
        model, rates = self._node.model, self._rates
        self._blocks += 1
        if rates.reorg_every and self._blocks % rates.reorg_every == 0:
            await self._node.perform("reorg", model.reorg(self._now(), rates.reorg_depth))
        else:
            burst = self._burst_due and self._node.traced
            self._burst_due &= not burst
            await self._node.perform("block", model.connect_block(self._now(), rates.utxo_burst if burst else 0))
        if self._blocks % BLOCKS_PER_FLUSH == 0:
            await self._node.perform("flush", model.flush())

    async def _make_transactions(self) -> None:
        while self._rates.tx_rate:
            await asyncio.sleep(1 / self._rates.tx_rate)
            model = self._node.model
            if model.ibd:
                continue  # a node takes no transactions before it is in step
            model.bytes_recv += BYTES_PER_TRANSACTION
            model.bytes_sent += BYTES_PER_TRANSACTION * self._rng.randint(1, 3)
            await self._node.perform("accept", model.accept_transaction(self._now()))
            chance = self._rng.random()
            if chance < REMOVED_OF_ACCEPTED:
                reason = self._rng.choice((RemovalReason.EXPIRY, RemovalReason.SIZELIMIT, RemovalReason.CONFLICT))
                await self._node.perform("remove", model.remove_transaction(reason))
            elif chance < REPLACED_OF_ACCEPTED:
                await self._node.perform("replace", model.replace_transaction(self._now()))
