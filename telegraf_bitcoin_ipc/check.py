"""What `check` says of a node: what it is, what will be seen, what will not, and why."""

import time
from collections.abc import Iterable

from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.errors import CallFailed
from telegraf_bitcoin_ipc.ipc.session import Session, run
from telegraf_bitcoin_ipc.ipc.watch import watch
from telegraf_bitcoin_ipc.metrics import MEASUREMENT


def report(config: Config) -> tuple[list[str], bool]:
    """Return the lines to print, and whether all that the dialect offers works.

    Subscribes to nothing. Raises NodeUnavailable or UnsupportedNode.
    """
    return run(_report(config))


async def _report(config: Config) -> tuple[list[str], bool]:
    async with watch(config.socket, unguarded=config.no_guard) as node:
        session = node.session
        polled, fine = await _polled(session)
        return [*_identity(config, session), "", *polled, "", *_pushed(config, session)], fine


def _identity(config: Config, session: Session) -> Iterable[str]:
    yield f"socket   {config.socket}"
    yield f"version  {session.version or 'unknown'}"
    yield f"chain    {session.chain or 'unknown'}"
    yield f"dialect  {session.dialect.name}"


async def _polled(session: Session) -> tuple[list[str], bool]:
    lines, fine = ["polled:"], True
    for source in session.dialect.sources:
        began = time.perf_counter()
        try:
            values = await session.read(source)
        except CallFailed as error:
            lines.append(f"  FAILS  {source.name}: {error}")
            fine = False
            continue
        spent = (time.perf_counter() - began) * 1000
        for metric, value in values.items():
            said = "absent (the node has no value)" if value is None else f"{value}"
            lines.append(f"  works  {MEASUREMENT}_{metric} = {said}  ({source.name}, {spent:.1f} ms)")
    return lines, fine


def _pushed(config: Config, session: Session) -> Iterable[str]:
    yield "pushed:"
    offered = session.dialect.subscriptions
    yield "  works  blocks, tip, mempool and flushes (ChainNotifications)"
    if "utxo_cache" not in offered:
        yield "  absent UTXO cache (this node has no Tracing interface: it takes a node built with it)"
    elif config.no_utxo_trace:
        yield "  off    UTXO cache (--no-utxo-trace)"
    else:
        yield "  works  UTXO cache (UtxoCacheTrace; begins when initial block download is over)"
