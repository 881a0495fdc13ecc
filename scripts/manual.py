"""Print the manual page, made from the command line's own parsers and the table of exit statuses."""

import argparse
import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from telegraf_bitcoin_ipc import __version__
from telegraf_bitcoin_ipc.cli import commands
from telegraf_bitcoin_ipc.cli.output import PROGRAM
from telegraf_bitcoin_ipc.config import OPTIONS

ROOT: Final = Path(__file__).resolve().parent.parent

SEE_ALSO: Final = "telegraf(1), bitcoind(1), systemd.socket(5); the pages in /usr/share/doc/telegraf-bitcoin-ipc"


class OneLine(argparse.HelpFormatter):
    """Breaks no lines: the reader of the page does."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=10_000)


def roff(text: str) -> str:
    """Return text as roff: no character has a meaning of its own, and a hyphen can be copied as one."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def bold(text: str) -> str:
    """Return text in bold."""
    return f"\\fB{roff(text)}\\fR"


def inline(text: str) -> str:
    """Return a sentence of a document as roff: what it sets in code becomes bold."""
    parts = text.replace("\\|", "|").split("`")
    return "".join(bold(part) if index % 2 else roff(part) for index, part in enumerate(parts))


def option_list(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options and arguments of a parser, each with its help."""
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):
            continue
        help_text = parser._get_formatter()._expand_help(action) if action.help else ""
        value = action.metavar or action.dest.upper()
        names = ", ".join(map(bold, action.option_strings)) or f"\\fI{roff(str(value))}\\fR"
        if action.option_strings and action.nargs != 0:
            names += f" \\fI{roff(str(value))}\\fR"
        yield f".TP\n{names}\n{roff(help_text)}"


def command_list() -> Iterator[str]:
    """Yield each command with its sentence and its options."""
    for name, (sentence, _) in commands.COMMANDS.items():
        program = commands.make_program_parser(name)
        (chooser,) = (each for each in program._actions if isinstance(each, argparse._SubParsersAction))
        parser = chooser.choices[name]
        parser.formatter_class = OneLine
        usage = parser.format_usage().removeprefix("usage: ").strip()
        yield f".SS {bold(name)}\n{roff(sentence[0].upper() + sentence[1:])}.\n.PP\n{roff(usage)}"
        yield from option_list(parser)


def exit_statuses() -> Iterator[str]:
    """Yield the rows of the table in docs/configuration.md."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    for status, when in re.findall(r"^\| (\d+) \| (.*) \|$", page.partition("## Exit statuses")[2], re.MULTILINE):
        yield f".TP\n{bold(status)}\n{inline(when)}"


def page(date: str) -> str:
    """Return the manual page in roff."""
    parser = commands.make_program_parser("")
    variables = (f".TP\n{bold(each.variable)}\nas {bold(each.name)}" for each in OPTIONS.values())
    return "\n".join(
        (
            f'.TH {PROGRAM.upper()} 1 "{date}" "{PROGRAM} {__version__}" "User Commands"',
            f".SH NAME\n{roff(PROGRAM)} \\- watch a Bitcoin node over its IPC socket, for Telegraf",
            f".SH SYNOPSIS\n{bold(PROGRAM)} [\\fIOPTIONS\\fR] \\fISOCKET\\fR",
            f".br\n{bold(PROGRAM)} \\fICOMMAND\\fR ...",
            f".SH DESCRIPTION\n{roff(parser.description or '')}\nSOCKET may be a node's, or a standing guard's.",
            ".SH OPTIONS",
            *option_list(parser),
            ".SH COMMANDS",
            *command_list(),
            ".SH ENVIRONMENT\nAn option that is not given is taken from the environment.",
            *variables,
            ".SH EXIT STATUS",
            *exit_statuses(),
            f".SH SEE ALSO\n{roff(SEE_ALSO)}",
            "",
        )
    )


if __name__ == "__main__":
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or datetime.datetime.now(datetime.UTC).timestamp()
    print(page(datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()), end="")
