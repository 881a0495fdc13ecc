"""The calls of a poll with nothing around them: pycapnp, one after another, no guard. SOCKET POLLS

Prints the seconds of each poll, a line each.
"""

import asyncio
import json
import sys
import time
from typing import Any

import capnp

from telegraf_bitcoin_ipc.collect.dialect import RPC
from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, METRICS
from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.ipc.dialects import TRACING

PAUSE = 0.1


async def main(path: str, polls: int, *more: str) -> None:
    """Poll, with a pause between two polls."""
    loaded = schema.load("tracing")
    stream = await capnp.AsyncIoStream.create_unix_connection(path)
    client = capnp.TwoPartyClient(stream)
    init = client.bootstrap().cast_as(loaded.init.Init)
    threads = (await init.construct()).threadMap
    context = {"thread": (await threads.makeThread("bare")).result}
    interfaces: dict[str, Any] = {
        "node": (await init.makeNode(context=context)).result,
        "chain": (await init.makeChain(context=context)).result,
    }
    wanted = ALWAYS_ON | set(DEFAULT_GROUPS) | set(more)
    sources = [
        source
        for source in TRACING.polled()
        if not source.call.once_per_tip and any(METRICS[metric].group in wanted for metric in source.values)
    ]
    for _ in range(polls):
        await asyncio.sleep(PAUSE)
        began = time.perf_counter()
        for source in sources:
            call = source.call
            for value in call.each or (None,):
                if call.interface == RPC:
                    params = json.dumps(() if value is None else (value,))
                    await interfaces["node"].executeRpc(
                        context=context, command=call.method, params=params, uri=""
                    )
                else:
                    method = getattr(interfaces[call.interface], call.method)
                    await method(context=context, **dict(call.arguments))
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    asyncio.run(capnp.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])))
