"""Telegraf configurations for a fleet: a node's, with an output to a central Telegraf, and the central one's."""

import math
from collections.abc import Sequence
from typing import Final

from telegraf_bitcoin_ipc.telegraf.routes import PASSWORD, Route
from telegraf_bitcoin_ipc.telegraf.sample_config import (
    AT_ONCE,
    HEADER,
    ONLY_THE_PLUGIN,
    agent,
    page,
    plugin_input,
    toml,
)

CA: Final = "BITCOIN_FLEET_CA"
CERTIFICATE: Final = "BITCOIN_FLEET_CERT"
KEY: Final = "BITCOIN_FLEET_KEY"

BUFFERED_LINES: Final = 100_000
"""Lines that a node's Telegraf keeps in memory while it cannot deliver them: some 50 MB."""

LINES_PER_EMISSION: Final = 42
"""Counted, with the default groups, on a simulated node of the dialect tracing."""

MOST_LINES_PER_EMISSION: Final = 100
"""The same with all groups."""

AGE_LIMIT: Final = 60
"""Seconds after which a line no longer describes the present. It is less than the age of polled values at which
prometheus/alerts.yml fires, the poll interval subtracted."""

KAFKA_VERSION: Final = "2.1.0"
"""The oldest protocol that Kafka 4 supports. Telegraf's consumer uses an older one unless told otherwise."""

_ENVIRONMENT: Final = "set it for Telegraf, in /etc/default/telegraf"

_CENTRAL_HEADER: Final = """\
# Telegraf configuration for the central Telegraf of many Bitcoin nodes, which receives the metrics from the nodes'
# Telegrafs and serves them to Prometheus. Made by `telegraf-bitcoin-ipc config --central`.
"""

_DELIVERY: Final = f"""\
  ## Only the plugin's metrics, without a tag for Telegraf's host: the tag `node` distinguishes the nodes.
{ONLY_THE_PLUGIN}\
  data_format = "influx"
{AT_ONCE}\
  metric_batch_size = 1000
  ## Lines that cannot be delivered wait in memory: {BUFFERED_LINES} are {{outage}} of the default groups
  ## ({{short_outage}} of all). When the buffer is full, the oldest are dropped. Counters are cumulative, so their
  ## values stay right: only the detail of that time is lost.
  metric_buffer_limit = {BUFFERED_LINES}
"""

_HTTP_OUTPUT: Final = """\
[[outputs.http]]
  ## The central Telegraf. While it does not answer, or refuses (status 401: the password), Telegraf tries again.
  url = {url}
  method = "POST"
{login}\
  content_encoding = "gzip"
{delivery}"""

_KAFKA_OUTPUT: Final = """\
[[outputs.kafka]]
  brokers = {brokers}
  topic = {topic}
  version = "{version}"
  ## One partition for each node, which keeps its lines in order.
  routing_tag = "node"
  ## A line is delivered when all in-sync replicas have it.
  required_acks = -1
  max_retry = 3
  ## gzip
  compression_codec = 1
  ## Start without Kafka, and connect when it is there.
  startup_error_behavior = "retry"
{login}\
{delivery}"""

_HTTP_INPUT: Final = """\
[[inputs.http_listener_v2]]
  service_address = {address}
  paths = [{path}]
  methods = ["POST"]
  max_body_size = "16MB"
{login}\
  data_format = "influx"
"""

_KAFKA_INPUT: Final = """\
[[inputs.kafka_consumer]]
  brokers = {brokers}
  topics = [{topic}]
  kafka_version = "{version}"
  ## A second central Telegraf needs a group of its own; in the same one they would share the nodes out.
  consumer_group = "bitcoin-central"
  ## Where to begin at the very first start: the past of the topic is of no use to a page that shows the present.
  ## Later starts go on where the group was.
  offset = "newest"
  ## A line is acknowledged once the page has it. A batch of the page at a time.
  max_undelivered_messages = 10000
  ## Longer than the page's flush interval.
  max_processing_time = "5s"
  ## Start without Kafka, and connect when it is there.
  startup_error_behavior = "retry"
{login}\
  data_format = "influx"
"""

