"""Arguments -> configuration -> logging -> work -> exit status; the sub-commands."""

import argparse
import difflib
import logging
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from telegraf_bitcoin_ipc import __version__
from telegraf_bitcoin_ipc.config import (
    ENVIRONMENT_PREFIX,
    TOP_POLL_INTERVAL,
    Config,
    from_environment,
    make_config,
    option_name,
)
from telegraf_bitcoin_ipc.errors import ConfigError, NodeUnavailable, UnsupportedNode
from telegraf_bitcoin_ipc.ipc.working_directory import checked
from telegraf_bitcoin_ipc.telegraf.execd import FLUSH_SECONDS, LineWriter, LogHandler

PROGRAM: Final = "telegraf-bitcoin-ipc"
STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2

EXIT_OK: Final = 0
EXIT_UNAVAILABLE: Final = 1
EXIT_USAGE: Final = 2
EXIT_STDOUT_CLOSED: Final = 128 + signal.SIGPIPE
"""What a shell reports of a program that SIGPIPE ends, as `head` ends most of those that write to it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status: one of the README's table."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command, rest = _COMMANDS.get(arguments[0] if arguments else "", None), arguments[1:]
    try:
        try:
            return command(rest) if command else _run(arguments)
        finally:  # also where --help raises SystemExit
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for what is still buffered
        return EXIT_STDOUT_CLOSED
    except ConfigError as error:
        return _complain(error, EXIT_USAGE)
    except (NodeUnavailable, UnsupportedNode) as error:
        return _complain(error, EXIT_UNAVAILABLE)


def _complain(error: Exception, status: int) -> int:
    print(f"{PROGRAM}: {error}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError instead of printing the usage."""
        raise ConfigError(f"{message} (see {PROGRAM} --help)")


def _run(arguments: Sequence[str]) -> int:
    """Watch a node under Telegraf."""
    config = _configure(_parser(description=_DESCRIPTION, epilog=_EPILOG), arguments)
    from telegraf_bitcoin_ipc.plugin import serve

    log = LineWriter(STDERR)
    logging.basicConfig(handlers=[LogHandler(log)], level=logging.DEBUG if config.debug else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        serve(config, STDOUT)
    except Exception:
        logging.critical("a defect ends the plugin", exc_info=True)  # for Telegraf's log, with its prefixes
        return EXIT_UNAVAILABLE
    finally:
        logging.shutdown()
        log.flush(FLUSH_SECONDS)
    return EXIT_OK


def _once(arguments: Sequence[str]) -> int:
    """Print the line protocol of one poll."""
    config = _configure(_parser("once", "poll a node once and print the line protocol"), arguments)
    from telegraf_bitcoin_ipc.plugin import look

    print("\n".join(look(config)))
    return EXIT_OK


def _top(arguments: Sequence[str]) -> int:
    """Show a node on the terminal."""
    parser = _parser("top", "show a node on the terminal, live", defaults=_DEFAULTS_OF_TOP)
    parser.set_defaults(debug=False)  # it would have every single coin handed on, for a log that nobody reads
    config = _configure(parser, arguments, poll_interval=TOP_POLL_INTERVAL)
    try:
        from telegraf_bitcoin_ipc.top.loop import show
        from telegraf_bitcoin_ipc.top.terminal import Terminal
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        raise ConfigError(f"top needs the package rich: pip install '{PROGRAM}[top]'") from error
    show(config, Terminal(STDIN, STDOUT))
    return EXIT_OK


def _check(arguments: Sequence[str]) -> int:
    """Say what a node is and what it will give."""
    config = _configure(_parser("check", "connect to a node and say what it is and what works"), arguments)
    from telegraf_bitcoin_ipc.check import report

    lines, fine = report(config)
    print("\n".join(lines))
    return EXIT_OK if fine else EXIT_UNAVAILABLE


def _config(arguments: Sequence[str]) -> int:
    """Print a Telegraf configuration that runs the plugin with these options."""
    from telegraf_bitcoin_ipc.telegraf.sample_config import DEFAULT_ADDRESS, checked_address, render

    parser = _parser("config", "print a complete Telegraf configuration that runs the plugin with these options")
    parser.add_argument(
        "--metrics-addr",
        metavar="HOST:PORT",
        default=DEFAULT_ADDRESS,
        help="serve on it (default: %(default)s)",
    )
    values = vars(parser.parse_args(arguments))
    address = checked_address(values.pop("metrics_addr"))
    config = make_config(from_environment(os.environ) | values)
    checked("SOCKET", config.socket)
    print(render([_program(), *_options(config)], address, config.emit_interval), end="")
    return EXIT_OK


def _metrics(arguments: Sequence[str]) -> int:
    """Print the catalogue."""
    from telegraf_bitcoin_ipc.reference import markdown

    _Parser(prog=f"{PROGRAM} metrics", description="print the catalogue of metrics, as METRICS.md").parse_args(
        arguments
    )
    print(markdown(), end="")
    return EXIT_OK


def _simulate(arguments: Sequence[str]) -> int:
    """Run a simulated node."""
    from telegraf_bitcoin_ipc.simnode import command

    parser = _Parser(prog=f"{PROGRAM} simulate", description="run a simulated Bitcoin node on a socket")
    return command.run(parser, arguments)


def _parity(arguments: Sequence[str]) -> int:
    """Compare another exporter's metrics with the plugin's."""
    from telegraf_bitcoin_ipc.parity import command, exposition

    parser = _Parser(
        prog=f"{PROGRAM} parity",
        description="compare another exporter's Prometheus page with Telegraf's that has this plugin's metrics",
    )
    try:
        text, fine = command.report(parser, arguments)
    except exposition.EndpointUnavailable as error:
        return _complain(error, EXIT_UNAVAILABLE)
    print(text)
    return EXIT_OK if fine else EXIT_UNAVAILABLE


_COMMANDS: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "top": _top,
    "check": _check,
    "once": _once,
    "config": _config,
    "metrics": _metrics,
    "simulate": _simulate,
    "parity": _parity,
}

