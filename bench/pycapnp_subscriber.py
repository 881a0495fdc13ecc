"""`pycapnp`, the straightforward subscriber: asyncio, a pycapnp server, no guard. SOCKET

It takes what the plugin takes of an event: counts, and adds up values. Says `ready` when it is subscribed.
"""

import asyncio
import sys
from collections import Counter
from typing import Any

import capnp

from telegraf_bitcoin_ipc.ipc import schema


async def main(path: str) -> None:
    """Subscribe to everything, and count until the node closes the connection."""
    loaded, totals = schema.load("tracing"), Counter[str]()

    class Chain(loaded.chain.ChainNotifications.Server):  # type: ignore[misc, name-defined]
        async def transactionAddedToMempool(self, tx: bytes, **_: Any) -> None:
            totals["bytes"] += len(bytes(tx))

        async def blockConnected(self, block: Any, **_: Any) -> None:
            totals["bytes"] += len(bytes(block.data))

    class Trace(loaded.tracing.UtxoCacheTrace.Server):  # type: ignore[misc, name-defined]
        async def add(self, utxoInfo: Any, **_: Any) -> None:
            totals["added"] += 1
            totals["value added"] += utxoInfo.value

        async def spend(self, utxoInfo: Any, **_: Any) -> None:
            totals["spent"] += 1
            totals["value spent"] += utxoInfo.value

    stream = await capnp.AsyncIoStream.create_unix_connection(path)
    client = capnp.TwoPartyClient(stream)
    init = client.bootstrap().cast_as(loaded.init.Init)
    threads = (await init.construct()).threadMap
    context = {"thread": (await threads.makeThread("pycapnp")).result}
    chain = (await init.makeChain(context=context)).result
    tracing = (await init.makeTracing(context=context)).result
    handlers = [
        await chain.handleNotifications(context=context, notifications=Chain()),
        await tracing.traceUtxoCache(context=context, callback=Trace()),
    ]
    await client.on_disconnect()
    del handlers


if __name__ == "__main__":
    asyncio.run(capnp.run(main(sys.argv[1])))
