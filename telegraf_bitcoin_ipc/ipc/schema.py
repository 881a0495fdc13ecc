"""Finds and loads the project's Cap'n Proto schema.

The Init interface has the same id in every dialect, but different methods at the same ordinals. So each dialect's
Init is loaded by its own parser, together with the interfaces that it leads to.
"""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import capnp

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.ipc.working_directory import prepare_for_capnp

HANDLER = "handler"
"""The interface that ends a subscription, which Init does not make."""

INTERFACES = {
    "tracing": ("chain", "node", "mining", "tracing", HANDLER),
    "chain": ("chain", "node", "mining", HANDLER),
    "stock-chain": ("mining", "rpc", "chain", HANDLER),
    "stock": ("mining", "rpc"),
    "stock-31": ("mining",),
    "stock-30": ("mining",),
}
"""The schema files, beside Init, of each dialect."""

_PACKAGE = Path(__file__).resolve().parent.parent


def directory() -> Path:
    """Return the schema's directory: inside the installed package, or beside it in a checkout."""
    for candidate in (_PACKAGE / "schema", _PACKAGE.parent / "schema"):
        if (candidate / "common.capnp").is_file():
            return candidate
    raise ConfigError("the schema files are missing from this installation")


@cache
def load(dialect: str) -> Any:
    """Return the dialect's schema: a pycapnp module for each file (`init`, `proxy`, `chain`, ...)."""
    root = directory()
    prepare_for_capnp()
    parser = capnp.SchemaParser()

    def module(path: str) -> Any:
        return parser.load(str(root / path), imports=[str(root)])

    modules = {name: module(f"{name}.capnp") for name in ("common", *INTERFACES[dialect])}
    init, proxy = module(f"init/{dialect}.capnp"), module("mp/proxy.capnp")
    return SimpleNamespace(init=init, proxy=proxy, **modules)
