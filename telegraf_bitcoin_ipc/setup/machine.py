"""Looks at a machine, or at a directory that stands for its root."""

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.setup import nodes, plan
from telegraf_bitcoin_ipc.setup.nodes import Node, Service

UNIT_DIRECTORIES: Final = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""Where systemd reads unit files, the first one first."""

DATA_DIRECTORIES: Final = (
    "var/lib/bitcoind",
    "var/lib/bitcoin",
    "run/bitcoind",
    "home/*/.bitcoin",
    "root/.bitcoin",
)
"""Where nodes usually have their socket, or the directory of their chain."""

PERSON: Final = re.compile(r"[^:]+:[^:]*:\d+:\d+:[^:]*:[^:]*:[^:]*")
"""A line of /etc/passwd: name, password, user id, group id, comment, home, shell. NIS's `+` lines have no ids."""

GROUP: Final = re.compile(r"[^:]+:[^:]*:\d+:[^:]*")
"""A line of /etc/group: name, password, group id, members."""

WRITTEN: Final = (plan.DROP_IN, plan.GROUP_DROP_IN, plan.TELEGRAF_CONFIG)


class Accounts(NamedTuple):
    """The accounts of the machine: user and group names by number, each user's home and primary group."""

    users: Mapping[int, str]
    groups: Mapping[int, str]
    homes: Mapping[str, str]
    primary: Mapping[str, str]


@dataclass
class Root:
    """A machine's files below a directory; what cannot be read is not there."""

    directory: Path

    def path(self, name: str) -> Path:
        """Return where a file of the machine is."""
        return self.directory / name.lstrip("/")

    def read(self, name: str) -> str:
        """Return a file's text, empty if it cannot be read."""
        try:
            return self.path(name).read_text(errors="replace")
        except OSError:
            return ""

    def accounts(self) -> Accounts:
        """Return the accounts in /etc/passwd and /etc/group."""
        people = [line.split(":") for line in self.read("etc/passwd").splitlines() if PERSON.fullmatch(line)]
        groups = {int(each[2]): each[0] for each in self._groups()}
        return Accounts(
            {int(each[2]): each[0] for each in people},
            groups,
            {each[0]: each[5] for each in people},
            {each[0]: groups.get(int(each[3]), each[3]) for each in people},
        )

    def _groups(self) -> list[list[str]]:
        return [line.split(":") for line in self.read("etc/group").splitlines() if GROUP.fullmatch(line)]

    def members(self) -> dict[str, frozenset[str]]:
        """Return the accounts in each group, its primary ones included."""
        primary = self.accounts().primary
        return {
            name: frozenset(filter(None, listed.split(","))) | {user for user in primary if primary[user] == name}
            for name, _, _, listed in self._groups()
        }

    def services(self) -> Iterator[Service]:
        """Yield every installed service."""
        for name, path in self._units("*.service").items():
            files = [path, *(drop_in for _, drop_in in sorted(self._units(f"{name}.d/*.conf").items()))]
            yield nodes.service(name, [file.read_text(errors="replace") for file in files if file.is_file()])

    def _units(self, pattern: str) -> dict[str, Path]:
        """Return systemd's files by name, as it finds them: the first directory counts."""
        found: dict[str, Path] = {}
        for directory in UNIT_DIRECTORIES:
            for path in sorted(self.path(directory).glob(pattern)):
                found.setdefault(path.name, path)
        return found

    def nodes(self) -> tuple[list[Node], list[str]]:
        """Return the nodes with an IPC socket, and the units of the nodes that have none configured."""
        accounts = self.accounts()
        found: dict[str, Node] = {}
        without = []
        for service in self.services():
            if nodes.is_node(service.command):
                user = service.user or "root"
                path = nodes.socket_of(service.command, accounts.homes.get(user, "/root"), self.read)
                if path is None:
                    without.append(service.name)
                else:
                    found[path] = Node(path, user, service.group or accounts.primary.get(user, user), service.name)
        for directory in DATA_DIRECTORIES:
            for chain in nodes.DIRECTORIES.values():
                for place in self.directory.glob(f"{directory}/{chain}"):
                    name = "/" + (place / nodes.SOCKET).relative_to(self.directory).as_posix()
                    if name not in found and (node := self.node_at(name)):
                        found[name] = node
        return list(found.values()), [
            unit for unit in without if unit not in {node.unit for node in found.values()}
        ]

    def node_at(self, socket: str) -> Node | None:
        """Return the node whose socket is there, by the account that owns it; None if there is none."""
        try:
            status = self.path(socket).stat()
        except OSError:
            return None
        if not stat.S_ISSOCK(status.st_mode):
            return None
        accounts = self.accounts()
        user = accounts.users.get(status.st_uid, str(status.st_uid))
        group = accounts.groups.get(status.st_gid, str(status.st_gid))
        named = [each.name for each in self.services() if socket in each.command and each.name != plan.GUARD]
        return Node(socket, user, group, named[0] if named else "")

    def machine(self) -> plan.Machine:
        """Return what a plan has to know."""
        telegraf = [each.user for each in self.services() if each.name == plan.TELEGRAF]
        others = [self.path("etc/telegraf/telegraf.conf"), *self.path("etc/telegraf/telegraf.d").glob("*.conf")]
        texts = {"/" + each.relative_to(self.directory).as_posix(): each for each in others}
        wanted = self.path(f"etc/systemd/system/sockets.target.wants/{plan.GUARD_SOCKET_UNIT}")
        return plan.Machine(
            telegraf[0] if telegraf else "",
            self.members(),
            {name: self.read(name) for name in WRITTEN if self.path(name).exists()},
            {name: self.read(name) for name in sorted(texts) if name != plan.TELEGRAF_CONFIG},
            wanted.is_symlink(),
        )
