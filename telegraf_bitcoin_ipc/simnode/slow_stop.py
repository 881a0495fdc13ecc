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
        self._seconds = seconds
        self._connections: set[asyncio.Event] = set()
        self._no_connection = asyncio.Event()
        self._hastened = asyncio.Semaphore(0)
        self.torn_down = False

    @contextmanager
    def connection(self) -> Iterator[asyncio.Event]:
        """Count a connection as open; the event is set when the node closes it."""
        closed = asyncio.Event()
        self._connections.add(closed)
        try:
            yield closed
        finally:
            self._connections.discard(closed)
            if not self._connections:
                self._no_connection.set()

    async def flush(self) -> None:
        """Wait for the first half, in which every connection stays open."""
        if self._seconds:
            await self._half()

    def close_connections(self) -> bool:
        """Begin the second half, if there is one, and return whether there is."""
        if not self._seconds:
            return False
        for closed in self._connections:
            closed.set()
        self.torn_down = True
        return True

    async def destroy_state(self) -> None:
        """Wait for the second half, and for connections made in it: the process does not end while one is open."""
        await self._half()
        if self._connections:
            self._no_connection.clear()
            await self._no_connection.wait()

    async def _half(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds / 2):
                await self._hastened.acquire()

    def hasten(self) -> None:
        """End the present half; each call ends one."""
        self._hastened.release()
