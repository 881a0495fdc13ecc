"""The options of commands that watch a node: on a parser, and as a configuration.

Imported only by these commands, because pydantic takes a good part of their start.
"""

import argparse
import os
from collections.abc import Collection, Mapping
from typing import Any

from telegraf_bitcoin_ipc import __version__
from telegraf_bitcoin_ipc.cli.output import PROGRAM
from telegraf_bitcoin_ipc.config import OPTIONS, Config, from_environment, make_config


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


def configure(values: Mapping[str, Any], **defaults: Any) -> Config:
    """Return the configuration from `values`, then the environment, then `defaults`. Raises ConfigError."""
    return make_config({**defaults, **from_environment(os.environ), **values})
