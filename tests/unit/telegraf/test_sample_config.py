"""The Telegraf configuration: what is printed is what Telegraf needs, whatever the paths are."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.sample_config import (
    DEFAULT_ADDRESS,
    EXAMPLE_SOCKET,
    checked_address,
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


def test_only_the_plugins_metrics_are_served() -> None:
    """Other inputs' are not, nor Telegraf's host; nothing is set that would change the pace or tags of others."""
    made = parsed(*COMMAND)
    (output,) = made["outputs"]["prometheus_client"]
    assert made["agent"] == {"skip_processors_after_aggregators": True}
    assert (output["namepass"], output["tagexclude"]) == (["bitcoin"], ["host"])


def test_types() -> None:
    """Prometheus learns the type of every metric in the catalogue.

    The lists are patterns, and a gauge's wins where both match: none of them matches a counter.
    """
    types = parsed(*COMMAND)["outputs"]["prometheus_client"][0]["metric_types"]
    assert types == {
        kind: [f"bitcoin_{metric.name}" for metric in CATALOGUE if metric.type == kind]
        for kind in ("counter", "gauge")
    }
    assert not [name for name in types["counter"] for pattern in types["gauge"] if fnmatch(name, pattern)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
@example(["p", "/run/a b/${HOME}/$$/node.sock", '/run/"quoted"/it\'s.sock', "/run/back\\slash\\u0041"])
@example(["/run/#no comment", "/run/{command}/{0}", "/run/é\u2028\U0001f600", "/run/\x01\t\n\x7f\x9f"])
def test_any_word(words: list[str]) -> None:
    """Any program, path and options survive the quoting, however they are spelt.

    Telegraf, which replaces environment variables, reads two dollar signs as one, and finds no variable.
    """
    command = parsed(*words)["inputs"]["execd"][0]["command"]
    assert command == [word.replace("$", "$$") for word in words]


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9332", ":9332", "localhost:1", "[::1]:65535", "[fe80::1%eth0]:80", "a-b.example:80"]
)
def test_good_address(address: str) -> None:
    """Any host and port that Telegraf can listen on is taken as it is, and the metrics are served there."""
    assert checked_address(address) == address
    assert parsed("p", address=address)["outputs"]["prometheus_client"][0]["listen"] == address


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
    """The example in the repository is what the program prints today; with --debug Telegraf shows debug lines."""
    assert EXAMPLE.read_text() == render(COMMAND)
    assert f'listen = "{DEFAULT_ADDRESS}"' in EXAMPLE.read_text()
    assert parsed(*COMMAND, debug=True)["agent"]["debug"] is True
