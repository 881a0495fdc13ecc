"""Working directories that a program cannot use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

UNUSABLE = {"closed": "chmod 0 .", "deleted": 'rmdir "$PWD"'}
"""What a shell does to the directory that it is in, by what that is then."""

USABLE = {"behind a closed one": "chmod 0 ..", "not readable": "chmod 100 ."}
"""The same for what looks unusable and is not."""


def started_in(what: str, command: Sequence[str | Path]) -> list[str]:
    """The command that runs `command` after its working directory, an empty one, was made what is said."""
    return ["sh", "-c", f'{(UNUSABLE | USABLE)[what]} && exec "$@"', "sh", *_as_anybody(), *map(str, command)]


def _as_anybody() -> list[str]:
    """What takes from root the right to enter every directory; nothing for other users."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may enter every directory, and there is no setpriv to take that away")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", f"--ambient-caps={rights}"]
