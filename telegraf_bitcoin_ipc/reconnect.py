"""Keeps a session open: connect, serve, back off, connect again. Independent of Cap'n Proto."""

import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn, TypeVar

from telegraf_bitcoin_ipc.errors import NodeUnavailable, SessionExpired, UnsupportedNode

log = logging.getLogger(__name__)

FIRST_DELAY: Final = 1.0
LAST_DELAY: Final = 30.0
GROWTH: Final = 2.0
UNSUPPORTED_DELAY: Final = 60.0
"""Seconds between two tries with an unsupported node: only an upgrade changes that."""

LASTING: Final = 10.0
"""Seconds after which a session counts as a success."""

SessionT = TypeVar("SessionT")


def delays(
    spread: Callable[[], float] = random.random, first: float = FIRST_DELAY, last: float = LAST_DELAY
) -> Iterator[float]:
    """Yield the seconds before each try: 1, 2, 4 ... 30, each shortened by up to a quarter.

    `spread` returns a number from 0 to 1; it keeps the plugins of a fleet from reconnecting in step.
    """
    delay = first
    while True:
        yield delay * (1 - spread() / 4)
        delay = min(delay * GROWTH, last)


def renewals() -> Iterator[float]:
    """Yield how many seconds sessions without a guard last: 60, 120 ... 3600, each shortened as in `delays`.

    The next session tries again to start the guard.
    """
    return delays(first=60, last=3600)


async def keep_serving(
    connect: Callable[[], AbstractAsyncContextManager[SessionT]],
    serve: Callable[[SessionT], Awaitable[NoReturn]],
    *,
    sleep: Callable[[float], Awaitable[None]],
    clock: Callable[[], float],
    new_delays: Callable[[], Iterator[float]] = delays,
    on_problem: Callable[[str], None] = lambda problem: None,
) -> NoReturn:
    """Serve session after session until cancelled. One warning per outage, debug after that.

    An outage is over once a session has lasted (`clock` in seconds): a node that drops every connection at once
    is one outage. `serve` ends by an exception; any but the three handled here is raised. `on_problem` gets each
    reason why there is no session.
    """
    waits = new_delays()
    warned = False
    while True:
        began = float("inf")
        try:
            async with connect() as session:
                began = clock()
                await serve(session)
        except SessionExpired as error:
            log.debug("%s", error)
            waits, warned = new_delays(), False
            continue
        except NodeUnavailable as error:
            problem, then = f"{error}; trying again until it answers", None
        except UnsupportedNode as error:
            problem, then = f"{error}; looking again every {UNSUPPORTED_DELAY:g} s", UNSUPPORTED_DELAY
        if clock() - began >= LASTING:
            waits, warned = new_delays(), False
        on_problem(problem)
        log.log(logging.DEBUG if warned else logging.WARNING, "%s", problem)
        warned = True
        await sleep(next(waits) if then is None else then)
