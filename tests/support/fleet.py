"""Two nodes or more, each with a Telegraf that sends to a central one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from support.nodes import SimulatedNode
from support.processes import free_port
from support.telegraf import Telegraf, central_configuration, configuration, metrics_page

QUICKLY = ("--poll-interval", "1", "--emit-interval", "1")

RECORD = """
[[outputs.file]]
  files = ["{file}"]
  namepass = ["bitcoin"]
  tagexclude = ["host"]
  data_format = "influx"
  flush_interval = "1s"
"""
"""An output that writes every line to a file, in Telegraf's own form."""


class Fleet:
    """The central Telegraf, and what it receives; all of it ends with the stack.

    The Telegrafs of the nodes serve a page of their own, too: the one that a single node would have.
    """

    def __init__(self, processes: ExitStack, telegraf: Path, directory: Path, sockets: Path) -> None:
        """The nodes' sockets are in the directory `sockets`."""
        self._processes = processes
        self._binary = telegraf
        self._directory = directory
        self._sockets = sockets
        self.port = free_port()
        self.address = f"127.0.0.1:{free_port()}"
        self.homes: dict[str, str] = {}
        self.nodes: dict[str, SimulatedNode] = {}
        self.telegrafs: dict[str, Telegraf] = {}

    def start_central(
        self, url: str | None = None, environment: Mapping[str, str] | None = None, *, emit_interval: str = "1"
    ) -> None:
        """Start the central Telegraf, on the fleet's own port unless `url` says otherwise."""
        text = central_configuration(url or self.url, self.address, "--emit-interval", emit_interval)
        self.central = self._start("central", text, environment)

    @property
    def url(self) -> str:
        """Where the central Telegraf listens."""
        return f"http://127.0.0.1:{self.port}"

    def start_node(self, name: str, dialect: str, *options: str) -> None:
        """Start a node and its Telegraf."""
        node = SimulatedNode(self.socket(name), self._directory / name, "--dialect", dialect)
        self.nodes[name] = self._processes.enter_context(node)
        self.start_telegraf(name, self.url, *options)

    def socket(self, name: str) -> Path:
        """Where a node listens."""
        return self._sockets / f"{name}.sock"

    def start_telegraf(
        self, name: str, url: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the Telegraf of a node, which may be absent."""
        self.homes[name] = f"127.0.0.1:{free_port()}"
        options = ("--tag", f"node={name}", "--output", url, *QUICKLY, *options)
        text = configuration(self.socket(name), self.homes[name], *options)
        self.telegrafs[name] = self._start(name, text, environment)

    def _start(self, name: str, text: str, environment: Mapping[str, str] | None) -> Telegraf:
        directory = self._directory / f"telegraf-{name}"
        directory.mkdir()
        text += RECORD.format(file=self._file(name))
        return self._processes.enter_context(Telegraf(self._binary, text, directory, environment=environment))

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.lines"

    def lines(self, name: str = "central") -> set[str]:
        """Every whole line that a Telegraf has had: a node's by its name, or the central one."""
        try:
            return set(self._file(name).read_text().rpartition("\n")[0].splitlines())
        except FileNotFoundError:
            return set()

    @property
    def page(self) -> set[str]:
        """The lines of the central page."""
        return _lines(self.address)

    @property
    def pages_at_home(self) -> set[str]:
        """The lines of all the nodes' own pages."""
        return set().union(*map(_lines, self.homes.values()))


def _lines(address: str) -> set[str]:
    return set(metrics_page(address).splitlines())
