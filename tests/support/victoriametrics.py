"""A real VictoriaMetrics, and what it answers."""

from __future__ import annotations

import json
from pathlib import Path

from support.processes import Process, free_port, get
from support.prometheus import Prometheus

Sample = tuple[frozenset[tuple[str, str]], int, float]
"""One sample: the labels of its series (`__name__` among them), the time in milliseconds, the value."""


class VictoriaMetrics(Prometheus):
    """A real VictoriaMetrics, which takes remote write, and answers queries as Prometheus does."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        Process.__init__(
            self,
            [
                binary,
                f"-httpListenAddr={self.address}",
                f"-storageDataPath={directory / 'victoriametrics-data'}",
                "-search.latencyOffset=1s",  # what is younger is not shown; it is 30 s unless told otherwise
            ],
            directory,
            name="victoriametrics",
        )

    def samples(self) -> list[Sample]:
        """Every sample of the plugin's that it has, as they came."""
        page = get(
            f"http://{self.address}/api/v1/export?match[]=%7B__name__=~%22bitcoin_.%2B%22%7D&reduce_mem_usage=1"
        )
        assert page is not None, f"no answer\n{self.log}"
        return [
            (frozenset(series["metric"].items()), time, value)
            for series in map(json.loads, page.splitlines())
            for time, value in zip(series["timestamps"], series["values"], strict=True)
        ]
