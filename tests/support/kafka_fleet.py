"""Nodes with a Telegraf each, Kafka, a central Telegraf and a Prometheus; beside them VictoriaMetrics."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from support.kafka import Kafka
from support.nodes import PROGRAM, SimulatedNode
from support.processes import START_SECONDS, free_port, get, wait_until
from support.prometheus import Prometheus
from support.telegraf import Telegraf
from support.victoriametrics import VictoriaMetrics

DIALECT_OF = {"alpha": "tracing", "beta": "stock"}
"""The nodes by their tag, and what each of them is."""

RULES = Path(__file__).parents[2] / "prometheus" / "alerts.yml"
DOCUMENT = Path(__file__).parents[2] / "docs" / "fleet.md"

Page = dict[str, str]
"""What Telegraf's page has: by series its value, and by "# TYPE NAME" its type."""

FILE = """
[[outputs.file]]
  files = ["{path}"]
  namepass = ["bitcoin"]
  tagexclude = ["host"]
  flush_interval = "1s"
  flush_jitter = "0s"
  data_format = "influx"
"""
"""Writes every line to a file as well, so that none is lost or changed unnoticed."""

QUICKLY = ("--emit-interval", "1")


def _config(*arguments: str | Path) -> str:
    """What `config` prints."""
    return subprocess.run([PROGRAM, "config", *arguments], check=True, capture_output=True, text=True).stdout


def remote_write(url: str) -> str:
    """The block for remote write, as docs/fleet.md has it, to another URL."""
    blocks = re.findall(r"^\[\[outputs\.http\]\].*?(?=^\n|^```)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "prometheusremotewrite" in block]
    text, count = re.subn(
        r'url = "[^"]*"', f'url = "{url}"\n  flush_interval = "1s"\n  flush_jitter = "0s"', block
    )
    assert count == 1
    return f"\n{text}"


def page_of(address: str) -> Page:
    """What the page of a Telegraf shows; nothing while it does not answer."""
    lines = [
        line for line in (get(f"http://{address}/metrics") or "").splitlines() if not line.startswith("# HELP")
    ]
    return dict(line.rsplit(" ", 1) for line in lines)


def time_of(line: str) -> int:
    """When the plugin emitted a line, in nanoseconds; lines of one emission have one time."""
    return int(line.rpartition(" ")[2])


@dataclass
class Member:
    """One node with its Telegraf."""

    name: str
    node: SimulatedNode
    telegraf: Telegraf
    page: str
    file: Path

    @property
    def lines(self) -> list[str]:
        """Every line that its plugin emitted."""
        return whole_lines(self.file)


def whole_lines(file: Path) -> list[str]:
    """The lines of a file that may still be written to, or not be there yet."""
    return file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []


class KafkaFleet:
    """All of it, running; every part can be stopped, killed and started again."""

    def __init__(
        self,
        processes: ExitStack,
        directory: Path,
        sockets: Path,
        binaries: Mapping[str, Path],
        *options: str,
        secure: bool = False,
    ) -> None:
        """`options` are the plugins'."""
        self._processes, self._directory, self._sockets, self._binaries = processes, directory, sockets, binaries
        self.kafka = processes.enter_context(Kafka(binaries["kafka"], self._made("kafka"), secure=secure))
        self.victoria = processes.enter_context(
            VictoriaMetrics(binaries["victoria-metrics"], self._made("victoriametrics"))
        )
        login = self.kafka.login
        self._environment = (
            {"BITCOIN_FLEET_PASSWORD": login.password, "BITCOIN_FLEET_CA": str(login.certificate)} if login else {}
        )
        self.members = {name: self._join(name, *options) for name in DIALECT_OF}
        self.page = f"127.0.0.1:{free_port()}"
        self.central = self._telegraf(
            "central", _config(*QUICKLY, "--central", self.kafka.url, "--metrics-addr", self.page)
        )
        self.prometheus = processes.enter_context(
            Prometheus(binaries["prometheus"], self.page, self._made("prometheus"), rules=RULES)
        )
        self.prometheus.wait_for(f"count(bitcoin_up == 1) == {len(self.members)}")
        wait_until(
            lambda: self._first_read().keys() == set(self.members),
            START_SECONDS,
            "a line of each at the far end",
        )

    def _made(self, name: str) -> Path:
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        return directory

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.lines"

    def _telegraf(self, name: str, text: str) -> Telegraf:
        text += FILE.format(path=self._file(name))
        return self._processes.enter_context(
            Telegraf(self._binaries["telegraf"], text, self._made(name), environment=self._environment)
        )

    def _join(self, name: str, *options: str) -> Member:
        socket = self._sockets / f"{name}.sock"
        node = SimulatedNode(socket, self._directory / name / "node", "--dialect", DIALECT_OF[name])
        self._processes.enter_context(node)
        page = f"127.0.0.1:{free_port()}"
        route = ("--tag", f"node={name}", "--output", self.kafka.url, "--metrics-addr", page)
        text = _config(*QUICKLY, *route, *options, socket) + remote_write(self.victoria.url)
        return Member(name, node, self._telegraf(name, text), page, self._file(name))

    @property
    def at_home(self) -> Page:
        """What the nodes' own pages show, together."""
        return {
            series: value for member in self.members.values() for series, value in page_of(member.page).items()
        }

    @property
    def arrived(self) -> Counter[str]:
        """Every line that the central Telegraf read, and how often."""
        return Counter(whole_lines(self._file("central")))

    def _first_read(self) -> dict[str, int]:
        """When each node's first line that arrived was emitted: the central Telegraf begins with the newest."""
        first: dict[str, int] = {}
        for line in self.arrived:
            (name,) = re.findall(r",node=(\w+)", line)
            first[name] = min(time_of(line), first.get(name, time_of(line)))
        return first

    def emitted(self) -> set[str]:
        """Every line of the nodes since the central Telegraf first read."""
        first = self._first_read()
        return {
            line
            for name, member in self.members.items()
            for line in member.lines
            if time_of(line) > first.get(name, 0)
        }

    def emissions(self, name: str) -> int:
        """How often a node's plugin has emitted."""
        return len({time_of(line) for line in self.members[name].lines})

    def await_emissions(self, count: int) -> None:
        """Wait until each plugin has emitted so many times more."""
        before = {name: self.emissions(name) for name in self.members}
        wait_until(
            lambda: all(self.emissions(name) >= before[name] + count for name in self.members),
            START_SECONDS,
            f"{count} emissions",
        )

    def await_arrival(self) -> Counter[str]:
        """Wait until every line that was emitted so far has arrived, and return what arrived."""
        expected = self.emitted()
        wait_until(
            lambda: expected <= self.arrived.keys(),
            START_SECONDS,
            lambda: f"{len(expected - self.arrived.keys())} of {len(expected)} lines\n{self.central.log}",
        )
        return self.arrived
