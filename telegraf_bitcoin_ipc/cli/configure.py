"""The command `config`: the configuration of a node's Telegraf, or of the central Telegraf of many nodes."""

import argparse
import os
import shutil
import sys
from typing import Any

from telegraf_bitcoin_ipc.cli.output import show, warn
from telegraf_bitcoin_ipc.config import OPTIONS, Config, from_environment, make_config, to_arguments
from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.ipc.working_directory import checked
from telegraf_bitcoin_ipc.telegraf.fleet_config import render_central, render_node
from telegraf_bitcoin_ipc.telegraf.routes import FORMS, Route, parse
from telegraf_bitcoin_ipc.telegraf.sample_config import DEFAULT_ADDRESS, EXAMPLE_SOCKET, checked_address, render


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that no other command has."""
    parser.add_argument(
        "--metrics-addr",
        metavar="HOST:PORT",
        help=f"address of Telegraf's Prometheus page (default: {DEFAULT_ADDRESS}; with --output, no page)",
    )
    parser.add_argument(
        "--output",
        metavar="URL",
        action="append",
        help=f"send the metrics to a central Telegraf, {FORMS}; needs --tag node=NAME",
    )
    parser.add_argument(
        "--central",
        metavar="URL",
        action="append",
        help="print the configuration of that central Telegraf instead, without SOCKET; "
        "URL as for --output, for HTTP with the address to listen on",
    )


def run(chosen: argparse.Namespace) -> None:
    """Print the configuration; raises ConfigError with one sentence about what is wrong."""
    values = vars(chosen)
    address = values.pop("metrics_addr")
    if address is not None:
        checked_address(address)
    output, central = _route("--output", values.pop("output")), _route("--central", values.pop("central"))
    if central is None:
        _node(output, address, make_config(from_environment(os.environ) | values))
    elif output is not None:
        raise ConfigError("--central: it cannot be combined with --output; each is for a machine of its own")
    else:
        _central(central, address or DEFAULT_ADDRESS, values)


def _route(option: str, urls: list[str] | None) -> Route | None:
    if urls is None:
        return None
    if len(urls) > 1:
        raise ConfigError(f"{option}: it can be given only once")
    return parse(option, urls[0])


def _node(output: Route | None, address: str | None, config: Config) -> None:
    checked("SOCKET", config.socket)
    command = [*_program(), *to_arguments(config), os.path.abspath(config.socket)]
    if output is None:
        show(render(command, address or DEFAULT_ADDRESS, config.emit_interval, debug=config.debug), end="")
        return
    if "node" not in config.tag:
        raise ConfigError(
            "--output: it needs --tag node=NAME, which distinguishes the nodes at the central Telegraf"
        )
    _warn_if_exposed("--output", output)
    show(render_node(output, command, config.emit_interval, address=address, debug=config.debug), end="")


def _central(central: Route, address: str, values: dict[str, Any]) -> None:
    for field in values:
        if field != "emit_interval":
            raise ConfigError(f"--central: {OPTIONS[field].name} is for the nodes' machines, not for this one")
    given = {**from_environment(os.environ), **values}
    interval = {field: text for field, text in given.items() if field == "emit_interval"}
    config = make_config({"socket": EXAMPLE_SOCKET, **interval})  # only to check the interval
    _warn_if_exposed("--central", central)
    show(render_central(central, address, config.emit_interval), end="")


def _warn_if_exposed(option: str, route: Route) -> None:
    if route.is_exposed:
        warn(f"{option}: without TLS, anyone on the way can read the metrics and forge them")


def _program() -> list[str]:
    """Return the command by which Telegraf, whose PATH and working directory may differ, runs this program."""
    if os.path.basename(sys.argv[0]) == "__main__.py":
        return [sys.executable, "-m", "telegraf_bitcoin_ipc"]
    return [os.path.abspath(shutil.which(sys.argv[0]) or sys.argv[0])]
