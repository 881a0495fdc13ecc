"""When to emit: on time, when asked, and soon after a new tip."""

import math

from telegraf_bitcoin_ipc.telegraf.execd import Schedule

INTERVAL = 10.0


def emitted(*, by_newline: bool = False) -> Schedule:
    """Return a schedule that emitted at 100."""
    schedule = Schedule(INTERVAL)
    schedule.emitted(100, by_newline=by_newline)
    return schedule


def test_nothing_is_due_at_first() -> None:
    """Before there is something to say, nothing is emitted."""
    assert Schedule(INTERVAL).wait(100) == math.inf


def test_first_request() -> None:
    """The first request is met at once."""
    schedule = Schedule(INTERVAL)
    schedule.request_soon(100)
    assert schedule.wait(100) == 0


def test_interval() -> None:
    """Without newlines there is an emission every interval; one that is late is due at once."""
    schedule = emitted()
    assert [schedule.wait(now) for now in (100, 104, 110, 999)] == [10, 6, 0, 0]
    schedule.emitted(112)
    assert schedule.wait(112) == 10


def test_new_tip() -> None:
    """A new block is on the page at once."""
    schedule = emitted()
    schedule.request_soon(105)
    assert schedule.wait(105) == 0


def test_many_new_tips() -> None:
    """While the node catches up, a thousand blocks a second make no more than one emission a second."""
    schedule = emitted()
    schedule.request_soon(100.25)
    assert schedule.wait(100.25) == 0.75
    schedule.request_soon(100.5)
    assert schedule.wait(100.5) == 0.5
    schedule.emitted(101)
    schedule.request_soon(101)
    assert schedule.wait(101) == 1


def test_request_never_delays() -> None:
    """A request just before the interval is over does not put the emission off."""
    schedule = Schedule(0.5)
    schedule.emitted(100)
    schedule.request_soon(100.25)
    assert schedule.wait(100.25) == 0.25


def test_newlines_set_the_pace() -> None:
    """With signal = "STDIN" Telegraf's newlines are answered, and the timer does not add emissions between."""
    schedule = emitted(by_newline=True)
    assert schedule.wait(100) == 20
    schedule.emitted(110, by_newline=True)
    assert schedule.wait(119) == 11


def test_newlines_that_stop() -> None:
    """A stray newline puts the timer off once; then the interval holds again."""
    schedule = emitted(by_newline=True)
    assert schedule.wait(120) == 0
    schedule.emitted(120)
    assert schedule.wait(120) == 10
