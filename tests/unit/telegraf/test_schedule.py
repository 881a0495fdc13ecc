"""When to emit: on time, when asked, and soon after a new tip."""

import math

import pytest

from telegraf_bitcoin_ipc.telegraf.execd import Schedule


@pytest.mark.parametrize(
    ("interval", "story"),
    [
        # Before there is something to say, nothing is emitted; the first request is met at once.
        (10, [("wait", 100, math.inf), ("request", 100), ("wait", 100, 0)]),
        # Without newlines there is an emission every interval; one that is late is due at once.
        (10, [("emit", 100), ("wait", 100, 10), ("wait", 104, 6), ("wait", 110, 0), ("wait", 999, 0)]),
        (10, [("emit", 100), ("emit", 112), ("wait", 112, 10)]),
        # A new block is on the page at once.
        (10, [("emit", 100), ("request", 105), ("wait", 105, 0)]),
        # While the node catches up, a thousand blocks a second make no more than one emission a second.
        (
            10,
            [("emit", 100), ("request", 100.25), ("wait", 100.25, 0.75), ("request", 100.5), ("wait", 100.5, 0.5)],
        ),
        (10, [("emit", 100), ("request", 100.5), ("emit", 101), ("request", 101), ("wait", 101, 1)]),
        # A request just before the interval is over does not put the emission off.
        (0.5, [("emit", 100), ("request", 100.25), ("wait", 100.25, 0.25)]),
        # With signal = "STDIN" Telegraf's newlines are answered, and the timer does not add emissions between.
        (10, [("newline", 100), ("wait", 100, 20), ("newline", 110), ("wait", 119, 11)]),
        # A stray newline puts the timer off once; then the interval holds again.
        (10, [("newline", 100), ("wait", 120, 0), ("emit", 120), ("wait", 120, 10)]),
    ],
)
def test_schedule(interval: float, story: list[tuple[str, float] | tuple[str, float, float]]) -> None:
    """What happens at one moment after another, and how long there is to wait until the next emission."""
    schedule = Schedule(interval)
    for step, now, *wait in story:
        match step:
            case "request":
                schedule.request_soon(now)
            case "wait":
                assert [schedule.wait(now)] == wait
            case _:
                schedule.emitted(now, by_newline=step == "newline")
