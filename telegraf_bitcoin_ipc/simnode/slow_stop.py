"""A slow stop, like that of a node with a large cache: flush, close all connections, destroy the state."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class SlowStop:
    """The open connections, and the two halves of a stop of `seconds`; 0 is a node that stops at once.

    The node flushes for one half, then closes every connection, and destroys its state for the other half. It
    listens all the while.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.torn_down = False
        self._connections: set[asyncio.Event] = set()
        self._ended = asyncio.Event()
        self._hastened = asyncio.Semaphore(0)

    @contextmanager
    def connection(self) -> Iterator[asyncio.Event]:
        """Count a connection as open; the event is set when the node closes it."""
        closed = asyncio.Event()
        self._connections.add(closed)
        try:
            yield closed
        finally:
            self._connections.discard(closed)
            self._ended.set()

    async def half(self) -> None:
        """Wait for half of the time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds / 2):
                await self._hastened.acquire()

    def hasten(self) -> None:
        """End the present half; each call ends one."""
        self._hastened.release()

    def close_connections(self) -> None:
        """Close every connection; from now on the chain is gone."""
        for closed in self._connections:
            closed.set()
        self.torn_down = True

    async def without_connections(self) -> None:
        """Wait for the end of connections made since: the process does not end while one is open."""
        while self._connections:
            self._ended.clear()
            await self._ended.wait()
