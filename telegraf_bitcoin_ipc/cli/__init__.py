"""The command line."""

from telegraf_bitcoin_ipc.cli.commands import main

__all__ = ["main"]