_DESCRIPTION: Final = (
    "Watch a Bitcoin node over its IPC socket and write its metrics as line protocol, for Telegraf's inputs.execd."
)

_EPILOG: Final = (
    f"Each option can be set as an environment variable, too: {ENVIRONMENT_PREFIX}POLL_INTERVAL=30 and so on. "
    f"Other commands: {PROGRAM} {{{','.join(_COMMANDS)}}} --help"
)


_LISTS: Final = {"metrics": "GROUP,...", "fee_targets": "BLOCKS,..."}
"""Options with several values, separated by commas."""


_DEFAULTS: Final = {name: field.default for name, field in Config.model_fields.items()}

_DEFAULTS_OF_TOP: Final = {
    name: _DEFAULTS[name] for name in ("socket", "metrics", "no_utxo_trace", "no_guard")
} | {"poll_interval": TOP_POLL_INTERVAL}


def _parser(
    command: str = "",
    description: str = "",
    epilog: str | None = None,
    defaults: Mapping[str, Any] = _DEFAULTS,
) -> argparse.ArgumentParser:
    """Return a parser of those options of Config that have `defaults`; what is not given is not in its result."""
    parser = _Parser(
        prog=f"{PROGRAM} {command}".strip(),
        description=description,
        epilog=epilog,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for name, field in Config.model_fields.items():
        if name not in defaults:
            continue
        text = (field.description or "").replace("%", "%%")
        if name == "socket":
            parser.add_argument("socket", metavar="SOCKET", nargs="?", help=text)
        elif field.annotation is bool:
            parser.add_argument(option_name(name), action="store_true", help=text)
        elif name == "tag":
            parser.add_argument(option_name(name), action="append", metavar="KEY=VALUE", help=text)
        elif name in _LISTS:
            parser.add_argument(
                option_name(name), metavar=_LISTS[name], help=f"{text} (default: {_in_words(defaults[name])})"
            )
        else:
            parser.add_argument(
                option_name(name), metavar="S", help=f"{text} (default: {_in_words(defaults[name])})"
            )
    if not command:
        parser.add_argument("--metrics-addr", dest="metrics_addr", help=argparse.SUPPRESS)
    return parser


def _in_words(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else f"{default:g}"


def _configure(parser: argparse.ArgumentParser, arguments: Sequence[str], **defaults: Any) -> Config:
    """Return the options from the environment and, above them, from the command line."""
    values: dict[str, Any] = vars(parser.parse_args(arguments))
    if "metrics_addr" in values:
        raise ConfigError(
            "--metrics-addr: Telegraf serves the metrics, not the plugin; "
            f"`{PROGRAM} config --metrics-addr HOST:PORT SOCKET` prints a configuration for it"
        )
    config = make_config(defaults | from_environment(os.environ) | values)
    _check_socket(config.socket)
    return config


def _check_socket(path: str) -> None:
    """Refuse a path that is there and is no socket; one that is not there yet may come with the node."""
    checked("SOCKET", path)
    try:
        mode = os.stat(path).st_mode
    except OSError:
        for command in difflib.get_close_matches(path, _COMMANDS, n=1):
            raise ConfigError(f"there is no command {path!r}; {command!r}? (./{path} is a socket)") from None
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"SOCKET: {path} is no socket")


def _program() -> str:
    """Return how Telegraf, whose PATH and working directory may be others, finds this program."""
    return os.path.abspath(shutil.which(sys.argv[0]) or sys.argv[0])


def _options(config: Config) -> list[str]:
    """Return the command line that makes this configuration."""
    words: list[str] = []
    for name, field in Config.model_fields.items():
        value = getattr(config, name)
        if name == "socket" or value == field.default:
            continue
        if value is True:
            words.append(option_name(name))
        elif name == "tag":
            words += [word for key, text in value.items() for word in (option_name(name), f"{key}={text}")]
        elif name in _LISTS:
            words += [option_name(name), ",".join(map(str, value)) or "none"]
        else:
            words += [option_name(name), f"{value:g}"]
    return [*words, os.path.abspath(config.socket)]
