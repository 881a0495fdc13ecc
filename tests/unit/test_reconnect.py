"""Reconnecting: patient, quiet, and over only when the program itself is wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from typing import NoReturn

import pytest

from telegraf_bitcoin_ipc.errors import NodeUnavailable, PluginError, SessionExpired, UnsupportedNode
from telegraf_bitcoin_ipc.reconnect import LASTING, UNSUPPORTED_DELAY, delays, keep_serving, renewals

REFUSED = NodeUnavailable("/run/node.sock: there is no such socket")
LOST = NodeUnavailable("the node closed the connection")
EXPIRED = SessionExpired("this session has no guard")
STOCK = UnsupportedNode("a stock node (Bitcoin Core 31) is not served")


def test_delays_grow() -> None:
    """A node that is away for long is asked twice a minute, a short restart is noticed within seconds."""
    assert list(islice(delays(lambda: 0), 7)) == [1, 2, 4, 8, 16, 30, 30]


def test_delays_are_shortened() -> None:
    """Jitter takes up to a quarter off, and never makes a wait longer."""
    assert list(islice(delays(lambda: 1), 7)) == [0.75, 1.5, 3, 6, 12, 22.5, 22.5]


def test_delays_are_spread() -> None:
    """A fleet of plugins does not knock in step: each wait is drawn anew."""
    spread = iter([0, 0.5, 1]).__next__
    assert list(islice(delays(spread), 3)) == [1, 1.75, 3]
    for delay, longest in zip(delays(), [1, 2, 4, 8, 16, 30, 30], strict=False):
        assert 0.75 * longest <= delay <= longest


def test_renewals_grow() -> None:
    """Sessions without a guard last a minute at first and an hour at most, spread as all waits."""
    for seconds, longest in zip(renewals(), [60, 120, 240, 480, 960, 1920, 3600, 3600], strict=False):
        assert 0.75 * longest <= seconds <= longest


class EndOfScriptError(Exception):
    """Not about the node: ends it all."""


@dataclass
class Script:
    """What happens to one connection after another: an error at connecting, or how a session ends."""

    connections: Sequence[PluginError | tuple[PluginError]]
    slept: list[float] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    lasting: float = LASTING
    closed: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Serve until the script is over."""
        numbers = count()

        @asynccontextmanager
        async def connect() -> AsyncIterator[int]:
            number = next(numbers)
            if number == len(self.connections):
                raise EndOfScriptError
            outcome = self.connections[number]
            if isinstance(outcome, PluginError):
                raise outcome
            try:
                yield number
            finally:
                self.closed.append(number)

        async def serve(number: int) -> NoReturn:
            self.served.append(number)
            outcome = self.connections[number]
            assert isinstance(outcome, tuple)
            raise outcome[0]

        moments = count(step=self.lasting)

        async def sleep(seconds: float) -> None:
            assert self.closed == self.served, "it waits with a session open"
            self.slept.append(seconds)

        def new_delays() -> Iterator[float]:
            return delays(lambda: 0)

        with pytest.raises(EndOfScriptError):
            asyncio.run(
                keep_serving(connect, serve, sleep=sleep, clock=lambda: next(moments), new_delays=new_delays)
            )


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Keep all that is logged."""
    caplog.set_level(logging.DEBUG, logger="telegraf_bitcoin_ipc.reconnect")
    return caplog


def test_backs_off(log: pytest.LogCaptureFixture) -> None:
    """An outage is one warning, whatever it takes, and debug after that."""
    script = Script([REFUSED] * 7)
    script.run()
    assert script.slept == [1, 2, 4, 8, 16, 30, 30]
    assert [record.levelname for record in log.records] == ["WARNING"] + ["DEBUG"] * 6
    assert log.messages == [f"{REFUSED}; trying again until it answers"] * 7


def test_session_begins_anew(log: pytest.LogCaptureFixture) -> None:
    """After a session the next outage is warned of again, and begins with short waits."""
    script = Script([REFUSED, REFUSED, (LOST,), REFUSED, REFUSED, (LOST,)])
    script.run()
    assert script.slept == [1, 2, 1, 2, 4, 1]
    levels = ["WARNING", "DEBUG", "WARNING", "DEBUG", "DEBUG", "WARNING"]
    assert [record.levelname for record in log.records] == levels
    assert script.served == script.closed == [2, 5]


def test_a_node_that_drops_every_connection_is_one_outage(log: pytest.LogCaptureFixture) -> None:
    """Sessions that end as soon as they have begun do not shorten the waits, and are warned of once."""
    script = Script([(LOST,)] * 4, lasting=0.1)
    script.run()
    assert script.slept == [1, 2, 4, 8]
    assert [record.levelname for record in log.records] == ["WARNING", "DEBUG", "DEBUG", "DEBUG"]


def test_a_session_that_expires_is_followed_at_once(log: pytest.LogCaptureFixture) -> None:
    """A session that this program ended for a better one costs no wait and no warning, and ends an outage."""
    script = Script([REFUSED, REFUSED, (EXPIRED,), (EXPIRED,), REFUSED])
    script.run()
    assert script.slept == [1, 2, 1]
    assert script.served == script.closed == [2, 3]
    assert [record.levelname for record in log.records] == ["WARNING", "DEBUG", "DEBUG", "DEBUG", "WARNING"]


def test_unsupported_node_is_asked_slowly(log: pytest.LogCaptureFixture) -> None:
    """A node that only an upgrade makes usable is asked once a minute, and complained of once."""
    script = Script([STOCK, STOCK, STOCK])
    script.run()
    assert script.slept == [UNSUPPORTED_DELAY] * 3 == [60] * 3
    assert [record.levelname for record in log.records] == ["WARNING", "DEBUG", "DEBUG"]


def test_session_that_turns_out_unsupported() -> None:
    """A node that is replaced by another kind while it is served is asked slowly, too."""
    script = Script([(STOCK,), REFUSED])
    script.run()
    assert script.slept == [60, 1]


@pytest.mark.parametrize("defect", [ValueError("a defect"), OSError("a defect"), PluginError("a defect")])
def test_defect_ends_it(defect: Exception, log: pytest.LogCaptureFixture) -> None:
    """An error that is not about the node ends the program loudly instead of being tried again."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[None]:
        yield

    async def serve(session: None) -> NoReturn:
        raise defect

    async def sleep(seconds: float) -> None:
        raise AssertionError("it tried again")

    with pytest.raises(type(defect), match="a defect"):
        asyncio.run(keep_serving(connect, serve, sleep=sleep, clock=lambda: 0))
    assert log.messages == []


def test_stop_reaches_the_session() -> None:
    """A stop while a session is served ends the session first, then the serving."""

    async def stopped() -> list[str]:
        happened: list[str] = []
        serving = asyncio.Event()

        @asynccontextmanager
        async def connect() -> AsyncIterator[None]:
            try:
                yield
            finally:
                happened.append("left")

        async def serve(session: None) -> NoReturn:
            serving.set()
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

        task = asyncio.create_task(keep_serving(connect, serve, sleep=asyncio.sleep, clock=lambda: 0))
        await serving.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return happened

    assert asyncio.run(stopped()) == ["left"]
