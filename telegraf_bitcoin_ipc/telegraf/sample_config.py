"""A complete Telegraf configuration for one node, such as telegraf.conf.example."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, MEASUREMENT, MetricType
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.errors import ConfigError

DEFAULT_ADDRESS: Final = "127.0.0.1:9332"
"""The address on which ipc-exporter-rust serves its metrics, so that existing scrape configurations still work."""

DEFAULT_EMIT_INTERVAL: Final[float] = Config.model_fields["emit_interval"].default

EMISSIONS_KEPT: Final = 3
"""Values expire after this many missed emissions or flushes."""

FLUSH_INTERVAL: Final = 1
"""Seconds between two flushes of Telegraf's Prometheus output."""

MAX_PORT: Final = 65535

EXAMPLE_SOCKET: Final = "/run/bitcoind/node.sock"

HEADER: Final = """\
# Telegraf configuration for a Bitcoin node, watched over its IPC socket.
# Made by `telegraf-bitcoin-ipc config`, which takes options for another node or address.
#
# To add this to an existing configuration, copy the blocks after [agent]. They do not change the intervals or
# tags of other inputs and outputs.
"""

_AGENT: Final = """\
[agent]
  ## Telegraf 1.40's default; without it, Telegraf 1.39 warns at each start. No processors are used here.
  skip_processors_after_aggregators = true
"""

_DEBUG: Final = """\
  ## Telegraf drops the plugin's debug lines without it.
  debug = true
"""

_INPUT: Final = """\
[[inputs.execd]]
  ## The user that Telegraf runs as must be allowed to open the node's socket.
  command = {command}
  ## The plugin emits every {emit_interval} and after each new block; with "STDIN", whenever Telegraf asks for it.
  signal = "none"
  restart_delay = "10s"
  data_format = "influx"
"""

ONLY_THE_PLUGIN: Final = f"""\
  namepass = ["{MEASUREMENT}"]
  tagexclude = ["host"]
"""

AT_ONCE: Final = f"""\
  flush_interval = "{FLUSH_INTERVAL}s"
  flush_jitter = "0s"
"""

_PAGE: Final = """\
[[outputs.prometheus_client]]
  listen = {address}
  metric_version = 2
  path = "/metrics"
  ## Only the plugin's metrics, without a label for Telegraf's host.
{only_the_plugin}{more}\
  ## Show values as soon as the plugin emits them.
{at_once}\
  ## Three emissions (at least three flushes): when the plugin is gone its values disappear instead of going stale.
  expiration_interval = "{expiration}"
  ## No metrics about the Telegraf process.
  collectors_exclude = ["gocollector", "process"]

  ## Line protocol has no metric types, so they are listed here.
  [outputs.prometheus_client.metric_types]
    counter = [
{counters}
    ]
    gauge = [
{gauges}
    ]
"""


def render(
    command: Sequence[str],
    address: str = DEFAULT_ADDRESS,
    emit_interval: float = DEFAULT_EMIT_INTERVAL,
    *,
    debug: bool = False,
) -> str:
    """Return the configuration that runs `command`, with a page on `address`.

    `emit_interval` is in seconds; values leave the page after EMISSIONS_KEPT of them.
    """
    blocks = (HEADER, agent(debug=debug), plugin_input(command, emit_interval), page(address, emit_interval))
    return "\n".join(blocks)


def agent(*, debug: bool = False) -> str:
    """Return the block for Telegraf itself."""
    return _AGENT + (_DEBUG if debug else "")


def plugin_input(command: Sequence[str], emit_interval: float) -> str:
    """Return the block that runs the plugin."""
    return _INPUT.format(command=toml(command), emit_interval=f"{emit_interval:g} s")


def page(address: str, emit_interval: float, more: str = "") -> str:
    """Return the block of the Prometheus page, at home and for a fleet; `more` is lines for its filter."""
    return _PAGE.format(
        address=toml(address),
        only_the_plugin=ONLY_THE_PLUGIN,
        more=more,
        at_once=AT_ONCE,
        expiration=f"{math.ceil(EMISSIONS_KEPT * max(emit_interval, FLUSH_INTERVAL))}s",
        counters=_items(prometheus_names("counter")),
        gauges=_items(prometheus_names("gauge")),
    )


def checked_address(address: str) -> str:
    """Return HOST:PORT unchanged; raises ConfigError if it is invalid. IPv6 hosts are in brackets."""
    if not (match := re.fullmatch(r"([^\s:\[\]]*|\[[0-9a-fA-F:.%a-z]+\]):([0-9]{1,5})", address)):
        raise ConfigError(f"--metrics-addr: {address!r} is not HOST:PORT")
    if not 0 < int(match[2]) <= MAX_PORT:
        raise ConfigError(f"--metrics-addr: {match[2]} is not a valid port (1 to {MAX_PORT})")
    return address


def _items(names: Iterable[str]) -> str:
    return "\n".join(f"      {toml(name)}," for name in names)


def toml(value: str | Sequence[str]) -> str:
    """Return a TOML basic string, or an array of them; TOML supports all of JSON's escapes.

    Dollar signs are doubled because Telegraf replaces environment variables, before or after it parses the TOML.
    """
    if not isinstance(value, str):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f").replace("$", "$$")


def prometheus_names(metric_type: MetricType) -> list[str]:
    """Return the names, as Prometheus shows them, of all metrics of a type, in catalogue order."""
    return [f"{MEASUREMENT}_{metric.name}" for metric in CATALOGUE if metric.type == metric_type]
