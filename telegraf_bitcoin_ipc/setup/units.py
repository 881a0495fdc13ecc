"""Reads systemd's unit files: what a service runs, and as whom."""

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

PREFIXES = "@-:+!"
"""What may stand before the program in ExecStart=."""


class Service(NamedTuple):
    """A service: its unit's name, the words of its command, and its account (empty if the unit names none)."""

    name: str
    command: tuple[str, ...]
    user: str
    group: str


def service(name: str, texts: Iterable[str]) -> Service:
    """Return the service that a unit file and its drop-ins describe, in the order in which systemd reads them."""
    values: dict[str, str] = {}
    for text in texts:
        section = ""
        for line in re.sub(r"\\\n\s*", " ", text).splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and not line.startswith(("#", ";")):
                key, _, value = line.partition("=")
                values[key.strip()] = value.strip()
    return Service(name, _words(values.get("ExecStart", "")), values.get("User", ""), values.get("Group", ""))


def _words(command: str) -> tuple[str, ...]:
    try:
        words = shlex.split(command.lstrip(PREFIXES))
    except ValueError:  # an open quotation mark
        return ()
    return tuple(word.replace("%%", "%").replace("$$", "$") for word in words)


def quoted(word: str) -> str:
    """Return a word as it has to stand in ExecStart=, so that systemd replaces nothing in it."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if re.search(r"[\s;'\"\\]", text) else text
