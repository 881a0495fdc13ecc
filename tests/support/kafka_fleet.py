"""A fleet through Kafka, with a Prometheus at the far end; beside it remote write to VictoriaMetrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from support.fleet import Fleet
from support.kafka import Kafka
from support.processes import START_SECONDS, wait_until
from support.prometheus import Prometheus
from support.telegraf import Telegraf, remote_write
from support.victoriametrics import VictoriaMetrics

DIALECT_OF = {"alpha": "tracing", "beta": "stock"}
"""The nodes by their tag, and what each of them is."""

RULES = Path(__file__).parents[2] / "prometheus" / "alerts.yml"

STILL = ("--poll-interval", "3600")
"""Values change by what the nodes do, and not with each poll; there is still one after each new block."""


def time_of(line: str) -> int:
    """When the plugin emitted a line, in nanoseconds; lines of one emission have one time."""
    return int(line.rpartition(" ")[2])


class KafkaFleet(Fleet):
    """Two nodes with a Telegraf each, and everything behind them, all running."""

    def __init__(
        self,
        processes: ExitStack,
        directory: Path,
        sockets: Path,
        binaries: Mapping[str, Path],
        *,
        secure: bool = False,
    ) -> None:
        """`binaries` are those of telegraf, prometheus, kafka and victoria-metrics."""
        super().__init__(processes, binaries["telegraf"], directory, sockets)
        parts = [directory / name for name in ("kafka", "victoriametrics", "prometheus")]
        for part in parts:
            part.mkdir()
        self.kafka = processes.enter_context(Kafka(binaries["kafka"], parts[0], secure=secure))
        self.victoria = processes.enter_context(VictoriaMetrics(binaries["victoria-metrics"], parts[1]))
        for name, dialect in DIALECT_OF.items():
            self.start_node(name, dialect, *STILL)
        self.start_central()
        self.prometheus = processes.enter_context(
            Prometheus(binaries["prometheus"], self.address, parts[2], rules=RULES)
        )
        self.prometheus.wait_for(f"count(bitcoin_up == 1) == {len(DIALECT_OF)}")
        wait_until(lambda: self._first().keys() == set(DIALECT_OF), START_SECONDS, "a line of each node")

    @property
    def url(self) -> str:
        """Where nodes send to, and the central Telegraf reads from."""
        return self.kafka.url

    def _start(self, name: str, text: str, environment: Mapping[str, str] | None) -> Telegraf:
        if name != "central":
            text += remote_write(self.victoria.write_url, '  flush_interval = "1s"')
        return super()._start(name, text, {**self.kafka.environment, **(environment or {})})

    @property
    def emitted(self) -> set[str]:
        """Every line that the plugins emitted."""
        return set().union(*map(self.lines, DIALECT_OF))

    def _first(self) -> dict[str, int]:
        """When each node's first line that arrived was emitted: the central Telegraf begins with the newest."""
        first: dict[str, int] = {}
        for line in self.lines():
            (name,) = re.findall(r",node=(\w+)", line)
            first[name] = min(time_of(line), first.get(name, time_of(line)))
        return first

    def await_emissions(self, count: int) -> None:
        """Wait until each plugin has emitted so many times more."""

        def times() -> dict[str, int]:
            return {name: len(set(map(time_of, self.lines(name)))) for name in DIALECT_OF}

        before = times()
        wait_until(
            lambda: all(now >= before[name] + count for name, now in times().items()),
            START_SECONDS,
            f"{count} emissions",
        )

    def await_arrival(self) -> None:
        """Wait until every line that was emitted has arrived, and show that nothing else has."""
        first = self._first()
        expected = {line for name in DIALECT_OF for line in self.lines(name) if time_of(line) > first[name]}
        wait_until(
            lambda: expected <= self.lines(),
            START_SECONDS,
            lambda: f"{len(expected - self.lines())} of {len(expected)} lines\n{self.central.log}",
        )
        arrived = self.lines()
        wait_until(lambda: arrived <= self.emitted, START_SECONDS, "what arrived as it was emitted")

    def await_home(self) -> None:
        """Wait until the central page is the nodes' own pages together: every series, its value and its type."""
        wait_until(
            lambda: self.page == self.pages_at_home != set(),
            START_SECONDS,
            lambda: f"no difference between pages: {self.page ^ self.pages_at_home}",
        )
