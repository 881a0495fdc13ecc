"""A fleet's Telegraf configurations: what a node sends, and what the central Telegraf makes of it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telegraf_bitcoin_ipc.telegraf.fleet_config import outage, render_central, render_node
from telegraf_bitcoin_ipc.telegraf.routes import parse
from telegraf_bitcoin_ipc.telegraf.sample_config import DEFAULT_ADDRESS, EXAMPLE_SOCKET, render

GOLDEN = Path(__file__).parents[2] / "golden" / "fleet"

COMMAND = ["telegraf-bitcoin-ipc", "--tag", "node=alpha", EXAMPLE_SOCKET]

HTTP = "https://alice@central.example:8186"
KAFKA = "kafka+ssl://alice@k1.example:9092,k2.example:9092/bitcoin"


def node(url: str, emit_interval: float = 10, *, address: str | None = None, debug: bool = False) -> Any:
    """Return the configuration for a node, as a TOML parser reads it."""
    route = parse("--output", url)
    return tomllib.loads(render_node(route, COMMAND, emit_interval, address=address, debug=debug))


def central(url: str, emit_interval: float = 10) -> Any:
    """Return the central configuration, as a TOML parser reads it."""
    return tomllib.loads(render_central(parse("--central", url), DEFAULT_ADDRESS, emit_interval))


@pytest.mark.parametrize("url", [HTTP, KAFKA], ids=["http", "kafka"])
def test_golden(url: str, golden: Callable[[Path, str], None]) -> None:
    """The four files as users get them, with all that can be in them."""
    kind = url.partition("://")[0].partition("+")[0].removesuffix("s")
    golden(GOLDEN / f"node-{kind}.conf", render_node(parse("--output", url), COMMAND, 10))
    golden(GOLDEN / f"central-{kind}.conf", render_central(parse("--central", url), DEFAULT_ADDRESS, 10))


def test_node_has_no_page_unless_asked_for() -> None:
    """A node of a fleet serves nothing by itself; with an address it has the page of a single node as well.

    With --debug Telegraf shows the plugin's debug lines here, too.
    """
    alone = tomllib.loads(render(COMMAND))
    assert node(HTTP)["outputs"].keys() == {"http"}
    both = node(HTTP, address=DEFAULT_ADDRESS)
    assert both["outputs"]["prometheus_client"] == alone["outputs"]["prometheus_client"]
    assert both["inputs"] == alone["inputs"]
    assert both["agent"] == alone["agent"]
    assert node(HTTP, debug=True)["agent"]["debug"] is True


@pytest.mark.parametrize("url", [HTTP, KAFKA])
def test_central_page_is_the_page_of_a_node(url: str) -> None:
    """Prometheus finds the same names and types as at home; additions are for old lines and for many nodes.

    It keeps values as long as the nodes' emission interval demands.
    """
    (page,) = central(url)["outputs"]["prometheus_client"]
    assert (page.pop("metric_batch_size"), page.pop("metric_buffer_limit")) == (10_000, 100_000)
    assert page.pop("metricpass") == "now() - time < duration('60s')"
    assert page == tomllib.loads(render(COMMAND))["outputs"]["prometheus_client"][0]
    (page,) = central(url, emit_interval=60)["outputs"]["prometheus_client"]
    assert page["expiration_interval"] == "180s"


def test_both_sides_agree() -> None:
    """The central Telegraf listens where the nodes send to: the path, or the brokers, topic, version and login."""
    (sender,), (listener,) = node(HTTP)["outputs"]["http"], central(HTTP)["inputs"]["http_listener_v2"]
    assert sender["url"] == "https://central.example:8186" + listener["paths"][0]
    assert sender["username"] == listener["basic_username"]
    assert sender["password"] == listener["basic_password"]
    (output,), (consumer,) = node(KAFKA)["outputs"]["kafka"], central(KAFKA)["inputs"]["kafka_consumer"]
    shared = ("brokers", "sasl_username", "sasl_password", "sasl_mechanism", "enable_tls", "tls_ca")
    assert [output[name] for name in shared] == [consumer[name] for name in shared]
    assert [[output["topic"]], output["version"]] == [consumer["topics"], consumer["kafka_version"]]


@pytest.mark.parametrize("url", [HTTP, KAFKA])
def test_delivery(url: str) -> None:
    """Only the plugin's lines are sent, and wait in a buffer; Kafka has them safely, each node's in order."""
    ((kind, (output,)),) = node(url)["outputs"].items()
    assert (output["namepass"], output["tagexclude"]) == (["bitcoin"], ["host"])
    assert (output["metric_batch_size"], output["metric_buffer_limit"]) == (1000, 100_000)
    if kind == "kafka":
        assert (output["required_acks"], output["routing_tag"]) == (-1, "node")


@pytest.mark.parametrize("url", ["http://127.0.0.1", "kafka://127.0.0.1"])
def test_without_user_and_tls(url: str) -> None:
    """Without a user and TLS nothing refers to the environment."""
    for made in (node(url), central(url)):
        assert "$" not in str(made)
        assert not [word for word in ("tls", "sasl", "user", "password") if word in str(made)]


@pytest.mark.parametrize(
    ("lines", "interval", "text"),
    [(42, 10, "6 hours"), (100, 10, "2 hours"), (42, 60, "39 hours"), (100, 1, "16 minutes")],
)
def test_outage(lines: int, interval: float, text: str) -> None:
    """The comment beside the buffer says how long an outage it holds at this emission interval."""
    assert outage(lines, interval) == text
