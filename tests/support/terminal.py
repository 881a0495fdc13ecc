"""A real terminal to run a program in: tmux, with a server and a configuration of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from support.processes import START_SECONDS, wait_until

CONFIGURATION = """\
set -g status off
set -g default-terminal screen-256color
set -g history-limit 0
"""


POLL_SECONDS = 0.2
"""Between two looks at the screen, each of which starts a program."""


class Terminal:
    """A program in a terminal of a size; what comes after it on the screen is `status N` and `stty N`.

    `stty 0` says that the modes of the terminal are those from before.
    """

    def __init__(
        self,
        tmux: Path,
        command: Sequence[str | Path],
        *,
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._tmux = tmux
        self._command = shlex.join(str(part) for part in command)
        self._size = (columns, lines)
        self._environment = dict(environment or {})
        self._directory = Path(tempfile.mkdtemp(prefix="tbi-tmux-"))  # short: it holds a socket

    def __enter__(self) -> Self:
        configuration = self._directory / "tmux.conf"
        configuration.write_text(CONFIGURATION)
        columns, lines = self._size
        program = shlex.join(["env", *(f"{name}={text}" for name, text in self._environment.items())])
        # The shell ignores Ctrl-C by a trap, which the program does not inherit.
        script = f"trap : INT; before=$(stty -g); {program} {self._command}; echo status $?; "
        script += '[ "$(stty -g)" = "$before" ]; echo stty $?; exec sleep 1000'
        self._run("-f", str(configuration), "new-session", "-d", "-x", str(columns), "-y", str(lines), script)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        shutil.rmtree(self._directory)

    def _run(self, *arguments: str, check: bool = True) -> str:
        return subprocess.run(
            [self._tmux, "-u", "-L", "test", *arguments],
            check=check,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            env={
                "PATH": os.environ["PATH"],
                "SHELL": "/bin/sh",  # else the user's own, which may be another language, or none
                "LANG": "C.UTF-8",
                "TMUX_TMPDIR": str(self._directory),
            },
        ).stdout

    def close(self) -> None:
        """Take the terminal away, as a lost connection does."""
        self._run("kill-server", check=False)

    @property
    def screen(self) -> str:
        """What can be read on it."""
        return self._run("capture-pane", "-p")

    def has(self, name: str) -> int:
        """Return a flag of the terminal's: `alternate_on`, `cursor_flag`."""
        return int(self._run("display-message", "-p", f"#{{{name}}}"))

    def press(self, key: str) -> None:
        """Press a key, by tmux's name for it."""
        self._run("send-keys", key)

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size."""
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def shows(self, *texts: str, timeout: float = START_SECONDS) -> str:
        """Wait until all the texts can be read on it at once; return the screen."""

        def read() -> str | None:
            screen = self.screen
            return screen if all(text in screen for text in texts) else None

        return wait_until(read, timeout, lambda: f"{texts} on the screen\n{self.screen}", POLL_SECONDS) or ""

    def ends(self) -> None:
        """Wait for a good end: exit status 0, and the terminal as it was."""
        self.shows("status 0", "stty 0")
        assert (self.has("alternate_on"), self.has("cursor_flag")) == (0, 1)


StartTerminal = Callable[..., Terminal]
