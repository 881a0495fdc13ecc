"""Why a metric has no value: one reason, which each front end phrases itself."""

from collections.abc import Collection
from enum import Enum, auto
from typing import Protocol

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, METRICS
from telegraf_bitcoin_ipc.collect.tags import Subscription


class Reason(Enum):
    """Why a metric has no value."""

    GROUP_OFF = auto()
    """The metric's group is not among those chosen with --metrics."""

    NO_TRACING = auto()
    """The node has no Tracing interface."""

    NO_CHAIN = auto()
    """The node has no Chain interface."""

    NO_RPC = auto()
    """The node offers no JSON-RPC on its IPC socket."""

    TRACE_OFF = auto()
    """--no-utxo-trace was given."""

    DOWNLOADING = auto()
    """The node is in initial block download, during which this metric is not collected."""

    NO_VALUE = auto()
    """None of the above: the node has no value, or has not reported it yet."""


NOT_OFFERED = frozenset({Reason.NO_TRACING, Reason.NO_CHAIN, Reason.NO_RPC})
"""The reasons that depend on the kind of node."""


class Dialect(Protocol):
    """What a kind of node offers."""

    def missing(self, metric: str) -> Reason | None:
        """Return why this kind of node lacks the metric, one of NOT_OFFERED; None if it offers it."""

    def subscription(self, metric: str) -> Subscription | None:
        """Return the subscription that the metric is made from, if there is one."""

    def once_per_tip(self, metric: str) -> bool:
        """Return whether the metric is polled once per new tip, and not during initial block download."""


def why(
    metric: str,
    dialect: Dialect | None,
    groups: Collection[str],
    *,
    no_utxo_trace: bool = False,
    downloading: bool = False,
) -> Reason:
    """Return why a metric has no value: what the user chose first, then what the node lacks.

    `dialect` is None without a node; `groups` are those chosen in addition to the ones that are always on.
    """
    if METRICS[metric].group not in ALWAYS_ON | set(groups):
        return Reason.GROUP_OFF
    if dialect is None:
        return Reason.NO_VALUE
    if (missing := dialect.missing(metric)) is not None:
        return missing
    traced = dialect.subscription(metric) is Subscription.UTXO_CACHE
    if traced and no_utxo_trace:
        return Reason.TRACE_OFF
    if downloading and (traced or dialect.once_per_tip(metric)):
        return Reason.DOWNLOADING
    return Reason.NO_VALUE
