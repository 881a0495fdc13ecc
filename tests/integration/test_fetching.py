"""The scripts that fetch programs: who lacks what they need reads what to install."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

ALWAYS_THERE = ("sh", "dirname", "mkdir", "mktemp", "rm", "sed", "head", "awk", "readlink")


@pytest.mark.parametrize(
    ("script", "there", "sentence"),
    [
        ("get-kafka.sh", {}, "there is no 'java' on the PATH. Install Java 17 or newer"),
        ("get-kafka.sh", {"java": 'openjdk version "11.0.2"'}, "needs Java 17 or newer, and this one is 11.0.2"),
        ("get-kafka.sh", {"java": 'openjdk version "21"'}, "there is no 'mvn' on the PATH. Install Maven 3"),
        ("get-victoriametrics.sh", {}, "there is no 'go' on the PATH. Install Go 1.26 or newer"),
        ("get-victoriametrics.sh", {"go": "go1.25.1"}, "this Go is 1.25.1. Install Go 1.26 or newer"),
    ],
)
def test_it_says_what_is_missing(script: str, there: dict[str, str], sentence: str, tmp_path: Path) -> None:
    """Without Java, Maven or Go, or with one that is too old, the script ends with one sentence about it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ALWAYS_THERE:
        (programs / name).symlink_to(shutil.which(name) or "")
    for name, version in there.items():
        (programs / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(["sh", SCRIPTS / script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
