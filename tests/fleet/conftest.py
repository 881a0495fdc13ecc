"""A fleet through a real Kafka."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.kafka_fleet import KafkaFleet


@pytest.fixture
def start_fleet(
    processes: ExitStack,
    tmp_path: Path,
    socket_path: Path,
    telegraf_binary: Path,
    prometheus_binary: Path,
    kafka_binary: Path,
    victoriametrics_binary: Path,
) -> Callable[..., KafkaFleet]:
    """Start all of it, with the plugins' options; it is stopped after the test."""
    binaries = {
        "telegraf": telegraf_binary,
        "prometheus": prometheus_binary,
        "kafka": kafka_binary,
        "victoria-metrics": victoriametrics_binary,
    }
    return lambda *options, **how: KafkaFleet(processes, tmp_path, socket_path.parent, binaries, *options, **how)


@pytest.fixture
def fleet(start_fleet: Callable[..., KafkaFleet]) -> KafkaFleet:
    """All of it, as users have it."""
    return start_fleet()
