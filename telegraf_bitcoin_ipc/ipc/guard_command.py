"""The command `guard`: the options of the standing guard, and the command that becomes it."""

import argparse
import contextlib
import grp
import os
import stat
from typing import Final

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.ipc.guard_process import SPIN_MICROSECONDS, command
from telegraf_bitcoin_ipc.ipc.working_directory import checked

MODE: Final = 0o660
"""The owner and the group may watch."""

MOST_CLIENTS: Final = 8
"""The node has a limited number of file descriptors for clients, and each takes one."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `guard`."""
    add = parser.add_argument
    add("node_socket", metavar="NODE_SOCKET", help="path of the node's IPC socket")
    add("--listen", metavar="PATH", help="create a socket at PATH (default: one from systemd)")
    add("--mode", type=_mode, metavar="MODE", help=f"mode of that socket (default: {MODE:04o})")
    add("--group", type=_group, metavar="NAME", help="the group of that socket (default: this user's)")
    add(
        "--max-clients",
        type=_count,
        default=MOST_CLIENTS,
        metavar="N",
        help="serve at most N clients at a time (default: %(default)s)",
    )


def become(options: argparse.Namespace) -> list[str]:
    """Return the command to execute: the guard as a program of its own. Raises ConfigError."""
    _check("NODE_SOCKET", options.node_socket)
    if not options.listen:
        if "LISTEN_FDS" not in os.environ:
            raise ConfigError("guard: give --listen PATH, or a socket by systemd (LISTEN_FDS)")
        if options.mode is not None or options.group is not None:
            raise ConfigError(
                "guard: --mode and --group need --listen; SocketMode= and SocketGroup= are systemd's"
            )
    else:
        _check("--listen", options.listen)
        if os.path.realpath(options.listen) == os.path.realpath(options.node_socket):
            raise ConfigError("guard: PATH of --listen and NODE_SOCKET must differ")
    mode = MODE if options.mode is None else options.mode
    return command(
        os.path.abspath(options.node_socket),
        os.path.abspath(options.listen) if options.listen else "",
        f"{mode:o}",
        "" if options.group is None else options.group,
        options.max_clients,
        SPIN_MICROSECONDS,
        module="service",
    )


def _check(option: str, path: str) -> None:
    """Reject a path at which there is something else than a socket. Raises ConfigError."""
    checked(option, path)
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConfigError(f"guard: {option}: {path} is not a socket")


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise argparse.ArgumentTypeError(f"{text!r} is not a mode such as 0660")
    return mode


def _group(text: str) -> int:
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no group {text!r}") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of clients")
    return int(text)
