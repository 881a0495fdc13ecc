"""Counts the blocks between one tip and the next, for nodes without notifications."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from telegraf_bitcoin_ipc.collect.events import ActiveChain
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block, Header
from telegraf_bitcoin_ipc.errors import CallFailed

log = logging.getLogger(__name__)

LONGEST_WALK: Final = 288
"""Blocks (two days' worth) beyond which headers are not requested one by one; only heights are compared then."""


class Node(Protocol):
    """Answers with headers of blocks, on the active chain or off it."""

    async def header(self, block_hash: str) -> Header:
        """Return a block's header; raises CallFailed."""


@dataclass
class Tips:
    """Counts new tips and, if headers are available, the blocks that each connected and disconnected.

    `downloading` returns whether the node is in initial block download.
    """

    store: Store
    chain: ActiveChain
    downloading: Callable[[], bool]
    counted: Block | None = None

    async def moved(self, tip: Block, headers: Node | None) -> None:
        """Count the blocks between the previous tip and this one; without `headers` only the tip."""
        first = self.counted is None
        self.store.set("block_height", tip.height)
        self.store.add("tip_updates_total", int(not first))
        self.chain.new_tip(tip)
        try:
            if headers is not None and self.counted is not None:
                await self._count(self.counted, tip, headers)
        except CallFailed as error:
            self.store.add("poll_errors_total", 1, "getblockheader")
            log.warning("the blocks up to height %d will be counted with the next tip: %s", tip.height, error)
            return
        self.counted = tip

    async def _count(self, old: Block, new: Block, headers: Node) -> None:
        self.store.add("poll_errors_total", 0, "getblockheader")
        near = not self.downloading() and abs(new.height - old.height) <= LONGEST_WALK
        path = await walk(old.hash, new.hash, headers) if near else None
        if path is None:
            self.store.add("blocks_connected_total", max(new.height - old.height, 0))
            return
        disconnected, connected = path
        for block in disconnected:
            self.chain.disconnected(Block(block.height, block.hash, block.previous))
        for block in connected:
            self.chain.connected(Block(block.height, block.hash, block.previous))
            self.store.add("mempool_tx_confirmed_total", block.transactions - 1)


async def walk(
    old: str, new: str, headers: Node, longest: int = LONGEST_WALK
) -> tuple[Sequence[Header], Sequence[Header]] | None:
    """Return the blocks disconnected and the blocks connected, each in order, between two tips.

    Requests one header per block, and that of the old tip; returns None if it would be more than `longest` blocks.
    Raises CallFailed.
    """
    leaving, coming = await headers.header(old), await headers.header(new)
    disconnected: list[Header] = []
    connected: list[Header] = []
    while leaving.hash != coming.hash:
        if len(disconnected) + len(connected) >= longest:
            return None
        if coming.height >= leaving.height:
            connected.append(coming)
            coming = leaving if coming.previous == leaving.hash else await headers.header(coming.previous)
        else:
            disconnected.append(leaving)
            leaving = coming if leaving.previous == coming.hash else await headers.header(leaving.previous)
    return disconnected, connected[::-1]
