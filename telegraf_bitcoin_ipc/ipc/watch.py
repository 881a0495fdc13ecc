"""A session with the node at a path, through a guard."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.ipc.guarding import GuardFailed, guarded
from telegraf_bitcoin_ipc.ipc.session import Session, connect, open_session

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5
"""Seconds that the node has to end the subscriptions, and then to answer what it was asked, before that is left to
the guard: with the guard's farewell the program ends within 2 s of being told to."""


class Watch(NamedTuple):
    """A session, the guard's totals (None without a guard), and whether it is safe to subscribe."""

    session: Session
    totals: Callable[[], Mapping[str, int]] | None
    may_subscribe: bool


@asynccontextmanager
async def watch(path: str, *, unguarded: bool = False, hand_on_utxo: bool = False) -> AsyncIterator[Watch]:
    """Hold a session with the node. With `hand_on_utxo` the guard hands UTXO events on beside counting them.

    Where the guard cannot be started nothing may be subscribed. Raises NodeUnavailable and UnsupportedNode.
    """
    async with AsyncExitStack() as stack:
        connection = stack.enter_context(connect(path))
        totals, patience = None, None
        if not unguarded:
            try:
                guard = await stack.enter_async_context(guarded(connection, hand_on_utxo=hand_on_utxo))
                connection, totals, patience = guard.connection, guard.totals, PATIENCE
            except GuardFailed as error:
                log.error("%s; nothing is subscribed without it, the node is only polled", error)
        session = await stack.enter_async_context(open_session(connection, patience))
        yield Watch(session, totals, unguarded or totals is not None)
