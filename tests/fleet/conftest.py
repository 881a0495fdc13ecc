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
    """Start all of it; it is stopped after the test."""
    binaries = {
        "telegraf": telegraf_binary,
        "prometheus": prometheus_binary,
        "kafka": kafka_binary,
        "victoria-metrics": victoriametrics_binary,
    }
    return lambda **how: KafkaFleet(processes, tmp_path, socket_path.parent, binaries, **how)


@pytest.fixture
def fleet(start_fleet: Callable[..., KafkaFleet]) -> KafkaFleet:
    """All of it, without TLS and password."""
    return start_fleet()
