"""Real sessions with a simulated node of each dialect, by way of a guard's Gate and Relay: what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from support.gated import Gated
from support.in_process import NOW, Node, Sink, Writers, busy_node, session_by

from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.ipc.dialects import BY_NAME, STOCK_30
from telegraf_bitcoin_ipc.ipc.session import Session

DIALECTS = tuple(BY_NAME)


@dataclass(frozen=True)
class Recorded:
    """What was said: whether it was the node that spoke, and its frame; and what the guard logged."""

    said: tuple[tuple[bool, bytes], ...]
    log: tuple[str, ...]

    @property
    def client(self) -> list[bytes]:
        """The client's frames."""
        return [frame for is_node, frame in self.said if not is_node]


@cache
def recorded(name: str) -> Recorded:
    """Record a session of a dialect: every subscription, every call of a poll, events, and its end."""
    said: list[tuple[bool, bytes]] = []
    gated = Gated(forward_utxo=True, loaded=name == STOCK_30.name)

    async def listen(is_node: bool, frames: AsyncIterator[bytes], writers: Writers) -> None:
        def write() -> None:
            for player, writer in ((gated.plugin, writers.client), (gated.node, writers.node)):
                while player.outbox.frames:
                    writer.write(player.outbox.frames.popleft())
                if not player.outbox.open:
                    writer.close()

        player = gated.node if is_node else gated.plugin
        async for frame in frames:
            said.append((is_node, frame))
            player.send(frame)
            write()
        player.close()
        write()

    async def main() -> None:
        node = busy_node()
        async with session_by(node, name, listen) as session:
            await _everything(session, node)

    run(main())
    return Recorded(tuple(said), tuple(gated.log))


async def _everything(session: Session, node: Node) -> None:
    sink: Any = Sink()
    await session.probe_tip()
    following = asyncio.ensure_future(session.follow_tip())
    await asyncio.sleep(0)
    if session.dialect.subscriptions:
        await session.subscribe_chain(sink)
    if len(session.dialect.subscriptions) > 1:
        await session.subscribe_utxo_cache(sink)
    for source in session.dialect.polled():
        await session.read(source)
    if session.dialect.statistics is not None:
        tip = node.model.chain.tip.hash[::-1].hex()
        await session.header(tip)
        await session.read(session.dialect.statistics.of_block(tip))
    await node.perform("transaction", node.model.accept_transaction(NOW + 1))
    await node.connect_block()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
