"""Reconnecting: patient, quiet, and over only when the program itself is wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count, islice
from typing import NoReturn

import pytest

from telegraf_bitcoin_ipc.errors import NodeUnavailable, PluginError, SessionExpired, UnsupportedNode
from telegraf_bitcoin_ipc.reconnect import LASTING, UNSUPPORTED_DELAY, delays, keep_serving, renewals

REFUSED = NodeUnavailable("/run/node.sock: there is no such socket")
LOST = NodeUnavailable("the node closed the connection")
EXPIRED = SessionExpired("this session has no guard")
STOCK = UnsupportedNode("a stock node (Bitcoin Core 31) is not served")


@pytest.mark.parametrize(
    ("waits", "longest"),
    [
        # A node that is away for long is asked twice a minute, a short restart is noticed within seconds.
        (delays, [1, 2, 4, 8, 16, 30, 30]),
        # Sessions without a guard last a minute at first and an hour at most.
        (renewals, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
    ],
)
def test_waits_grow(waits: Callable[[], Iterator[float]], longest: list[float]) -> None:
    """Waits double up to a limit; jitter, drawn anew for each, takes up to a quarter off."""
    for seconds, most in zip(waits(), longest, strict=False):
        assert 0.75 * most <= seconds <= most


def test_delays_are_spread() -> None:
    """A fleet of plugins does not knock in step, and jitter never makes a wait longer."""
    assert list(islice(delays(iter([0, 0.5, 1]).__next__), 3)) == [1, 1.75, 3]


class EndOfScriptError(Exception):
    """Not about the node: ends it all."""


class Script:
    """What happens to one connection after another: an error at connecting, or in a tuple how a session ends."""

    def __init__(self, *connections: Exception | tuple[Exception]) -> None:
        self._connections = connections
        self.slept: list[float] = []
        self.served: list[int] = []
        self.closed: list[int] = []

    def run(self, lasting: float = LASTING) -> None:
        """Serve sessions that last so many seconds until something else than the node ends it."""
        numbered, moments = enumerate(self._connections), count(step=lasting)

        @asynccontextmanager
        async def connect() -> AsyncIterator[tuple[int, Exception]]:
            number, outcome = next(numbered)
            if isinstance(outcome, Exception):
                raise outcome
            try:
                yield number, outcome[0]
            finally:
                self.closed.append(number)

        async def serve(session: tuple[int, Exception]) -> NoReturn:
            number, error = session
            self.served.append(number)
            raise error

        async def sleep(seconds: float) -> None:
            assert self.closed == self.served, "it waits with a session open"
            self.slept.append(seconds)

        asyncio.run(
            keep_serving(
                connect, serve, sleep=sleep, clock=lambda: next(moments), new_delays=lambda: delays(lambda: 0)
            )
        )


@pytest.mark.parametrize(
    ("connections", "lasting", "slept", "warned", "served"),
    [
        # An outage is one warning, whatever it takes, and debug after that.
        ([REFUSED] * 7, LASTING, [1, 2, 4, 8, 16, 30, 30], "WDDDDDD", []),
        # After a session the next outage is warned of again, and begins with short waits.
        (
            [REFUSED, REFUSED, (LOST,), REFUSED, REFUSED, (LOST,)],
            LASTING,
            [1, 2, 1, 2, 4, 1],
            "WDWDDW",
            [2, 5],
        ),
        # Sessions that end as soon as they have begun do not shorten the waits, and are warned of once.
        ([(LOST,)] * 4, 0.1, [1, 2, 4, 8], "WDDD", [0, 1, 2, 3]),
        # A session that this program ended for a better one costs no wait and no warning, and ends an outage.
        ([REFUSED, REFUSED, (EXPIRED,), (EXPIRED,), REFUSED], LASTING, [1, 2, 1], "WDDDW", [2, 3]),
        # A node that only an upgrade makes usable is asked once a minute, and complained of once.
        ([STOCK] * 3, LASTING, [UNSUPPORTED_DELAY] * 3, "WDD", []),
        # So is a node that is replaced by another kind while it is served.
        ([(STOCK,), REFUSED], LASTING, [60, 1], "WD", [0]),
    ],
)
def test_outages(
    connections: Sequence[PluginError | tuple[PluginError]],
    lasting: float,
    slept: list[float],
    warned: str,
    served: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """How long it waits after each connection that failed or ended, and what it says about it."""
    caplog.set_level(logging.DEBUG, logger="telegraf_bitcoin_ipc.reconnect")
    script = Script(*connections, EndOfScriptError())
    with pytest.raises(EndOfScriptError):
        script.run(lasting)
    assert script.slept == slept
    assert [record.levelname for record in caplog.records] == [
        {"W": "WARNING", "D": "DEBUG"}[letter] for letter in warned
    ]
    problem = connections[0][0] if isinstance(connections[0], tuple) else connections[0]
    then = "looking again every 60 s" if problem is STOCK else "trying again until it answers"
    assert caplog.messages[0] == f"{problem}; {then}"
    assert script.served == script.closed == served


@pytest.mark.parametrize("defect", [ValueError("a defect"), OSError("a defect"), PluginError("a defect")])
def test_defect_ends_it(defect: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """An error that is not about the node ends the program loudly instead of being tried again."""
    script = Script((defect,))
    with pytest.raises(type(defect), match="a defect"):
        script.run()
    assert (script.slept, caplog.messages) == ([], [])
