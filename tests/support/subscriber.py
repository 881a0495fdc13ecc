"""A client that subscribes and then behaves as badly as it was told to, until SIGTERM; as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any, Literal

import capnp
from support.processes import OURS, Process, module_command

from telegraf_bitcoin_ipc.ipc import schema

Misbehaviour = Literal["", "raise", "missing", "leave early", "two at once", "twice", "brake"]

BRAKE_AFTER = 100
"""Events after which the one that brakes stops itself, until SIGCONT: a block's validation waits for it then."""


class Subscriber(Process):
    """`kind` is chain, utxo_cache, both or none."""

    def __init__(
        self,
        socket: Path,
        directory: Path,
        kind: str,
        misbehaviour: Misbehaviour = "",
        *,
        dialect: str = "tracing",
    ) -> None:
        command = module_command("subscriber", socket, kind, misbehaviour, dialect)
        super().__init__(command, directory, name="subscriber", environment=OURS)


async def main(socket: str, kind: str, misbehaviour: str, dialect: str) -> None:
    """Connect, subscribe, misbehave, and stay until SIGTERM; who brakes leaves the node in peace then."""
    stop = asyncio.Event()
    if misbehaviour == "brake":  # before it subscribes: from then on a test may stop it
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    loaded = schema.load(dialect)
    client = capnp.TwoPartyClient(await capnp.AsyncIoStream.create_unix_connection(socket))
    init = client.bootstrap().cast_as(loaded.init.Init)
    thread_map = (await init.construct()).threadMap
    context = {"thread": (await thread_map.makeThread("subscriber")).result}
    chain = (await init.makeChain(context=context)).result
    handlers = []
    if kind in ("chain", "both"):
        callback = _callback(loaded.chain.ChainNotifications, misbehaviour)
        handlers.append((await chain.handleNotifications(context=context, notifications=callback)).result)
    if kind in ("utxo_cache", "both"):
        tracing = (await init.makeTracing(context=context)).result
        callback = _callback(loaded.tracing.UtxoCacheTrace, misbehaviour)
        handlers.append((await tracing.traceUtxoCache(context=context, callback=callback)).result)
    print("ready", file=sys.stderr)
    if misbehaviour == "leave early":
        await handlers[0].disconnect(context=context)
        return
    if misbehaviour in ("two at once", "twice"):
        several = handlers if misbehaviour == "two at once" else handlers[:1] * 2
        calls = [handler.disconnect(context=context) for handler in several]
        print(*await asyncio.gather(*calls, return_exceptions=True), sep="\n", file=sys.stderr)
    await stop.wait()
    await handlers[0].disconnect(context=context)
    await callback.let_go.wait()
    await thread_map.makeThread("the last")  # answered after the answer to `destroy` was read


def _callback(interface: Any, misbehaviour: str) -> Any:
    """Return a server of every method of an interface, as good as it may be."""

    let_go, numbers = asyncio.Event(), count(1)

    async def answer(self: Any, **_: Any) -> None:
        if misbehaviour == "raise":
            raise ValueError("a subscriber's mistake")
        if misbehaviour == "brake" and next(numbers) == BRAKE_AFTER:
            os.kill(os.getpid(), signal.SIGSTOP)

    async def destroy(self: Any, **_: Any) -> None:
        if misbehaviour == "leave early":
            await asyncio.Event().wait()
        let_go.set()

    methods: dict[str, Any] = {} if misbehaviour == "missing" else dict.fromkeys(interface.schema.methods, answer)
    return type("Callback", (interface.Server,), {**methods, "destroy": destroy, "let_go": let_go})()


if __name__ == "__main__":
    asyncio.run(capnp.run(main(*sys.argv[1:])))
