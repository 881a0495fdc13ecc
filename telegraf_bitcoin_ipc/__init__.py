"""A Telegraf execd input that watches a Bitcoin node over its IPC socket."""

from importlib.metadata import version

__version__ = version("telegraf-bitcoin-ipc")
