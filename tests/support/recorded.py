"""Real sessions with a simulated node of each dialect, by way of a guard's Gate and Relay: what was said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache

from support.in_process import NOW, Node, Sink, Streams, busy_node, frames_of, session_through

from telegraf_bitcoin_ipc.guard import contract, gate, relay, wire
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.ipc.dialects import BY_NAME, STOCK_30
from telegraf_bitcoin_ipc.ipc.session import Session

DIALECTS = tuple(BY_NAME)
TICK_SECONDS = 0.005


@dataclass(frozen=True)
class Recorded:
    """What was said: whether it was the node that spoke, and its frame; and what the guard logged."""

    said: tuple[tuple[bool, bytes], ...]
    log: tuple[str, ...]

    @property
    def client(self) -> list[bytes]:
        """The client's frames."""
        return [frame for is_node, frame in self.said if not is_node]


class _Writer:
    """An outbox that writes to a stream."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.open = True
        self.size = 0

    def send(self, frame: wire.Frame, event: bool = False) -> int:
        """Send a frame."""
        if self.open:
            self._writer.write(bytes(frame))
        return 0

    def close(self) -> None:
        """Close the stream."""
        self.open = False
        self._writer.close()


Heard = Callable[[bool, bytes], None]


def guarded_session(
    node: Node, dialect: str, heard: Heard, log: list[str]
) -> AbstractAsyncContextManager[Session]:
    """Hold a session with a node by way of a guard; `heard` gets the frames that either side gives the guard."""

    async def between(client: Streams, server: Streams) -> None:
        to_client, to_node = _Writer(client[1]), _Writer(server[1])
        totals = memoryview(bytearray(contract.SHARED_BYTES)).cast("Q")
        entrance = gate.Gate(to_client, totals, log.append, lambda: dialect == STOCK_30.name)
        guard = relay.Relay(to_node, entrance, totals, forward_utxo=True)

        async def from_client() -> None:
            async for frame in frames_of(client[0]):
                heard(False, frame)
                for admitted in entrance.admitted(frame):
                    guard.from_plugin(admitted, time.monotonic())
            entrance.close()

        async def from_node() -> None:
            async for frame in frames_of(server[0]):
                heard(True, frame)
                guard.from_node(frame, time.monotonic())
            to_node.close()

        async def ticks() -> None:
            while to_node.open:
                guard.tick(time.monotonic())
                await asyncio.sleep(TICK_SECONDS)
            to_client.close()

        await asyncio.gather(from_client(), from_node(), ticks())

    return session_through(node, dialect, between)


@cache
def recorded(name: str) -> Recorded:
    """Record a session of a dialect: every subscription, every call of a poll, events, and its end."""
    said: list[tuple[bool, bytes]] = []
    log: list[str] = []

    async def main() -> None:
        node = busy_node()
        async with guarded_session(node, name, lambda *each: said.append(each), log) as session:
            await _everything(session, node)

    run(main())
    return Recorded(tuple(said), tuple(log))


async def _everything(session: Session, node: Node) -> None:
    sink = Sink()
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
