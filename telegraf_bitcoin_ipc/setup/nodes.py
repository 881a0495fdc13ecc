"""What systemd's unit files say of a service, and where the IPC socket of a node is.

The options and their meaning are those of Bitcoin Core (`ipc/process.cpp`, `common/args.cpp`).
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

PROGRAMS: Final = {"bitcoin", "bitcoind", "bitcoin-node"}

DIRECTORIES: Final = {
    "main": "",
    "test": "testnet3",
    "testnet4": "testnet4",
    "signet": "signet",
    "regtest": "regtest",
}
"""Each chain's directory within the data directory."""

SWITCHES: Final = {"testnet": "test", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
"""Options that choose a chain."""

SOCKET: Final = "node.sock"
"""The name of the socket that `-ipcbind=unix` gives it."""

Read = Callable[[str], str]
"""Returns a file's text, empty if it cannot be read."""


class Node(NamedTuple):
    """A node's socket, the account that owns it, and the unit that runs the node (empty if none is known)."""

    socket: str
    user: str
    group: str
    unit: str


def is_node(command: Sequence[str]) -> bool:
    """Return whether a command starts Bitcoin Core."""
    return bool(command) and posixpath.basename(command[0]) in PROGRAMS


def socket_of(command: Sequence[str], home: str, read: Read) -> str | None:
    """Return the path of the socket on which a node listens, or None if it has none configured."""
    options = _from_command(command)
    data = options.get("datadir") or posixpath.join(home, ".bitcoin")
    common, sections = _from_file(read(posixpath.join(data, options.get("conf", "bitcoin.conf"))))
    chain = _chain({**common, **options})
    options = {**common, **sections.get(chain, {}), **options}
    data = posixpath.join(options.get("datadir") or data, DIRECTORIES.get(chain, ""))
    kind, _, path = options.get("ipcbind", "").partition(":")
    return posixpath.normpath(posixpath.join(data, path or SOCKET)) if kind == "unix" else None


def _from_command(command: Sequence[str]) -> dict[str, str]:
    pairs = [word.lstrip("-").partition("=") for word in command[1:] if word.startswith("-")]
    return {name: value if equals else "1" for name, equals, value in pairs}


def _from_file(text: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the options of a bitcoin.conf that hold for every chain, and those of each chain's section."""
    common: dict[str, str] = {}
    sections: dict[str, dict[str, str]] = {}
    options = common
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            options = sections.setdefault(line[1:-1], {})
        elif "=" in line:
            name, _, value = line.partition("=")
            options.setdefault(name.strip(), value.strip())
    return common, sections


def _chain(options: dict[str, str]) -> str:
    if "chain" in options:
        return options["chain"]
    return next((chain for name, chain in SWITCHES.items() if options.get(name, "0") != "0"), "main")


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
    """Return a word quoted for ExecStart=, so that systemd expands nothing in it."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if re.search(r"[\s;'\"\\]", text) else text
