"""The options of commands that watch a node; imported only by these, because pydantic takes long to import."""

import argparse
from collections.abc import Collection
from typing import Any

from telegraf_bitcoin_ipc import __version__
from telegraf_bitcoin_ipc.cli.output import PROGRAM
from telegraf_bitcoin_ipc.config import OPTIONS


def add_options(
    parser: argparse.ArgumentParser, fields: Collection[str] = OPTIONS.keys(), **defaults: str
) -> None:
    """Add options of Config, absent from the result unless given; `defaults` only appear in the help."""
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for field, option in OPTIONS.items():
        if field not in fields:
            continue
        text = option.help.replace("%", "%%")
        if default := defaults.get(field, option.default):
            text += f" (default: {default})"
        details: dict[str, Any] = {"action": "store_true"}
        if option.metavar:
            details = {"action": "append" if option.repeatable else "store", "metavar": option.metavar}
        if field == "socket":
            parser.add_argument(field, nargs="?", default=argparse.SUPPRESS, help=text, **details)
        else:
            parser.add_argument(option.name, default=argparse.SUPPRESS, help=text, **details)
