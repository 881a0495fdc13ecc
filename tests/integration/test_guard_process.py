"""Starting the guard: whatever the system refuses, it is GuardFailed; and what the guard wrote is in the log."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from telegraf_bitcoin_ipc.guard import hello, memory
from telegraf_bitcoin_ipc.ipc import guard_process
from telegraf_bitcoin_ipc.ipc.guard_process import GuardFailed, guarded

READY_AND = f"import os, socket, sys; socket.socket(fileno=int(sys.argv[3])).send({hello.Answer().packet()!r}); "
"""The beginning of another guard, which gets the same arguments."""


def start() -> None:
    """Start a guard and let it end; raises GuardFailed, with the node's socket left open."""

    async def main() -> None:
        node, connection = socket.socketpair()
        with node, connection:
            try:
                async with guarded(connection, forward_utxo=False):
                    assert connection.fileno() == -1, "it is the guard's alone"
            except GuardFailed:
                assert connection.fileno() >= 0
                raise

    asyncio.run(main())


def open_descriptors() -> set[int]:
    """The descriptors of this process."""
    return {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """Leave this process no more than so many descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = sorted(set(range(len(open_descriptors()) + 1000)) - open_descriptors())
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_too_few_descriptors() -> None:
    """With any number of descriptors too few the guard has failed to start, which leaves none of them open."""
    before = open_descriptors()

    async def main(count: int) -> None:
        node, connection = socket.socketpair()
        with node, connection, free_descriptors(count):
            async with guarded(connection, forward_utxo=False):
                pass

    reasons = []
    for count in range(100):
        try:
            asyncio.run(main(count))
        except GuardFailed as error:
            reasons.append(str(error))
        else:
            break
        assert open_descriptors() == before
    assert len(reasons) >= 6, "the totals, the socket pair, stderr, and what starts the process"
    assert all("Too many open files" in reason for reason in reasons), reasons


@pytest.mark.parametrize("memfd", ["absent", "refused"])
def test_another_way_to_the_memory(monkeypatch: pytest.MonkeyPatch, memfd: str) -> None:
    """Where Python has no memfd_create, or the system none, an unnamed file serves, if there is a place for it."""
    if memfd == "absent":
        monkeypatch.delattr(os, "memfd_create")
    else:

        def refuse(*_: object) -> int:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "memfd_create", refuse)
    start()
    monkeypatch.setattr(memory, "DIRECTORY", "/no/such/directory")
    start()
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/directory")
    with pytest.raises(GuardFailed, match=r"^the guard cannot be started: "):
        start()


def test_a_guard_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that is not ready in time has failed to start."""
    monkeypatch.setattr(guard_process, "RUN", "import time; time.sleep(60)")
    monkeypatch.setattr(guard_process, "START_LIMIT", 0.2)
    with pytest.raises(GuardFailed, match=r"^the guard did not start \(it was not ready within 0\.2 seconds\)"):
        start()


def test_what_the_guard_wrote_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that cannot begin leaves its exit status and what it wrote in the reason."""
    monkeypatch.setattr(guard_process, "RUN", "import sys; sys.exit('its last words')")
    with pytest.raises(
        GuardFailed, match=r"^the guard did not start \(exit status 1\); it wrote: its last words$"
    ):
        start()


def test_what_the_guard_wrote_later_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a guard that ends badly the log has the status and the last of what it wrote, however much that is."""
    monkeypatch.setattr(
        guard_process, "RUN", READY_AND + "os.write(2, b'x' * (1 << 20)); sys.exit('its last words')"
    )
    start()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("the guard ended with status 1; it wrote: xxx")
    assert record.getMessage().endswith("its last words")
    assert len(record.getMessage()) < guard_process.STDERR_BYTES + 100


def test_a_guard_that_ends_well_is_not_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to say of a guard that has done its work."""
    start()
    assert caplog.records == []
