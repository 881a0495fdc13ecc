"""A real Prometheus with alerting rules, which scrapes pages or takes remote write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from support.prometheus import Prometheus

REMOTE_WRITE = """\
  [outputs.http.headers]
    Content-Type = "application/x-protobuf"
    Content-Encoding = "snappy"
    X-Prometheus-Remote-Write-Version = "0.1.0"
"""


class AlertingPrometheus(Prometheus):
    """A Prometheus that evaluates a file of rules."""

    def __init__(self, binary: Path, directory: Path, rules: Path, targets: Sequence[str], interval: str) -> None:
        """It scrapes the targets, HOST:PORT, and takes remote write; `interval` is that of scrapes and rules."""
        super().__init__(binary, "", directory, "--web.enable-remote-write-receiver")
        config = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "bitcoin", "static_configs": [{"targets": list(targets)}]}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))

    def fired(self) -> dict[tuple[str, str], float]:
        """When each alert began to fire (Unix seconds of the rules' evaluation), by its name and node."""
        first = self.query('min_over_time(timestamp(ALERTS{alertstate="firing"})[1h:5s])')
        return {(labels["alertname"], labels.get("node", "")): at for labels, at in first}


def http_output(address: str, path: str, data_format: str, *more: str) -> str:
    """An output of Telegraf's to an HTTP server; `more` are further lines of it."""
    return "\n".join(
        [
            "[[outputs.http]]",
            f'  url = "http://{address}{path}"',
            f'  data_format = "{data_format}"',
            '  namepass = ["bitcoin"]',
            *more,
            "",
        ]
    )


def remote_write(address: str, *more: str) -> str:
    """An output of Telegraf's that writes to a Prometheus; `more` are further lines of it."""
    return http_output(address, "/api/v1/write", "prometheusremotewrite", *more, REMOTE_WRITE)
