"""Helpers for the event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


async def run_until_first_done(*work: Coroutine[Any, Any, Any]) -> None:
    """Run coroutines until the first of them ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:  # in the order given: of two that ended at once the first is heard
        if task in done:
            task.result()


def threadsafe_callback(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Callable[[], None]:
    """Return a function that has the loop make the call, for threads that may outlive the loop."""

    def schedule() -> None:
        with suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
            loop.call_soon_threadsafe(call)

    return schedule
