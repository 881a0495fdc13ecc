"""What a command prints, on a stdout that may be closed or full, and on stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PROGRAM: Final = "telegraf-bitcoin-ipc"
STDOUT: Final = 1


class OutputError(Exception):
    """Stdout cannot be written to, for instance because the disk is full."""


def complain(error: Exception, status: int) -> int:
    """Print an error as one sentence on stderr; returns the exit status."""
    print(f"{PROGRAM}: {error}", file=sys.stderr)
    return status


def warn(text: str) -> None:
    """Print a warning as one sentence on stderr."""
    print(f"{PROGRAM}: warning: {text}", file=sys.stderr)


def show(text: str, end: str = "\n") -> None:
    """Print and flush; raises BrokenPipeError if nobody reads stdout, OutputError if it fails otherwise."""
    with writing():
        print(text, end=end, flush=True)


@contextmanager
def writing() -> Iterator[None]:
    """Raise OutputError where stdout cannot be written to; BrokenPipeError passes."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to stdout: {error.strerror}") from error


def discard_stdout() -> None:
    """Redirect stdout to /dev/null: Python flushes its buffer on exit, and would report an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
