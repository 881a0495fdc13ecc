"""Waiting in the event loop."""

from __future__ import annotations

import asyncio

import pytest

from telegraf_bitcoin_ipc.aio import wait_at_most


def test_a_cancellation_that_comes_with_the_end_of_the_work_is_not_lost() -> None:
    """A task that is cancelled in the turn in which what it waits for happens ends, too."""

    async def cancel_as_it_happens() -> None:
        happened = asyncio.Event()
        waiting = asyncio.create_task(wait_at_most(happened.wait(), 60))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        happened.set()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancel_as_it_happens())


def test_waiting_ends_without_an_error_when_the_time_is_over() -> None:
    """What does not happen in time is given up quietly."""
    asyncio.run(wait_at_most(asyncio.Event().wait(), 0))
