"""The installed plugin, changed for a measurement: SPIN_MICROSECONDS BUSY_SECONDS and the plugin's own arguments.

The guard polls busily for SPIN_MICROSECONDS; at SIGUSR1 the plugin computes for BUSY_SECONDS and nothing else.
"""

import signal
import sys
import time

from telegraf_bitcoin_ipc import cli
from telegraf_bitcoin_ipc.ipc import guard_process


def main(spin: str, busy: str, *arguments: str) -> int:
    """Run the plugin; returns its exit status."""
    setattr(guard_process, "SPIN_MICROSECONDS", int(spin))  # noqa: B010  # a constant otherwise

    def compute(*_: object) -> None:
        end = time.monotonic() + float(busy)
        while time.monotonic() < end:
            pass

    signal.signal(signal.SIGUSR1, compute)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
