"""The command line: arguments and environment -> configuration -> a command -> exit status."""

import argparse
import difflib
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from telegraf_bitcoin_ipc.cli.output import PROGRAM, OutputError, complain, discard_stdout, show, writing
from telegraf_bitcoin_ipc.errors import ConfigError, EndpointUnavailable, NodeUnavailable, UnsupportedNode
from telegraf_bitcoin_ipc.ipc.working_directory import checked
from telegraf_bitcoin_ipc.telegraf.execd import LineWriter, LogHandler

if TYPE_CHECKING:
    from telegraf_bitcoin_ipc.config import Config

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2

EXIT_OK: Final = 0
EXIT_UNAVAILABLE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
EXIT_STDOUT_CLOSED: Final = 128 + signal.SIGPIPE
"""The status that a shell reports for a program ended by that signal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status, one of the table in docs/configuration.md."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # no search of all installed packages
    try:
        try:
            options = _parse(sys.argv[1:] if arguments is None else arguments)
            run: _Run = options.run
            del options.run
            return run(options) or EXIT_OK
        finally:  # also after --help, which raises SystemExit
            with writing():
                sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
        return EXIT_STDOUT_CLOSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ConfigError as error:
        return complain(error, EXIT_USAGE)
    except (NodeUnavailable, UnsupportedNode, EndpointUnavailable) as error:
        return complain(error, EXIT_UNAVAILABLE)
    except OutputError as error:
        discard_stdout()
        return complain(error, EXIT_UNAVAILABLE)


def _run(options: argparse.Namespace) -> int:
    """Run the plugin, under Telegraf."""
    if "metrics_addr" in options:
        raise ConfigError(
            "--metrics-addr: Telegraf serves the metrics, not the plugin; "
            f"`{PROGRAM} config --metrics-addr HOST:PORT SOCKET` prints a configuration for it"
        )
    config = _configure(options)
    from telegraf_bitcoin_ipc.plugin import serve

    log = LineWriter(STDERR)
    logging.basicConfig(handlers=[LogHandler(log)], level=logging.DEBUG if config.debug else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        serve(config, STDOUT)
    except Exception:
        logging.critical("unexpected error, exiting", exc_info=True)  # in Telegraf's log, with its prefixes
        return EXIT_UNAVAILABLE
    finally:
        logging.shutdown()
        log.flush()
    return EXIT_OK


def _once(options: argparse.Namespace) -> None:
    config = _configure(options)
    from telegraf_bitcoin_ipc.plugin import look

    show("\n".join(look(config)))


def _top(options: argparse.Namespace) -> None:
    from telegraf_bitcoin_ipc.config import TOP_POLL_INTERVAL

    options.debug = False  # whatever the environment says: it would log every single coin
    config = _configure(options, poll_interval=TOP_POLL_INTERVAL)
    with _from_extra("top", "rich"):
        from telegraf_bitcoin_ipc.top.loop import show as watch
        from telegraf_bitcoin_ipc.top.terminal import Terminal
    watch(config, Terminal(STDIN, STDOUT))


def _check(options: argparse.Namespace) -> int:
    config = _configure(options)
    from telegraf_bitcoin_ipc.check import report

    lines, fine = report(config)
    show("\n".join(lines))
    return EXIT_OK if fine else EXIT_UNAVAILABLE


def _metrics(_: argparse.Namespace) -> None:
    from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS
    from telegraf_bitcoin_ipc.ipc.catalogue import markdown

    show(markdown(DEFAULT_GROUPS), end="")


_Run = Callable[[argparse.Namespace], int | None]
"""Runs a command with its options, and returns the exit status; None is success."""

_Loaded = tuple[Callable[[argparse.ArgumentParser], None], _Run]
"""The function that adds a command's options, and the one that runs it."""


def _config() -> _Loaded:
    from telegraf_bitcoin_ipc.cli.configure import add_options, run

    def add_all(parser: argparse.ArgumentParser) -> None:
        _add_options(parser)
        add_options(parser)

    return add_all, run


def _guard() -> _Loaded:
    from telegraf_bitcoin_ipc.ipc.guard_command import add_options, become

    return add_options, lambda options: os.execv(sys.executable, become(options))


def _setup() -> _Loaded:
    from telegraf_bitcoin_ipc.setup.command import add_options, main

    return add_options, main


def _simulate() -> _Loaded:
    from telegraf_bitcoin_ipc.simnode.command import add_options, run

    return add_options, run


def _parity() -> _Loaded:
    with _from_extra("parity", "prometheus-client"):
        from telegraf_bitcoin_ipc.parity.command import add_options, report

    def run(options: argparse.Namespace) -> int:
        text, fine = report(options)
        show(text)
        return EXIT_OK if fine else EXIT_UNAVAILABLE

    return add_options, run


