"""Steady activity of the simulated node: transactions, blocks and peers at configured rates."""

import argparse
import asyncio
import random
from collections.abc import Callable
from itertools import count
from typing import Final

from telegraf_bitcoin_ipc.simnode.events import RemovalReason
from telegraf_bitcoin_ipc.simnode.node import SimulatedNode

REPLACED_OF_ACCEPTED: Final = 0.05
REMOVED_OF_ACCEPTED: Final = 0.02
REORG_DEPTH: Final = 2
BLOCKS_PER_FLUSH: Final = 6
IBD_BLOCKS_AHEAD: Final = 1000
BYTES_PER_TRANSACTION: Final = 400
PEERS: Final = (8, 10)
"""Inbound and outbound connections at the start."""
PEERS_MORE_OR_LESS: Final = 3
INBOUND_OF_JOINING: Final = PEERS[0] / sum(PEERS)
PEER_SECONDS: Final = 5.0
"""Between two changes of the peers, by one that joins or leaves."""
FEE_ESTIMATES: Final = {2: 18.0, 6: 9.5, 144: 1.2}
"""Satoshi per virtual byte by target: what the wallet pays is between 1 and 20."""


class Life:
    """Steady activity: transactions and blocks at their rates, and occasional reorganisations."""

    def __init__(
        self, node: SimulatedNode, rates: argparse.Namespace, rng: random.Random, now: Callable[[], int]
    ) -> None:
        """Act at `rates`, the options of `simulate`; everything random comes from `rng`."""
        self._node = node
        self._rates = rates
        self._rng = rng
        self._now = now
        model = node.model
        model.peers.change(*PEERS)
        model.fee_estimates = dict(FEE_ESTIMATES)
        model.indexes = {"txindex": None}
        if rates.ibd:
            model.ibd = True
            model.header_height = model.height + IBD_BLOCKS_AHEAD

    async def live(self) -> None:
        """Act until cancelled."""
        await asyncio.gather(
            self._download(), self._make_blocks(), self._make_transactions(), self._change_peers()
        )

    async def _download(self) -> None:
        """Leave initial block download after its time."""
        if not self._rates.ibd:
            return
        await asyncio.sleep(self._rates.ibd)
        self._node.model.ibd = False
        self._node.model.header_height = 0
        await self._node.perform("ibd_over", [])

    async def _make_blocks(self) -> None:
        model, rates, burst = self._node.model, self._rates, self._rates.utxo_burst
        for number in count(1):
            await asyncio.sleep(rates.block_interval)
            if rates.reorg_every and number % rates.reorg_every == 0:
                await self._node.perform("reorg", model.reorg(self._now(), REORG_DEPTH))
            else:
                outputs = burst if self._node.traced else 0
                burst -= outputs
                await self._node.perform("block", model.connect_block(self._now(), outputs))
            if number % BLOCKS_PER_FLUSH == 0:
                await self._node.perform("flush", model.flush())

    async def _make_transactions(self) -> None:
        model = self._node.model
        while self._rates.tx_rate:
            await asyncio.sleep(1 / self._rates.tx_rate)
            if model.ibd:
                continue  # a node accepts no transactions before it is synced
            sent = BYTES_PER_TRANSACTION * self._rng.randint(1, 3)
            model.peers.traffic(BYTES_PER_TRANSACTION, sent)
            await self._node.perform("accept", model.accept_transaction(self._now()))
            chance = self._rng.random()
            if chance < REMOVED_OF_ACCEPTED:
                reason = self._rng.choice((RemovalReason.EXPIRY, RemovalReason.SIZELIMIT, RemovalReason.CONFLICT))
                await self._node.perform("remove", model.remove_transaction(reason))
            elif chance < REPLACED_OF_ACCEPTED:
                await self._node.perform("replace", model.replace_transaction(self._now()))

    async def _change_peers(self) -> None:
        while True:
            await asyncio.sleep(PEER_SECONDS)
            peers = self._node.model.peers
            peers.ping()
            if self._one_leaves(len(peers)):
                peers.leave(self._rng.choice([peer.id for peer in peers]))
            else:
                peers.join_any(inbound=self._rng.random() < INBOUND_OF_JOINING)
            await self._node.perform("peers", [])

    def _one_leaves(self, peers: int) -> bool:
        """Return whether a peer leaves rather than joins: random while their number is near that at the start."""
        above = peers - sum(PEERS)
        return above >= PEERS_MORE_OR_LESS or (above > -PEERS_MORE_OR_LESS and self._rng.random() < 0.5)
