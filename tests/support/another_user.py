"""Programs as a user who can open nothing of this one's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become another user, by setpriv of util-linux",
)

MAY_READ = "-all,+dac_read_search"
"""To find this Python in a home of mode 0700. It gives no right to write, and so none to open a socket."""


def as_nobody(*command: str | Path) -> list[str]:
    """Return the command that runs another as nobody."""
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *who, f"--inh-caps={MAY_READ}", f"--ambient-caps={MAY_READ}", *map(str, command)]
