"""What lets tests run side by side: ports that nobody else gets, and sight of every process that they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from support.processes import START_SECONDS, StartProcess, descendants, free_port, wait_until

PORTS = 50


def test_no_two_tests_get_the_same_port() -> None:
    """Ports that were given are not given again, neither to this process nor to another, while this one runs."""
    ours = {free_port() for _ in range(PORTS)}
    assert len(ours) == PORTS
    code = f"from support.processes import free_port; print(*[free_port() for _ in range({PORTS})])"
    path = [entry for entry in sys.path if entry]
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {code}"]
    theirs = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert ours.isdisjoint(map(int, theirs))


def test_an_orphan_is_seen(start_process: StartProcess) -> None:
    """A process whose parent has gone is still known as one that a test has started."""
    shell = start_process(["sh", "-c", "sleep 1000 & echo $!"])
    assert shell.wait() == 0
    orphan = int(shell.stdout)
    wait_until(lambda: descendants()[orphan].startswith("sleep"), START_SECONDS, "its program")
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: orphan not in descendants(), START_SECONDS, "its end")
