"""A real Prometheus, and what it answers."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from support.processes import START_SECONDS, Failure, Process, free_port, get, wait_until

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE

POLL_SECONDS = 0.25
"""Between two queries; it has new values once a second."""

Result = list[tuple[dict[str, str], float]]
"""What Prometheus answers: the labels and the value of each series."""


EVERYTHING = '{__name__=~"bitcoin_.+"}'
"""All of the plugin's series."""


def by_node(found: Result) -> dict[str, float]:
    """Values by the tag `node`, each once; by nothing where there is none."""
    values = {labels.get("node", ""): value for labels, value in found}
    assert len(values) == len(found)
    return values


def ask(address: str, path: str) -> Any:
    """What the Prometheus there answers."""
    answer = get(f"http://{address}/api/v1/{path}")
    assert answer is not None, f"no answer to {path}"
    return json.loads(answer)["data"]


def query(address: str, expression: str, at: float | None = None) -> Result:
    """What the Prometheus there gives for an expression, as `Prometheus.query`."""
    parameters = {"query": expression} | ({} if at is None else {"time": str(at)})
    data = ask(address, f"query?{urllib.parse.urlencode(parameters)}")
    if data["resultType"] == "scalar":
        return [({}, float(data["result"][1]))]
    assert data["resultType"] == "vector", f"{expression} gives a {data['resultType']}, not a vector"
    return [(series["metric"], float(series["value"][1])) for series in data["result"]]


class Prometheus(Process):
    """A real Prometheus that scrapes targets, HOST:PORT, and answers queries on `address`."""

    def __init__(
        self,
        binary: Path,
        targets: str | Sequence[str],
        directory: Path,
        *options: str,
        scrape_interval: str = "1s",
        address: str | None = None,
        listen: str | None = None,
        rules: Path | None = None,
    ) -> None:
        """Without an `address` it is a free port of the loopback address; `listen` is for one that differs.

        It evaluates a file of `rules` as often as it scrapes.
        """
        targets = [targets] if isinstance(targets, str) else list(targets)
        self.address = address or f"127.0.0.1:{free_port()}"
        config = directory / "prometheus.yml"
        # JSON is YAML.
        config.write_text(
            json.dumps(
                {
                    "global": {
                        "scrape_interval": scrape_interval,
                        "scrape_timeout": scrape_interval,
                        "evaluation_interval": scrape_interval,
                    },
                    "rule_files": [str(rules)] if rules else [],
                    "scrape_configs": [{"job_name": "bitcoin", "static_configs": [{"targets": targets}]}],
                }
            )
        )
        super().__init__(
            [
                binary,
                f"--config.file={config}",
                f"--web.listen-address={listen or self.address}",
                f"--storage.tsdb.path={directory / 'prometheus-data'}",
                *options,
            ],
            directory,
            name="prometheus",
        )

    def start(self) -> None:
        """Start it, and wait until it answers queries."""
        super().start()
        self.wait_until(self._ready, "Prometheus was ready")

    def _ready(self) -> bool:
        try:
            return get(f"http://{self.address}/-/ready") is not None
        except Failure:  # 503 while it starts
            return False

    @property
    def write_url(self) -> str:
        """Where it takes remote write."""
        return f"http://{self.address}/api/v1/write"

    def query(self, expression: str, at: float | None = None) -> Result:
        """The labels (`__name__` among them) and the value of each series that it gives, now or `at` a time."""
        return query(self.address, expression, at)

    def wait_for(self, expression: str, timeout: float = START_SECONDS) -> Result:
        """Query until there is a result, and return it; `bitcoin_up == 1` waits for a value."""
        return self.shows(expression, bool, "a result", timeout)

    def shows(
        self,
        expression: str,
        condition: Callable[[Result], object],
        what: str,
        timeout: float = START_SECONDS,
    ) -> Result:
        """Query until the result fulfils the condition, and return it.

        One look is not enough: where a scrape has taken too long there is no value until the next.
        """
        found: Result = []

        def fulfilled() -> bool:
            nonlocal found
            found = self.query(expression)
            return bool(condition(found))

        wait_until(
            fulfilled, timeout, lambda: f"{what} of {expression}, and not {found}\n{self.log}", POLL_SECONDS
        )
        return found

    def fired(self) -> dict[tuple[str, str], float]:
        """When each alert began to fire (Unix seconds of the rules' evaluation), by its name and node."""
        first = self.query('min_over_time(timestamp(ALERTS{alertstate="firing"})[1h:5s])')
        return {(labels["alertname"], labels.get("node", "")): at for labels, at in first}

    def fires(self, alert: str, *nodes: str) -> None:
        """Wait until an alert fires for these nodes, and no other."""
        expression = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'

        def nodes_of(found: Result) -> list[str]:
            return sorted(labels.get("node", "") for labels, _ in found)

        self.shows(expression, lambda found: nodes_of(found) == sorted(nodes), f"{nodes}")

    def follows_the_catalogue(self, *labels: str) -> None:
        """Check the types of all metrics, and the labels of the plugin's series: their tags and these."""
        metrics = {f"bitcoin_{metric.name}": metric for metric in CATALOGUE}
        for found, _ in self.query(EVERYTHING):
            assert set(found) == {"__name__", "job", "instance", *labels, *metrics[found["__name__"]].tags}, found
        types = {name: {entry["type"] for entry in entries} for name, entries in self.metadata().items()}
        assert types == {name: {metrics[name].type} for name in types}

    def metadata(self) -> dict[str, list[dict[str, str]]]:
        """For each metric's name what the page said of it: `type`, `help` and `unit`."""
        data: dict[str, list[dict[str, str]]] = ask(self.address, "metadata")
        return data


StartPrometheus = Callable[..., Prometheus]
