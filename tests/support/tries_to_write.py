"""Tries in every way to write to the memory that a standing guard gives to its clients: prints how each ended."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

from support.standing import Client

from telegraf_bitcoin_ipc.guard.contract import SHARED_BYTES


def ways(descriptor: int) -> dict[str, Callable[[], object]]:
    """Return what might change the memory behind a descriptor."""
    name = f"/proc/self/fd/{descriptor}"

    def reopen() -> None:
        again = os.open(name, os.O_RDWR)
        os.pwrite(again, b"x", 0)

    def protect() -> None:
        memory = mmap.mmap(descriptor, SHARED_BYTES, prot=mmap.PROT_READ)
        memory[0] = 1

    return {
        "map": lambda: mmap.mmap(descriptor, SHARED_BYTES, prot=mmap.PROT_READ | mmap.PROT_WRITE),
        "write": lambda: os.pwrite(descriptor, b"x", 0),
        "write to a read-only map": protect,
        "reopen": reopen,
        "truncate by name": lambda: os.truncate(name, 0),
        "shrink": lambda: os.ftruncate(descriptor, 0),
        "grow": lambda: os.ftruncate(descriptor, 2 * SHARED_BYTES),
        "allocate": lambda: os.posix_fallocate(descriptor, 0, 2 * SHARED_BYTES),
        "seal": lambda: fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
    }


def main(path: str) -> None:
    """Open a session, and try."""
    with Client(Path(path)) as client:
        client.begin()
        assert client.descriptor is not None
        for name, way in ways(client.descriptor).items():
            try:
                way()
                print(name, "worked")
            except OSError as error:
                print(name, errno.errorcode[error.errno or 0])
            except TypeError:
                print(name, "TypeError")
        print(sum(client.totals().values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
