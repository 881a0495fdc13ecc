"""What to do on a machine: the steps, from what was found there. Undoing is a plan, too."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.setup.nodes import Node, quoted
from telegraf_bitcoin_ipc.telegraf.sample_config import render

GUARD: Final = "bitcoin-ipc-guard.service"
GUARD_SOCKET_UNIT: Final = "bitcoin-ipc-guard.socket"
GUARD_SOCKET: Final = "/run/bitcoin-ipc-guard.sock"
TELEGRAF: Final = "telegraf.service"

DROP_IN: Final = "/etc/systemd/system/bitcoin-ipc-guard.service.d/node.conf"
GROUP_DROP_IN: Final = "/etc/systemd/system/bitcoin-ipc-guard.socket.d/group.conf"
TELEGRAF_CONFIG: Final = "/etc/telegraf/telegraf.d/bitcoin.conf"
RECORD: Final = "/var/lib/telegraf-bitcoin-ipc/setup.json"

DEFAULT_GROUP: Final = "telegraf"
"""The group of the socket in the unit file."""


class Machine(NamedTuple):
    """What was found: `files` are the texts at the paths above, `others` the rest of Telegraf's configuration.

    `members` are the accounts in each group; `account` is Telegraf's, empty if there is none.
    """

    account: str
    members: Mapping[str, frozenset[str]]
    files: Mapping[str, str]
    others: Mapping[str, str]
    enabled: bool


class Write(NamedTuple):
    """Write a file that does not exist; its directory is created if it has to be."""

    path: str
    text: str

    @property
    def words(self) -> str:
        """What it does, as a line for the person who is asked."""
        return f"write {self.path}"

    @property
    def record(self) -> tuple[str, ...]:
        """What to remember, so that it can be undone."""
        return "write", self.path, digest(self.text)


class Remove(NamedTuple):
    """Remove a file; or, since it was changed, give it a name under which nothing reads it."""

    path: str
    changed: bool

    @property
    def record(self) -> tuple[str, ...]:
        """Nothing: it is not undone."""
        return ()

    @property
    def words(self) -> str:
        """What it does, as a line for the person who is asked."""
        return (
            f"rename {self.path}, which was changed, to {self.path}.saved"
            if self.changed
            else f"remove {self.path}"
        )


class Order(NamedTuple):
    """Have the system do something, by its commands."""

    words: str
    commands: tuple[tuple[str, ...], ...]
    record: tuple[str, ...] = ()


Step = Write | Remove | Order

READ_UNITS: Final = Order("have systemd read its unit files", (("systemctl", "daemon-reload"),))


def join(account: str, group: str) -> Order:
    """Put an account into a group."""
    command = ("usermod", "--append", "--groups", group, account)
    return Order(f"put the account {account} into the group {group}", (command,), ("join", account, group))


def leave(account: str, group: str) -> Order:
    """Take an account out of a group."""
    command = ("gpasswd", "--delete", account, group)
    return Order(f"take the account {account} out of the group {group}", (command,))


def enable(unit: str) -> Order:
    """Enable and start a unit."""
    command = ("systemctl", "enable", "--now", unit)
    return Order(f"enable and start {unit}", (command,), ("enable", unit, GUARD))


def disable(unit: str, service: str) -> Order:
    """Disable and stop a unit, and the service that it started."""
    commands = (("systemctl", "disable", "--now", unit), ("systemctl", "stop", service))
    return Order(f"disable and stop {unit} and {service}", commands)


def reload(unit: str, *, restart: bool) -> Order:
    """Have a running service read its configuration again; `restart` where that is not enough."""
    words, command = ("restart", "try-restart") if restart else ("reload", "try-reload-or-restart")
    return Order(f"{words} {unit}, if it runs", (("systemctl", command, unit),))


def drop_in(node: Node, program: str) -> str:
    """Return the drop-in of the guard's unit: the one place that names the node's socket and its account."""
    lines = ["# Written by `telegraf-bitcoin-ipc setup`: the node's socket, and the account that owns it."]
    if node.unit:
        lines += ["[Unit]", "# What starts after the node stops before it.", f"After={node.unit}", ""]
    lines += ["[Service]", f"User={node.user}", f"Group={node.group}", "ExecStart="]
    lines += [f"ExecStart={quoted(program)} guard {quoted(node.socket)}"]
    if node.socket.startswith(("/home/", "/root/", "/run/user/")):
        lines += ["ProtectHome=read-only"]
    if node.socket.startswith(("/tmp/", "/var/tmp/")):
        lines += ["PrivateTmp=no", "InaccessiblePaths="]
    return "\n".join([*lines, ""])


def plan(machine: Machine, node: Node, program: str, group: str, address: str) -> tuple[list[Step], list[str]]:
    """Return the steps to be done, and a sentence for all that stays. Raises ConfigError if they cannot be."""
    if not machine.account:
        raise ConfigError(f"there is no {TELEGRAF} with an account of its own: install Telegraf first")
    if group not in machine.members:
        raise ConfigError(f"there is no group {group!r}")
    steps: list[Step] = []
    kept: list[str] = []
    changed = GUARD if _write(machine, DROP_IN, drop_in(node, program), steps, kept) else ""
    text = f"[Socket]\nSocketGroup={group}\n"
    if group != DEFAULT_GROUP and _write(machine, GROUP_DROP_IN, text, steps, kept):
        changed = GUARD_SOCKET_UNIT  # takes the guard with it
    if changed:
        steps.append(READ_UNITS)
    joins = machine.account not in machine.members[group]
    if joins:
        steps.append(join(machine.account, group))
    if not machine.enabled:
        steps.append(enable(GUARD_SOCKET_UNIT))
    elif changed:
        steps.append(reload(changed, restart=True))
    configured = _configure(machine, [program, GUARD_SOCKET], address, steps, kept)
    if configured or joins:
        steps.append(reload(TELEGRAF, restart=joins))
    return steps, kept


def _write(machine: Machine, path: str, text: str, steps: list[Step], kept: list[str]) -> bool:
    """Add the writing of a file, unless it exists; returns whether it was added."""
    if path not in machine.files:
        steps.append(Write(path, text))
        return True
    if machine.files[path] != text:
        kept.append(f"{path} exists, and stays as it is")
    return False


def _configure(machine: Machine, command: Sequence[str], address: str, steps: list[Step], kept: list[str]) -> bool:
    """Add the plugin to Telegraf's configuration, unless it is there; returns whether it was added."""
    if TELEGRAF_CONFIG in machine.files:
        _write(machine, TELEGRAF_CONFIG, render(command, address), steps, kept)
        return False
    port = address.rpartition(":")[2]
    for path, text in machine.others.items():
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        if any("telegraf-bitcoin-ipc" in line for line in lines):
            kept.append(f"{path} already runs the plugin, and stays as it is")
            return False
        if any(f':{port}"' in line for line in lines):
            raise ConfigError(f"{path} already uses the port {port}: give another --metrics-addr")
    steps.append(Write(TELEGRAF_CONFIG, render(command, address)))
    return True


def undo(text: str, files: Mapping[str, str]) -> list[Step]:
    """Return the steps that undo the record, Telegraf's first. Raises ConfigError if it cannot be read."""
    try:
        done = [(str(kind), str(first), str(second)) for kind, first, second in json.loads(text)]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{RECORD} cannot be read: it is not what setup wrote") from error
    steps: list[Step] = []
    for kind, first, second in reversed(done):
        match kind:
            case "write" if first in files:
                steps.append(Remove(first, digest(files[first]) != second))
                steps.append(reload(TELEGRAF, restart=False) if first == TELEGRAF_CONFIG else READ_UNITS)
            case "join":
                steps.append(leave(first, second))
            case "enable":
                steps.append(disable(first, second))
    return steps


def digest(text: str) -> str:
    """Return the checksum by which a file is known to be unchanged."""
    return hashlib.sha256(text.encode()).hexdigest()
