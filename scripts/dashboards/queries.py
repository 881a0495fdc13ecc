"""PromQL on metrics of the catalogue, for the nodes selected by the dashboard's variables."""

import re
from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT, METRICS, Metric

WEIGHT_PER_VBYTE: Final = 4
"""Weight units in a virtual byte (BIP 141)."""

POLLED_INTERVAL: Final = "2m"
"""The shortest step for rates of values polled once a minute: a shorter window may see no change at all."""

_CHOSEN: Final = 'instance=~"$instance", node=~"$node"'
"""Also selects series without the tag `node`: to Prometheus it is empty, which the variable's All matches."""


def value(name: str, **labels: str) -> str:
    """Return the series of a metric; raises KeyError for one that is not in the catalogue."""
    chosen = [f'{label}="{wanted}"' for label, wanted in labels.items()]
    return f"{MEASUREMENT}_{METRICS[name].name}{{{', '.join([*chosen, _CHOSEN])}}}"


def rate(name: str) -> str:
    """Return a counter's increase per second."""
    return f"rate({value(name)}[$__rate_interval])"


def per_minute(name: str) -> str:
    """Return a counter's increase per minute."""
    return f"60 * {rate(name)}"


def increase(name: str, window: str = "$__rate_interval") -> str:
    """Return a counter's increase in the window before each point."""
    return f"increase({value(name)}[{window}])"


def bitcoins(satoshi: str) -> str:
    """Return an expression in satoshi, converted to bitcoin."""
    return f"{satoshi} / 1e+08"


def age(name: str) -> str:
    """Return the seconds since a Unix time."""
    return f"time() - {value(name)}"


def metrics_in(*expressions: str) -> list[Metric]:
    """Return the metrics of the catalogue that expressions name, each once, in their order."""
    names = re.findall(rf"\b{MEASUREMENT}_(\w+)", " ".join(expressions))
    return [METRICS[name] for name in dict.fromkeys(names)]
