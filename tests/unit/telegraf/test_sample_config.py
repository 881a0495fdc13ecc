"""The Telegraf configuration: what is printed is what Telegraf needs, whatever the paths are."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, METRICS
from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.sample_config import (
    DEFAULT_ADDRESS,
    EXAMPLE_SOCKET,
    checked_address,
    prometheus_names,
    render,
)

EXAMPLE = Path(__file__).parents[3] / "telegraf.conf.example"
COMMAND = ["telegraf-bitcoin-ipc", EXAMPLE_SOCKET]


def parsed(*command: str, address: str = DEFAULT_ADDRESS, emit_interval: float = 10, debug: bool = False) -> Any:
    """Return the configuration as a TOML parser reads it."""
    return tomllib.loads(render(command, address, emit_interval, debug=debug))


@pytest.mark.parametrize(("interval", "kept"), [(10, "30s"), (60, "180s"), (1.5, "5s"), (0.3, "3s")])
def test_values_are_kept_for_three_emissions(interval: float, kept: str) -> None:
    """However seldom the plugin emits, or Telegraf flushes, values do not vanish between two emissions."""
    (output,) = parsed(*COMMAND, emit_interval=interval)["outputs"]["prometheus_client"]
    assert output["expiration_interval"] == kept


def test_input() -> None:
    """Telegraf starts the plugin with the socket, and takes what it writes as line protocol."""
    (plugin,) = parsed(*COMMAND)["inputs"]["execd"]
    assert plugin == {
        "command": COMMAND,
        "signal": "none",
        "restart_delay": "10s",
        "data_format": "influx",
    }


def test_output() -> None:
    """The metrics are served where the exporter served them, and vanish when nobody sends them any more."""
    (output,) = parsed(*COMMAND)["outputs"]["prometheus_client"]
    del output["metric_types"]
    assert output == {
        "listen": DEFAULT_ADDRESS,
        "metric_version": 2,
        "path": "/metrics",
        "namepass": ["bitcoin"],
        "tagexclude": ["host"],
        "flush_interval": "1s",
        "flush_jitter": "0s",
        "expiration_interval": "30s",
        "collectors_exclude": ["gocollector", "process"],
    }
    assert DEFAULT_ADDRESS == "127.0.0.1:9332"


def test_agent() -> None:
    """Nothing is set for the whole Telegraf that would change the pace or the tags of anything else."""
    assert parsed(*COMMAND)["agent"] == {"skip_processors_after_aggregators": True}


def test_debug_lines_are_shown() -> None:
    """With --debug Telegraf shows the plugin's debug lines, which it drops otherwise."""
    assert parsed(*COMMAND, debug=True)["agent"]["debug"] is True


def test_types() -> None:
    """Prometheus learns the type of every metric in the catalogue."""
    (output,) = parsed(*COMMAND)["outputs"]["prometheus_client"]
    for metric_type in ("counter", "gauge"):
        names = [f"bitcoin_{metric.name}" for metric in CATALOGUE if metric.type == metric_type]
        assert output["metric_types"][metric_type] == names
    assert output["metric_types"].keys() == {"counter", "gauge"}


def test_no_counter_is_taken_for_a_gauge() -> None:
    """The lists are patterns, and a gauge's wins where both match: none of them matches a counter."""
    (output,) = parsed(*COMMAND)["outputs"]["prometheus_client"]
    types = output["metric_types"]
    assert not [(name, pattern) for name in types["counter"] for pattern in types["gauge"]
                if fnmatch(name, pattern)]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "/run/a b/node.sock",
        '/run/"quoted"/it\'s.sock',
        "/run/back\\slash\\u0041",
        "/run/#no comment",
        "/run/{command}/{0}",
        "/run/é\u2028\U0001f600",
        "/run/\x01\t\n\x7f\x9f",
    ],
)
def test_odd_path(path: str) -> None:
    """Telegraf opens the very path that was given, however it is spelt."""
    assert parsed("p", path)["inputs"]["execd"][0]["command"] == ["p", path]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_any_word(words: list[str]) -> None:
    """Any program and any options survive the quoting."""
    command = parsed(*words)["inputs"]["execd"][0]["command"]
    assert [word.replace("$$", "$") for word in command] == words


@pytest.mark.parametrize("path", ["/run/$HOME/node.sock", "/run/${HOME}/node.sock", "/run/$$/node.sock"])
def test_dollar_sign(path: str) -> None:
    """Telegraf, which replaces environment variables, reads two dollar signs as one, and finds no variable."""
    assert parsed("p", path)["inputs"]["execd"][0]["command"] == ["p", path.replace("$", "$$")]


def test_address() -> None:
    """The metrics are served where they were asked for."""
    assert parsed("p", address="[::1]:9400")["outputs"]["prometheus_client"][0]["listen"] == "[::1]:9400"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9332", ":9332", "localhost:1", "[::1]:65535", "[fe80::1%eth0]:80", "a-b.example:80"]
)
def test_good_address(address: str) -> None:
    """Any host and port that Telegraf can listen on is taken as it is."""
    assert checked_address(address) == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "'' is not HOST:PORT"),
        ("9332", "'9332' is not HOST:PORT"),
        ("localhost", "'localhost' is not HOST:PORT"),
        ("localhost:", "'localhost:' is not HOST:PORT"),
        ("localhost:http", "'localhost:http' is not HOST:PORT"),
        ("::1:9332", "'::1:9332' is not HOST:PORT"),
        ("a b:1", "'a b:1' is not HOST:PORT"),
        ("localhost:1\n", r"'localhost:1\n' is not HOST:PORT"),
        ("localhost:-1", "'localhost:-1' is not HOST:PORT"),
        ("localhost:0", "0 is not a valid port (1 to 65535)"),
        ("localhost:65536", "65536 is not a valid port (1 to 65535)"),
    ],
)
def test_bad_address(address: str, said: str) -> None:
    """What Telegraf could not listen on is refused in one sentence, before it is in a file."""
    with pytest.raises(ConfigError) as caught:
        checked_address(address)
    assert str(caught.value) == f"--metrics-addr: {said}"


def test_example() -> None:
    """The example in the repository is what the program prints today."""
    assert EXAMPLE.read_text() == render(COMMAND)


def test_prometheus_names() -> None:
    """Every metric is in the list of exactly one type, under the name that Prometheus shows."""
    counters, gauges = prometheus_names("counter"), prometheus_names("gauge")
    assert "bitcoin_tip_updates_total" in counters
    assert "bitcoin_up" in gauges
    assert sorted(counters + gauges) == sorted(f"bitcoin_{name}" for name in METRICS)
