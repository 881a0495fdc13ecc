"""Telegraf configurations as users get them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.nodes import PROGRAM


def configuration(socket: Path, address: str, *options: str) -> str:
    """What `config` prints."""
    command = [str(PROGRAM), "config", "--metrics-addr", address, *options, str(socket)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
