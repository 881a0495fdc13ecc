"""The terminal: its size, its keys, and a rich `Live` display that never waits for it."""

import io
import os
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.live import Live

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.execd import FLUSH_SECONDS, LineWriter

_UP: Final = "\x1b[A"
"""Cursor up: undoes the newline that LineWriter appends, which would scroll the screen."""


class _Output(io.StringIO):
    """The file that rich writes to: hands everything to a LineWriter and returns at once."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def write(self, text: str) -> int:
        self._writer.put([text + _UP])
        return len(text)


class Terminal:
    """A terminal that shows frames within its `with` block and is restored afterwards.

    `Live` on the terminal itself would block the event loop while the terminal does not read (Ctrl-S, a stalled
    connection), even with its own thread, because they share a lock. So it writes to a LineWriter, and a frame is
    dropped while an earlier one waits.
    """

    def __init__(self, stdin: int, stdout: int) -> None:
        """Show on `stdout`; read keys from `stdin` if it is a terminal. Raises ConfigError."""
        if not os.isatty(stdout):
            raise ConfigError("top needs a terminal to draw on, but stdout is not one")
        if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
            raise ConfigError("top needs a terminal that can move its cursor, but TERM does not name one")
        self.keys = stdin if os.isatty(stdin) else None
        self._stdout = stdout
        self._writer = LineWriter(stdout)
        self._console = Console(
            file=_Output(self._writer), force_terminal=True, highlight=False, markup=False, emoji=False
        )
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        if self.keys is not None:
            self._before = termios.tcgetattr(self.keys)
            tty.setcbreak(self.keys, termios.TCSANOW)
        self._live.start()
        self._writer.flush(FLUSH_SECONDS)  # else the first frame would be dropped
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()
        self._writer.flush(FLUSH_SECONDS)
        if self.keys is not None:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self.keys, termios.TCSANOW, self._before)

    def on_gone(self, call: Callable[[], None]) -> None:
        """Call `call`, from another thread, when the terminal is gone."""
        self._writer.on_broken(call)

    def size(self) -> tuple[int, int]:
        """Return columns and lines, or the last known ones once the terminal is gone."""
        with suppress(OSError):
            self._console.size = os.get_terminal_size(self._stdout)
        return self._console.size

    def show(self, frame: RenderableType) -> None:
        """Show a frame, unless an earlier one still waits to be written."""
        if not self._writer.backlog():
            self._live.update(frame, refresh=True)
