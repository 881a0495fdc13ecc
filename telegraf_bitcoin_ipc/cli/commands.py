"""The command line: arguments and environment -> configuration -> a command -> exit status."""

import argparse
import difflib
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from telegraf_bitcoin_ipc.cli import setup
from telegraf_bitcoin_ipc.cli.output import PROGRAM, OutputError, complain, discard_stdout, show, writing
from telegraf_bitcoin_ipc.errors import ConfigError, NodeUnavailable, UnsupportedNode
from telegraf_bitcoin_ipc.ipc.working_directory import checked
from telegraf_bitcoin_ipc.telegraf.execd import FLUSH_SECONDS, LineWriter, LogHandler

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
            options = vars(_parse(sys.argv[1:] if arguments is None else arguments))
            status: int = options.pop("run")(options)
            return status
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
    except (NodeUnavailable, UnsupportedNode) as error:
        return complain(error, EXIT_UNAVAILABLE)
    except OutputError as error:
        discard_stdout()
        return complain(error, EXIT_UNAVAILABLE)


def _run(values: Mapping[str, Any]) -> int:
    """Run the plugin, under Telegraf."""
    if "metrics_addr" in values:
        raise ConfigError(
            "--metrics-addr: Telegraf serves the metrics, not the plugin; "
            f"`{PROGRAM} config --metrics-addr HOST:PORT SOCKET` prints a configuration for it"
        )
    config = _configure(values)
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
        log.flush(FLUSH_SECONDS)
    return EXIT_OK


def _once(values: Mapping[str, Any]) -> int:
    config = _configure(values)
    from telegraf_bitcoin_ipc.plugin import look

    show("\n".join(look(config)))
    return EXIT_OK


def _top(values: Mapping[str, Any]) -> int:
    from telegraf_bitcoin_ipc.config import TOP_POLL_INTERVAL

    # Override debug from the environment: it would log every single coin.
    config = _configure({"debug": False, **values}, poll_interval=TOP_POLL_INTERVAL)
    with _from_extra("top", "rich"):
        from telegraf_bitcoin_ipc.top.loop import show as watch
        from telegraf_bitcoin_ipc.top.terminal import Terminal
    watch(config, Terminal(STDIN, STDOUT))
    return EXIT_OK


def _check(values: Mapping[str, Any]) -> int:
    config = _configure(values)
    from telegraf_bitcoin_ipc.check import report

    lines, fine = report(config)
    show("\n".join(lines))
    return EXIT_OK if fine else EXIT_UNAVAILABLE


def _config(values: dict[str, Any]) -> int:
    from telegraf_bitcoin_ipc.cli.configure import run

    run(values)
    return EXIT_OK


def _metrics(_: Mapping[str, Any]) -> int:
    from telegraf_bitcoin_ipc.config import DEFAULT_GROUPS
    from telegraf_bitcoin_ipc.ipc.catalogue import markdown

    show(markdown(DEFAULT_GROUPS), end="")
    return EXIT_OK


def _simulate(values: Mapping[str, Any]) -> int:
    from telegraf_bitcoin_ipc.simnode.command import run

    return run(argparse.Namespace(**values))


def _parity(values: Mapping[str, Any]) -> int:
    from telegraf_bitcoin_ipc.parity import command, exposition

    try:
        text, fine = command.report(argparse.Namespace(**values))
    except exposition.EndpointUnavailable as error:
        return complain(error, EXIT_UNAVAILABLE)
    show(text)
    return EXIT_OK if fine else EXIT_UNAVAILABLE


