"""The command `setup`: prints what it found and the steps to take, asks, and takes them."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.setup import plan
from telegraf_bitcoin_ipc.setup.carry_out import Run, StepFailed, carry_out, forget, run
from telegraf_bitcoin_ipc.setup.machine import UNIT_DIRECTORIES, Root
from telegraf_bitcoin_ipc.setup.nodes import Node
from telegraf_bitcoin_ipc.telegraf.sample_config import DEFAULT_ADDRESS, checked_address

EXIT_OK = 0
EXIT_FAILED = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `setup`."""
    add = parser.add_argument
    add("socket", metavar="NODE_SOCKET", nargs="?", help="the node's socket; needed if several are found, or none")
    add("--yes", action="store_true", help="do not ask for confirmation")
    add("--undo", action="store_true", help="revert what an earlier setup did, and nothing else")
    add(
        "--group",
        default=plan.DEFAULT_GROUP,
        metavar="NAME",
        help="the group that may watch, which Telegraf's account joins (default: %(default)s)",
    )
    add(
        "--metrics-addr",
        default=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help="address of Telegraf's Prometheus page (default: %(default)s)",
    )


def main(options: argparse.Namespace) -> int:
    """Run `setup` on this machine; returns the exit status. Raises ConfigError."""
    os.umask(0o022)  # Telegraf and everybody may read what is written
    return set_up(options, Root(Path("/")), run, os.path.abspath(sys.argv[0]))


def set_up(options: argparse.Namespace, root: Root, execute: Run, program: str) -> int:
    """Set up the guard and Telegraf, or undo it, on the machine below `root`."""
    address = checked_address(options.metrics_addr)
    steps = plan.undo(root.read(plan.RECORD) or "[]", root.machine().files)  # also to see that it can be added to
    if not options.undo:
        if not any(root.path(f"{each}/{plan.GUARD_SOCKET_UNIT}").exists() for each in UNIT_DIRECTORIES):
            raise ConfigError(f"{plan.GUARD_SOCKET_UNIT} is not installed: it is part of the Debian package")
        node = _node(root, options.socket)
        print(f"node: {node.socket}, account {node.user}, group {node.group}, {node.unit or 'no unit known'}")
        steps, kept = plan.plan(root.machine(), node, program, options.group, address)
        for sentence in kept:
            print(sentence)
    if not steps:
        if options.undo:
            forget(root)
        print("nothing to do")
        return EXIT_OK
    return _carry_out_all(steps, options, root, execute) if _agreed(steps, options, root) else EXIT_FAILED


def _node(root: Root, socket: str | None) -> Node:
    """Return the node that is meant. Raises ConfigError if that is not clear."""
    found, without = root.nodes()
    if socket:
        path = os.path.abspath(socket)
        node = next((each for each in found if each.socket == path), None) or root.node_at(path)
        if not node:
            raise ConfigError(f"NODE_SOCKET: there is no socket at {path}, and no unit of a node names it")
        return node
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"several nodes; give the socket of one: {', '.join(each.socket for each in found)}")
    if without:
        raise ConfigError(
            f"{', '.join(without)}: the node has no IPC socket; start bitcoin-node with -ipcbind=unix"
        )
    raise ConfigError("no node found in systemd's units and the usual directories; give its socket")


def _agreed(steps: Sequence[plan.Step], options: argparse.Namespace, root: Root) -> bool:
    """Print the steps, and ask for confirmation. Raises ConfigError without a terminal, or without root."""
    print("steps:", flush=True)
    for step in steps:
        print(f"  {step.words}", flush=True)
    if not os.access(root.path("etc/systemd/system"), os.W_OK):
        raise ConfigError("this needs root: run it with sudo")
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError("stdin is not a terminal, so setup cannot ask: use --yes")
    try:
        return input("Continue? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        print()
        return False


def _carry_out_all(steps: Sequence[plan.Step], options: argparse.Namespace, root: Root, execute: Run) -> int:
    """Do the steps; setting up ends at the first that fails, undoing goes on."""
    failed = False
    for step in steps:
        try:
            carry_out(step, root, execute)
        except StepFailed as error:
            print(f"telegraf-bitcoin-ipc: setup: {error}", file=sys.stderr)
            failed = True
            if not options.undo:
                print("to revert the steps before it, run setup --undo", file=sys.stderr)
                break
    if options.undo and not failed:
        forget(root)
    elif not failed:
        print(f"done. Telegraf's page: http://{options.metrics_addr}/metrics")
        print(f"to watch it yourself: sudo telegraf-bitcoin-ipc check {plan.GUARD_SOCKET}")
    return EXIT_FAILED if failed else EXIT_OK