@contextmanager
def _from_extra(command: str, package: str) -> Iterator[None]:
    """Raise ConfigError, with the command that installs the extra of that name, if `package` is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package.replace("-", "_"):
            raise
        raise ConfigError(
            f"{command} needs the package {package}; in a checkout, "
            "`pipx install --force '.[top,parity]'` or `uv tool install '.[top,parity]'` adds it"
        ) from error


class _Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one sentence."""

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print --help and --version; argparse's own would ignore that stdout cannot be written to."""
        if file is sys.stdout:
            show(message, end="")
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError instead of printing the usage."""
        raise ConfigError(f"{message} (see {PROGRAM} --help)")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, and the function to call as `run`: the plugin, unless they begin with a command."""
    first = next(iter(arguments), "")
    if first in COMMANDS or first in ("-h", "--help"):
        return make_program_parser(first).parse_args(arguments)
    parser = _Parser(prog=PROGRAM, description=_DESCRIPTION, epilog=_epilog(), allow_abbrev=False)
    parser.set_defaults(run=_run)
    _add_options(parser)
    parser.add_argument("--metrics-addr", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def make_program_parser(chosen: str) -> argparse.ArgumentParser:
    """Return the parser for --help and for commands; nothing is imported for other commands than the `chosen`."""
    usage = f"{PROGRAM} [OPTIONS] SOCKET\n       {PROGRAM} COMMAND ..."
    program = _Parser(prog=PROGRAM, usage=usage, description=_DESCRIPTION, allow_abbrev=False)
    if chosen not in COMMANDS:
        from telegraf_bitcoin_ipc.config import OPTIONS

        program.epilog = _epilog()
        _add_options(program, [field for field in OPTIONS if field != "socket"])
    parsers = program.add_subparsers(title="commands", metavar="COMMAND", prog=PROGRAM, required=True)
    for name, (sentence, load) in COMMANDS.items():
        parser = parsers.add_parser(name, help=sentence, description=sentence, allow_abbrev=False)
        if name == chosen:
            add_options, run = load()
            add_options(parser)
            parser.set_defaults(run=run)
    return program


def _add_options(parser: argparse.ArgumentParser, fields: Collection[str] = (), **defaults: str) -> None:
    """Add options of Config, absent from the result unless given; `defaults` only appear in the help."""
    from telegraf_bitcoin_ipc import __version__
    from telegraf_bitcoin_ipc.config import OPTIONS

    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for field in fields or OPTIONS:
        option = OPTIONS[field]
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


def _add_top_options(parser: argparse.ArgumentParser) -> None:
    from telegraf_bitcoin_ipc.config import TOP_POLL_INTERVAL

    fields = ("socket", "poll_interval", "metrics", "no_utxo_trace", "no_guard")
    _add_options(parser, fields, poll_interval=f"{TOP_POLL_INTERVAL:g}")


COMMANDS: Final[dict[str, tuple[str, Callable[[], _Loaded]]]] = {
    "top": ("show a node on the terminal, live", lambda: (_add_top_options, _top)),
    "check": ("connect to a node and report what it is and what works", lambda: (_add_options, _check)),
    "once": ("poll a node once and print the line protocol", lambda: (_add_options, _once)),
    "config": ("print a complete Telegraf configuration that runs the plugin with these options", _config),
    "metrics": ("print the catalogue of metrics", lambda: (lambda parser: None, _metrics)),
    "guard": ("let other users watch a node through a separate socket, without RPC rights", _guard),
    "setup": ("find the node, and set up a standing guard and Telegraf for it", _setup),
    "simulate": ("run a simulated Bitcoin node on a socket", _simulate),
    "parity": (
        "compare another exporter's Prometheus page with Telegraf's page of this plugin's metrics",
        _parity,
    ),
}
"""Each command: its sentence in --help, and the function that imports what it needs."""

_DESCRIPTION: Final = (
    "Watch a Bitcoin node over its IPC socket, SOCKET, and write its metrics as line protocol, for Telegraf's "
    "inputs.execd."
)


def _epilog() -> str:
    """Return what --help ends with."""
    from telegraf_bitcoin_ipc.config import ENVIRONMENT_PREFIX

    return (
        "Each option can also be set as an environment variable, for instance "
        f"{ENVIRONMENT_PREFIX}POLL_INTERVAL=30. "
        f"The options of a command: {PROGRAM} {{{','.join(COMMANDS)}}} --help"
    )


def _configure(options: argparse.Namespace, **defaults: Any) -> "Config":
    """Return the configuration from `options`, then the environment, then `defaults`. Raises ConfigError."""
    from telegraf_bitcoin_ipc.config import from_environment, make_config

    config = make_config({**defaults, **from_environment(os.environ), **vars(options)})
    _check_socket(config.socket)
    return config


def _check_socket(path: str) -> None:
    """Reject a path that exists but is not a socket; a node that starts later may still create a missing one."""
    checked("SOCKET", path)
    try:
        mode = os.stat(path).st_mode
    except OSError:
        for command in difflib.get_close_matches(path, COMMANDS, n=1):
            raise ConfigError(
                f"there is no command {path!r}; did you mean {command!r}? (./{path} names a socket)"
            ) from None
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"SOCKET: {path} is not a socket")
