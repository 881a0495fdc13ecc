"""What is made for the Debian package, and what has to agree with it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path

import bundled
import manual
import pytest
from packaging.requirements import Requirement

from telegraf_bitcoin_ipc.cli import commands
from telegraf_bitcoin_ipc.config import OPTIONS

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_package_has_what_is_needed() -> None:
    """Each library that pyproject.toml asks for, the extras' too, and what it needs, is pinned to its bytes."""
    text = (ROOT / "debian/requirements.txt").read_text()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))
    for word in chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        requirement = Requirement(word)
        assert pinned[bundled.canonical(requirement.name)] in requirement.specifier
    assert len(pinned) == text.count("==")
    assert all("--hash=sha256:" in each for each in text.split("==")[1:])
    found = {each.partition("==")[0] for each in bundled.needed("telegraf-bitcoin-ipc")}
    assert {"pycapnp", "pydantic-core", "rich", "pygments", "prometheus-client"} <= found
    assert found <= pinned.keys()


def test_the_manual_page_has_everything() -> None:
    """Every command, option, environment variable and exit status, made from the parsers."""
    page = manual.page("2026-01-01").replace("\\-", "-")
    for name in commands.COMMANDS:
        assert f".SS \\fB{name}\\fR" in page
    for option in OPTIONS.values():
        assert option.name in page
        assert option.variable in page
    for status in (0, 1, 2, 130, 134, 141):
        assert f".TP\n\\fB{status}\\fR" in page
    assert page.isascii()


def test_the_manual_page_is_the_same_each_time() -> None:
    """Nothing of the machine that builds it is in it."""
    pages = {
        subprocess.run(
            [sys.executable, ROOT / "scripts" / "manual.py"],
            env={"SOURCE_DATE_EPOCH": "86400", "PYTHONPATH": ":".join(sys.path), "COLUMNS": columns},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for columns in ("20", "200")
    }
    assert len(pages) == 1
    assert '"1970-01-02"' in pages.pop()


@pytest.mark.parametrize("name", ["pydantic", "python-bitcoinlib", "pycapnp", "markdown-it-py"])
def test_licences_are_known(name: str) -> None:
    """Whichever of its metadata's fields a library uses."""
    assert bundled.licence(distribution(name)) != "UNKNOWN"
