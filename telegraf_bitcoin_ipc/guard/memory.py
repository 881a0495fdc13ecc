"""Memory that two processes share and no name leads to."""

import fcntl
import mmap
import os
import tempfile

NAME = "telegraf-bitcoin-ipc"
DIRECTORY = "/dev/shm"  # where a file is memory, on Linux
SEAL_FUTURE_WRITE = 0x10  # F_SEAL_FUTURE_WRITE, Linux 5.1
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | SEAL_FUTURE_WRITE


def unnamed() -> int:
    """Return the descriptor of an empty file in memory that no name leads to. Raises OSError.

    Not every Python has memfd_create: it depends on the C library that it was built with.
    """
    try:
        return os.memfd_create(NAME, os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        with _file() as file:
            return os.dup(file.fileno())


def readable(size: int) -> tuple[mmap.mmap, int]:
    """Return memory of that many zero bytes, and a descriptor that only lets others read it. Raises OSError.

    Whoever gets the descriptor can neither write to the memory nor change its size: it is sealed or, without
    memfd_create, opened for reading from a file that other users cannot open.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.fchmod(descriptor, 0o400)  # by its name in /proc, others cannot even open it to write
            os.ftruncate(descriptor, size)
            memory = mmap.mmap(descriptor, size)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        except OSError:
            os.close(descriptor)
            raise
        return memory, descriptor
    with _file() as file:
        os.ftruncate(file.fileno(), size)
        return mmap.mmap(file.fileno(), size), os.open(
            f"/proc/self/fd/{file.fileno()}", os.O_RDONLY | os.O_CLOEXEC
        )


def _file() -> "tempfile._TemporaryFileWrapper[bytes]":
    return tempfile.TemporaryFile(dir=DIRECTORY if os.access(DIRECTORY, os.W_OK) else None)  # type: ignore[return-value]
