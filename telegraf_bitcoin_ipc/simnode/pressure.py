"""How long the machine has kept programs waiting for a processor: no subscriber is to blame for that."""

import os
import re
import time
from contextlib import suppress
from typing import Final

PRESSURE: Final = "/proc/pressure/cpu"
"""Linux's pressure stall information; `some ... total=` is in microseconds."""

STATISTICS: Final = "/proc/stat"
"""Linux's processor times; the eighth of `cpu` is what a virtual machine's host has taken, in ticks."""

TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds; no need to read STATISTICS, which takes long, more often."""


class CpuPressure:
    """The seconds in which some program was ready and had no processor; 0 where the kernel does not tell."""

    def __init__(self) -> None:
        """Keep the files open: they are read at every callback."""
        self._pressure, self._statistics = _opened(PRESSURE), _opened(STATISTICS)
        self._stolen, self._read_at = 0.0, float("-inf")

    def stalled(self) -> float:
        """Return the seconds since the machine's start: without a processor, and without the machine."""
        waiting = re.search(rb"some .*total=(\d+)", _head(self._pressure))
        return (int(waiting[1]) / 1e6 if waiting else 0.0) + self._taken_by_the_host()

    def _taken_by_the_host(self) -> float:
        now = time.monotonic()
        if now - self._read_at >= TICK:
            self._read_at = now
            ticks = _head(self._statistics).split(b"\n")[0].split()
            self._stolen = int(ticks[8]) * TICK if len(ticks) > 8 else 0.0
        return self._stolen


def _opened(path: str) -> int:
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return -1


def _head(descriptor: int) -> bytes:
    with suppress(OSError):
        return os.pread(descriptor, 256, 0)
    return b""
