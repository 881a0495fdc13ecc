"""How long the machine has kept programs waiting for a processor: no subscriber is to blame for that."""

import os
import re
from contextlib import suppress
from typing import Final

PRESSURE: Final = "/proc/pressure/cpu"
"""Linux's pressure stall information; `some ... total=` is in microseconds."""


class CpuPressure:
    """The seconds in which some program was ready and had no processor; 0 where the kernel does not tell."""

    def __init__(self) -> None:
        """Keep the file open: it is read at every callback."""
        self._file = -1
        with suppress(OSError):
            self._file = os.open(PRESSURE, os.O_RDONLY | os.O_CLOEXEC)

    def stalled(self) -> float:
        """Return the seconds since the machine's start."""
        if self._file < 0:
            return 0.0
        with suppress(OSError):
            if total := re.search(rb"some .*total=(\d+)", os.pread(self._file, 256, 0)):
                return int(total[1]) / 1e6
        return 0.0
