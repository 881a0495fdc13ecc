"""The text of an empty panel: which group is off, or which dialects offer the metrics."""

from collections.abc import Sequence
from typing import Final

from telegraf_bitcoin_ipc.collect.dialect import NOT_OFFERED, Reason, why
from telegraf_bitcoin_ipc.collect.metrics import GROUPS, Metric
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS

NO_PLUGIN: Final = "no plugin reports"
NO_NODE: Final = "the plugin has no session with a node"


def sentence(metrics: Sequence[Metric], reason: str = "") -> str:
    """Return why none of the metrics may have a value; `reason` is one that the catalogue does not have.

    Only reasons that empty the whole panel count: a metric that is always on rules out a group that is off.
    """
    reasons = [*_groups(metrics), *_dialects(metrics), *([reason] if reason else [])]
    return "; or ".join(reasons)


def _groups(metrics: Sequence[Metric]) -> list[str]:
    if any(why(metric.name, None, groups=()) is not Reason.GROUP_OFF for metric in metrics):
        return []
    groups = dict.fromkeys(metric.group for metric in metrics)
    return [f"group {' and '.join(groups)} is off: --metrics adds it"]


def _dialects(metrics: Sequence[Metric]) -> list[str]:
    """Return which dialects offer one of the metrics; if all do, that there is no node or no plugin."""
    if any(metric.group == "plugin" for metric in metrics):
        told = all(metric.lifetime == "session" for metric in metrics)
        return [NO_NODE if told else NO_PLUGIN]
    giving = [
        each.name
        for each in DIALECTS
        if any(why(metric.name, each, GROUPS) not in NOT_OFFERED for metric in metrics)
    ]
    if len(giving) == len(DIALECTS):
        return [NO_NODE]
    return [f"the node's dialect is not {_either(giving)}"]


def _either(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
