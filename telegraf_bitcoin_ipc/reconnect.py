"""Keep a session open for ever: connect, serve, back off, connect again. Knows no Cap'n Proto."""

import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn, TypeVar

from telegraf_bitcoin_ipc.errors import NodeUnavailable, PluginError, UnsupportedNode

log = logging.getLogger(__name__)

FIRST_DELAY: Final = 1.0
LAST_DELAY: Final = 30.0
GROWTH: Final = 2.0
UNSUPPORTED_DELAY: Final = 60.0
"""Seconds between two looks at a node that is not served: only an upgrade changes that."""

SessionT = TypeVar("SessionT")


def delays(spread: Callable[[], float] = random.random) -> Iterator[float]:
    """Yield seconds to wait before each try: 1, 2, 4 ... 30, each shortened by up to a quarter.

    `spread` returns a number from 0 to 1; it keeps a fleet from knocking on its nodes in step.
    """
    delay = FIRST_DELAY
    while True:
        yield delay * (1 - spread() / 4)
        delay = min(delay * GROWTH, LAST_DELAY)


async def keep_serving(
    connect: Callable[[], AbstractAsyncContextManager[SessionT]],
    serve: Callable[[SessionT], Awaitable[NoReturn]],
    *,
    sleep: Callable[[float], Awaitable[None]],
    new_delays: Callable[[], Iterator[float]] = delays,
) -> NoReturn:
    """Serve session after session until cancelled. One warning per outage, debug after that.

    `serve` says by its exception how the session ended; an exception that is not about the node ends it all.
    """
    problem: PluginError
    waits = new_delays()
    warned = False
    while True:
        try:
            async with connect() as session:
                waits, warned = new_delays(), False
                await serve(session)
        except NodeUnavailable as error:
            problem, delay = error, next(waits)
        except UnsupportedNode as unsupported:
            problem, delay = unsupported, UNSUPPORTED_DELAY
        log.log(logging.DEBUG if warned else logging.WARNING, "%s; trying again until it answers", problem)
        warned = True
        await sleep(delay)
