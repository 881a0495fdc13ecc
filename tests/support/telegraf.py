"""A real Telegraf, and its configuration as users get it."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from support.nodes import PROGRAM
from support.processes import START_SECONDS, Process, get

from telegraf_bitcoin_ipc import cli

DOCUMENT = Path(__file__).parents[2] / "docs" / "fleet.md"


def configuration(socket: Path, address: str, *options: str) -> str:
    """What `config` prints for a node."""
    return _printed("--metrics-addr", address, *options, str(socket))


def central_configuration(url: str, address: str, *options: str) -> str:
    """What `config` prints for a central Telegraf."""
    return _printed("--metrics-addr", address, "--central", url, *options)


def _printed(*arguments: str) -> str:
    """Run `config` in this process, as if it were the installed program; raises CalledProcessError."""
    command = [str(PROGRAM), "config", *arguments]
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr), mock.patch.object(sys, "argv", command):
        status = cli.main()
    if status:
        raise subprocess.CalledProcessError(status, command, stdout.getvalue(), stderr.getvalue())
    return stdout.getvalue()


def remote_write(url: str, *more: str) -> str:
    """The output for remote write that docs/fleet.md has, to another URL; `more` are further lines of it."""
    blocks = re.findall(r"^\[\[outputs\.http\]\].*?(?=^\n|^```)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "prometheusremotewrite" in block]
    lines = "\n".join([f'  url = "{url}"', *more])
    text, count = re.subn(r"^ *url = .*$", lambda _: lines, block, flags=re.MULTILINE)
    assert count == 1
    return f"\n{text}"


def config_check(
    binary: Path, file: Path, *options: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Have Telegraf check a configuration; what it says is on stdout."""
    return subprocess.run(
        [binary, "config", "check", *options, "--config", file],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SECONDS,
    )


def accepted(done: subprocess.CompletedProcess[str]) -> None:
    """Fail if Telegraf has anything to say against a configuration."""
    assert done.returncode == 0, done.stdout
    assert "deprecated" not in done.stdout


def metrics_page(address: str) -> str:
    """The page of metrics at HOST:PORT; empty while there is none."""
    return get(f"http://{address}/metrics") or ""


class Telegraf(Process):
    """A real Telegraf with the given configuration."""

    def __init__(
        self,
        binary: Path,
        config_text: str,
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config = directory / "telegraf.conf"
        self.config.write_text(config_text)
        super().__init__([binary, "--config", self.config], directory, name="telegraf", environment=environment)

    def reload(self, config_text: str | None = None) -> None:
        """Have it read its configuration again (SIGHUP), a new one if given; it goes on in the background."""
        if config_text is not None:
            self.config.write_text(config_text)
        self.send(signal.SIGHUP)


StartTelegraf = Callable[..., Telegraf]
