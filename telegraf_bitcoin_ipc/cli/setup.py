"""The command `setup`, of which only what is needed is imported."""

import argparse
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `setup`."""
    from telegraf_bitcoin_ipc.setup import command

    command.add_options(parser)


def run(values: dict[str, Any]) -> int:
    """Run `setup`; returns the exit status."""
    from telegraf_bitcoin_ipc.setup import command

    return command.main(argparse.Namespace(**values))
