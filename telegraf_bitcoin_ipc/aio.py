"""Helpers for the event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any


async def run_until_first_done(*work: Coroutine[Any, Any, Any]) -> None:
    """Run coroutines until the first is done, cancel the others, and raise its exception, if any."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:  # in order: if two are done at once the first one's exception is raised
        if task in done:
            task.result()


async def wait_at_most(work: Awaitable[Any], seconds: float | None) -> None:
    """Wait until some work is done, for at most `seconds`; None is no limit.

    Unlike Python 3.11's `asyncio.wait_for` it does not lose a cancellation that comes just as the work is done.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


def threadsafe_callback(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Callable[[], None]:
    """Return a function that schedules `call` on the loop, for threads that may outlive the loop."""

    def schedule() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(call)

    return schedule