_TLS_CA: Final = f"""\
  ## The CA that signed the other side's certificate, a PEM file; without {CA}, the system's CAs.
  tls_ca = "${{{CA}:-}}"
"""

# Without a certificate, http_listener_v2 would not use TLS at all.
_TLS_SERVER: Final = f"""\
  tls_cert = "${{{CERTIFICATE}:?{_ENVIRONMENT}}}"
  tls_key = "${{{KEY}:?{_ENVIRONMENT}}}"
"""

_AGE: Final = f"""\
  ## The lines that arrive after an outage are of the past, and the page would show them as if they were new. Other
  ## outputs get them. A node whose clock is this slow is missing here.
  metricpass = "now() - time < duration('{AGE_LIMIT}s')"
"""

_MANY_SERIES: Final = """\
  ## After each batch Telegraf looks through all values for those that have expired: with many nodes, a small batch
  ## costs more for that than for its lines. What comes during a scrape of a large page waits.
  metric_batch_size = 10000
  metric_buffer_limit = 100000
"""


def render_node(
    route: Route, command: Sequence[str], emit_interval: float, *, address: str | None = None, debug: bool = False
) -> str:
    """Return the configuration that runs `command` and sends its lines on the route, and a page on `address`.

    The interval is in seconds.
    """
    blocks = [HEADER, agent(debug=debug), plugin_input(command, emit_interval), _output(route, emit_interval)]
    if address is not None:
        blocks.append(page(address, emit_interval))
    return "\n".join(blocks)


def render_central(route: Route, address: str, emit_interval: float) -> str:
    """Return the configuration that serves on `address` what comes on the route.

    `emit_interval` is the nodes', in seconds.
    """
    return "\n".join((_CENTRAL_HEADER, agent(), _input(route), page(address, emit_interval, _AGE + _MANY_SERIES)))


def outage(lines_per_emission: int, emit_interval: float) -> str:
    """Return how long an outage may be without the loss of a line, in words."""
    hours = BUFFERED_LINES / lines_per_emission * emit_interval / 3600
    return f"{math.floor(hours)} hours" if hours >= 2 else f"{math.floor(hours * 60)} minutes"


def _output(route: Route, emit_interval: float) -> str:
    delivery = _DELIVERY.format(
        outage=outage(LINES_PER_EMISSION, emit_interval),
        short_outage=outage(MOST_LINES_PER_EMISSION, emit_interval),
    )
    if route.is_kafka:
        return _KAFKA_OUTPUT.format(**_kafka(route), delivery=delivery)
    login = _password("username", "password", route.user) + (_TLS_CA if route.tls else "")
    return _HTTP_OUTPUT.format(url=toml(route.url), login=login, delivery=delivery)


def _input(route: Route) -> str:
    if route.is_kafka:
        return _KAFKA_INPUT.format(**_kafka(route))
    login = _password("basic_username", "basic_password", route.user) + (_TLS_SERVER if route.tls else "")
    return _HTTP_INPUT.format(address=toml(f"tcp://{route.servers[0]}"), path=toml(route.place), login=login)


def _kafka(route: Route) -> dict[str, str]:
    """Return what output and input have in common."""
    login = _password("sasl_username", "sasl_password", route.user)
    if route.user:
        login += '  ## Or SCRAM-SHA-256, SCRAM-SHA-512.\n  sasl_mechanism = "PLAIN"\n'
    if route.tls:
        login += "  enable_tls = true\n" + _TLS_CA
    return {"brokers": toml(route.servers), "topic": toml(route.place), "version": KAFKA_VERSION, "login": login}


def _password(user_setting: str, password_setting: str, user: str) -> str:
    """Return a user's settings, if any. Telegraf must not start without the password: an empty one lets all in."""
    if not user:
        return ""
    return f'  {user_setting} = {toml(user)}\n  {password_setting} = "${{{PASSWORD}:?{_ENVIRONMENT}}}"\n'
