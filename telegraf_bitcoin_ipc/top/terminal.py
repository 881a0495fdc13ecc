"""The terminal: taken over and given back, its size, its keys, and frames that nothing waits for."""

import io
import os
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.text import Text

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.execd import LineWriter

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l\x1b[A"
"""Alternate screen without a cursor, and back; the last undoes the newline that a pipe's line ends with."""

_HOME: Final = "\x1b[H"
_CLEAR: Final = "\x1b[2J"


class Terminal:
    """A terminal that shows frames within its `with` block; afterwards it is as it was before.

    Frames are written by a thread: a terminal that does not read (a stalled connection) holds nothing up, and
    gets the newest frame when it goes on.
    """

    def __init__(self, stdin: int, stdout: int) -> None:
        """Show on `stdout`, and take keys from `stdin` if it is a terminal, too. Raises ConfigError."""
        if not os.isatty(stdout):
            raise ConfigError("top needs a terminal to draw on, and stdout is none")
        if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
            raise ConfigError("top needs a terminal that can move its cursor, and TERM does not name one")
        self._stdin = stdin if os.isatty(stdin) else None
        self._stdout = stdout
        self._frames = LineWriter(stdout, kept=1)
        self._size = (0, 0)
        self._drawn: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        if self._stdin is not None:
            self._before = termios.tcgetattr(self._stdin)
            tty.setcbreak(self._stdin, termios.TCSANOW)
        self._frames.put([_ENTER])
        self._frames.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.put([_LEAVE])
        self._frames.flush()
        if self._stdin is not None:
            with suppress(termios.error):  # it has gone: there is nothing to give back
                termios.tcsetattr(self._stdin, termios.TCSANOW, self._before)

    @property
    def keys(self) -> int | None:
        """The descriptor that keys can be read from."""
        return self._stdin

    def on_gone(self, call: Callable[[], None]) -> None:
        """Have `call` called, from another thread, when the terminal has gone."""
        self._frames.on_broken(call)

    def size(self) -> tuple[int, int]:
        """Return columns and lines; of a terminal that has gone, the last that were known."""
        with suppress(OSError):
            columns, lines = os.get_terminal_size(self._stdout)
            self._size = columns, lines
        return self._size

    def show(self, text: Text, size: tuple[int, int]) -> None:
        """Show a text made for a size, in place of the one before."""
        columns, lines = size
        console = Console(
            file=io.StringIO(), force_terminal=True, width=columns, height=lines, highlight=False, emoji=False
        )
        with console.capture() as captured:
            console.print(text, end="", soft_wrap=False)
        clear = _CLEAR if size != self._drawn else ""
        self._drawn = size
        # Home again at the end, so that the newline after the frame does not scroll.
        self._frames.put([f"{clear}{_HOME}{captured.get()}{_HOME}"])
