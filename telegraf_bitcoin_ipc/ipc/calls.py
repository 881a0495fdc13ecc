"""Single calls on the node's threads, one at a time per thread and with a time limit; translates their failures.

A call that was sent cannot be cancelled. After a timeout its thread is not used again until the answer has come.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import capnp

from telegraf_bitcoin_ipc.errors import (
    CallFailed,
    NodeStopping,
    NodeUnavailable,
    NotAnswered,
    NotOffered,
    ThreadBusy,
)
from telegraf_bitcoin_ipc.guard import contract

THREAD_BUSY: Final = contract.THREAD_BUSY.decode()

CALL_LIMIT: Final = 10.0
"""Seconds that the node may take for one answer; validating a block can hold its lock for seconds."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate pycapnp's exceptions into this program's errors; the only place that knows them."""
    try:
        yield
    except capnp.KjException as error:
        reason, *_ = str(error).strip().splitlines() or [type(error).__name__]  # the rest may be a traceback
        match error.type:
            case "DISCONNECTED":
                raise NodeUnavailable("the node closed the connection") from error
            case "UNIMPLEMENTED":
                raise NotOffered(f"{what}: the node does not implement it") from error
            case _ if contract.STOPPING in reason:
                raise NodeStopping from error
            case _ if THREAD_BUSY in str(error):
                raise ThreadBusy(f"{what}: {reason}") from error
            case _:
                raise CallFailed(f"{what}: {reason}") from error


class ServerThread:
    """One of our threads in the node; it executes one call at a time."""

    def __init__(self, thread: Any) -> None:
        self.capability = thread
        self.retired = False  # the node is stopping: no call is begun any more
        self._lock = asyncio.Lock()
        self._pending: asyncio.Task[None] | None = None

    async def call(
        self, capability: Any, method: str, *, limit: float | None = CALL_LIMIT, what: str = "", **arguments: Any
    ) -> Any:
        """Return the results of one call. Raises NotAnswered if there are none within `limit` seconds.

        Raises NodeStopping, and makes no call, once the thread is retired.
        `what` replaces the method's name in error messages.
        """
        what = what or method
        async with self._lock:
            if self.retired:
                raise NodeStopping
            if self._pending is not None and not self._pending.done():
                raise NotAnswered(f"{what}: the node has not answered the previous call yet")
            results = self.begin(capability, method, **arguments)
            timer = limit and asyncio.get_running_loop().call_later(limit, _give_up, results, what, limit)
            try:
                with translated(what):
                    return await results
            finally:
                if timer:
                    timer.cancel()

    def begin(self, capability: Any, method: str, **arguments: Any) -> asyncio.Future[Any]:
        """Send a call and return a future of its results; cancelling the future does not cancel the call."""
        with translated(method):
            promise = getattr(capability, method)(context={"thread": self.capability}, **arguments)
        loop = asyncio.get_running_loop()
        results: asyncio.Future[Any] = loop.create_future()
        results.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._pending = loop.create_task(_deliver(promise, results))
        return results

    async def idle(self) -> None:
        """Wait until the node has answered the last call, without a time limit."""
        if self._pending is not None:
            await asyncio.wait({self._pending})


async def _deliver(promise: Any, results: asyncio.Future[Any]) -> None:
    """Wait for a call's results, without a time limit, and set them unless nobody waits any more."""
    try:
        given = await promise
    except Exception as error:
        if not results.done():
            results.set_exception(error)
    else:
        if not results.done():
            results.set_result(given)


def _give_up(results: asyncio.Future[Any], what: str, limit: float) -> None:
    if not results.done():
        results.set_exception(NotAnswered(f"{what}: no answer within {limit:g} seconds"))


async def answer(what: str, promise: Any) -> Any:
    """Return the results of a call that needs no server thread; raises CallFailed."""
    with translated(what):
        try:
            async with asyncio.timeout(CALL_LIMIT):
                return await promise
        except TimeoutError:
            raise CallFailed(f"{what}: no answer within {CALL_LIMIT:g} seconds") from None


class GaveNothing(CallFailed):
    """An Init method returned a null capability."""


async def offered(thread: ServerThread, init: Any, method: str, limit: float | None = CALL_LIMIT) -> Any | None:
    """Return the capability that an Init method makes, None if there is no such method.

    Raises CallFailed, and GaveNothing for a null capability.
    """
    try:
        made = await thread.call(init, method, limit=limit)
    except NotOffered:
        return None
    if not made._has("result"):
        raise GaveNothing(f"{method}: the node returned nothing")
    return made.result