def _guard(values: Mapping[str, Any]) -> NoReturn:
    """Become the standing guard: another program, of the standard library alone, in this process."""
    from telegraf_bitcoin_ipc.ipc.guard_command import become

    command = become(argparse.Namespace(**values))
    os.execv(command[0], command)


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
    """Return the options, and as `run` the function to call with them.

    Unless they begin with a command, the arguments are the plugin's.
    """
    first = next(iter(arguments), "")
    if first in COMMANDS or first in ("-h", "--help"):
        return make_program_parser(first).parse_args(arguments)
    parser = _Parser(prog=PROGRAM, description=_DESCRIPTION, epilog=_epilog(), allow_abbrev=False)
    parser.set_defaults(run=_run)
    _add_options(parser)
    parser.add_argument("--metrics-addr", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def make_program_parser(chosen: str) -> argparse.ArgumentParser:
    """Return the parser for --help and for commands, with a sub-parser for each command.

    Only the `chosen` command gets its options, so that nothing is imported for the others.
    """
    usage = f"{PROGRAM} [OPTIONS] SOCKET\n       {PROGRAM} COMMAND ..."
    program = _Parser(prog=PROGRAM, usage=usage, description=_DESCRIPTION, allow_abbrev=False)
    if chosen not in COMMANDS:
        program.epilog = _epilog()
        _add_options(program, without_socket=True)
    parsers = program.add_subparsers(title="commands", metavar="COMMAND", prog=PROGRAM, required=True)
    for name, (sentence, add_options, run) in COMMANDS.items():
        parser = parsers.add_parser(name, help=sentence, description=sentence, allow_abbrev=False)
        parser.set_defaults(run=run)
        if name == chosen:
            add_options(parser)
    return program


def _add_options(parser: argparse.ArgumentParser, *, without_socket: bool = False) -> None:
    from telegraf_bitcoin_ipc.cli.options import add_options
    from telegraf_bitcoin_ipc.config import OPTIONS

    add_options(parser, OPTIONS.keys() - ({"socket"} if without_socket else set()))


def _add_top_options(parser: argparse.ArgumentParser) -> None:
    from telegraf_bitcoin_ipc.cli.options import add_options
    from telegraf_bitcoin_ipc.config import TOP_POLL_INTERVAL

    fields = ("socket", "poll_interval", "metrics", "no_utxo_trace", "no_guard")
    add_options(parser, fields, poll_interval=f"{TOP_POLL_INTERVAL:g}")


def _add_config_options(parser: argparse.ArgumentParser) -> None:
    from telegraf_bitcoin_ipc.cli.configure import add_options

    _add_options(parser)
    add_options(parser)


def _add_simulate_options(parser: argparse.ArgumentParser) -> None:
    from telegraf_bitcoin_ipc.simnode.command import add_options

    add_options(parser)


def _add_guard_options(parser: argparse.ArgumentParser) -> None:
    from telegraf_bitcoin_ipc.ipc.guard_command import add_options

    add_options(parser)


def _add_parity_options(parser: argparse.ArgumentParser) -> None:
    with _from_extra("parity", "prometheus-client"):
        from telegraf_bitcoin_ipc.parity.command import add_options

    add_options(parser)


_AddOptions = Callable[[argparse.ArgumentParser], None]

COMMANDS: Final[dict[str, tuple[str, _AddOptions, Callable[[dict[str, Any]], int]]]] = {
    "top": ("show a node on the terminal, live", _add_top_options, _top),
    "check": ("connect to a node and report what it is and what works", _add_options, _check),
    "once": ("poll a node once and print the line protocol", _add_options, _once),
    "config": (
        "print a complete Telegraf configuration that runs the plugin with these options",
        _add_config_options,
        _config,
    ),
    "metrics": ("print the catalogue of metrics", lambda _: None, _metrics),
    "guard": (
        "let other users watch a node through a separate socket, without RPC rights",
        _add_guard_options,
        _guard,
    ),
    "setup": ("find the node, and set up a standing guard and Telegraf for it", setup.add_options, setup.run),
    "simulate": ("run a simulated Bitcoin node on a socket", _add_simulate_options, _simulate),
    "parity": (
        "compare another exporter's Prometheus page with Telegraf's page of this plugin's metrics",
        _add_parity_options,
        _parity,
    ),
}
"""Each command: its sentence in --help, the function that adds its options, and the function that runs it."""

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


def _configure(values: Mapping[str, Any], **defaults: Any) -> "Config":
    """Return the configuration for commands that connect to a node.

    `values` override the environment, which overrides `defaults`. Raises ConfigError if SOCKET cannot be a socket.
    """
    from telegraf_bitcoin_ipc.cli.options import configure

    config = configure(values, **defaults)
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
