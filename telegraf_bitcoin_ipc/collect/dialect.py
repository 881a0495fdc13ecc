"""A dialect, which is a kind of node: where each metric comes from, and why one has no value."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from typing import Any, Final, NamedTuple

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, METRICS
from telegraf_bitcoin_ipc.collect.tags import FEE_TARGETS, Subscription
from telegraf_bitcoin_ipc.collect.values import Read

RPC: Final = "rpc"
"""The interface name of all JSON-RPC methods, whichever interface of the dialect carries them."""

STATISTICS: Final = "getblockstats"
"""The method that is called once for each new block, and is no part of a poll."""


@dataclass(frozen=True)
class Call:
    """A call to the node: `method` of a Cap'n Proto interface, or of JSON-RPC.

    `arguments` are names and values; JSON-RPC takes the values in order. If `each` is given the call is repeated
    with each of its values as the only argument, and the results are a mapping by the values as text. With
    `once_per_tip` it is made once after each new tip, and not during initial block download.
    """

    interface: str
    method: str
    arguments: tuple[tuple[str, Any], ...] = ()
    each: tuple[Any, ...] = ()
    once_per_tip: bool = False

    @property
    def name(self) -> str:
        """The call's name, for instance `Chain.getHeight` or `getmempoolinfo`."""
        return self.method if self.interface == RPC else f"{self.interface.capitalize()}.{self.method}"


class Source(NamedTuple):
    """One call, and the reader of each metric whose value it returns."""

    call: Call
    values: Mapping[str, Read]

    @property
    def name(self) -> str:
        """The call's name."""
        return self.call.name

    def of_block(self, block: str | int) -> "Source":
        """Return the statistics' source for one block, named by its hash or its height."""
        arguments = (("hash_or_height", block), *self.call.arguments)
        return self._replace(call=replace(self.call, arguments=arguments))


class Polled(NamedTuple):
    """A value read from the results of a call."""

    call: Call
    read: Read

    def __str__(self) -> str:
        return self.call.name


CALLBACKS: Final = {Subscription.CHAIN: "ChainNotifications", Subscription.UTXO_CACHE: "UtxoCacheTrace"}
"""The interface that the node calls for each subscription."""


class Pushed(NamedTuple):
    """A value made from the calls that the node makes for a subscription, for instance `UtxoCacheTrace.add`."""

    subscription: Subscription
    method: str

    def __str__(self) -> str:
        return f"{CALLBACKS[self.subscription]}.{self.method}"


class Followed(Enum):
    """A value made by following the tip of a node without notifications, by the name of the call that it costs."""

    TIP = "Mining.waitTipChanged"
    HEADERS = "getblockheader"
    """From the headers between the previous tip and the new one: one call per block."""

    def __str__(self) -> str:
        return self.value


Origin = Polled | Pushed | Followed | None
"""Where a metric comes from, with the name of the call as its text; None if the dialect does not offer it."""


class Reason(Enum):
    """Why a metric has no value."""

    GROUP_OFF = auto()  # its group is not among those chosen with --metrics
    NO_TRACING = auto()  # the node has no Tracing interface
    NO_CHAIN = auto()  # the node has no Chain interface
    NO_RPC = auto()  # the node offers no JSON-RPC on its IPC socket
    TRACE_OFF = auto()  # --no-utxo-trace was given
    DOWNLOADING = auto()  # it is not collected during initial block download
    NO_VALUE = auto()  # none of these: the node has no value, or has not reported it yet


NOT_OFFERED: Final = frozenset({Reason.NO_TRACING, Reason.NO_CHAIN, Reason.NO_RPC})
"""The reasons that depend on the kind of node."""


@dataclass(frozen=True)
class Dialect:
    """A kind of node: where each metric comes from or which interface it lacks, and what can be subscribed to."""

    name: str
    origins: Mapping[str, Origin]
    lacking: Mapping[str, Reason]
    subscriptions: tuple[Subscription, ...]

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """All calls, in polling order."""
        readers: dict[Call, dict[str, Read]] = {}
        for metric, origin in self.origins.items():
            if isinstance(origin, Polled):
                readers.setdefault(origin.call, {})[metric] = origin.read
        return tuple(Source(call, by_metric) for call, by_metric in readers.items())

    def polled(self, fee_targets: Iterable[int] = FEE_TARGETS) -> Iterator[Source]:
        """Yield the sources of a poll, in order."""
        for source in self.sources:
            if source.call.each:
                source = source._replace(call=replace(source.call, each=tuple(fee_targets)))
            if source.call.method != STATISTICS:
                yield source

    @property
    def statistics(self) -> Source | None:
        """The source of each new block's statistics; None without JSON-RPC."""
        return next((source for source in self.sources if source.call.method == STATISTICS), None)

    def subscription(self, metric: str) -> Subscription | None:
        """Return the subscription that a metric is made from, if there is one."""
        origin = self.origins.get(metric)
        return origin.subscription if isinstance(origin, Pushed) else None

    def calls(self, group: str) -> list[Call]:
        """Return the calls that give the metrics of a group, in polling order."""
        origins = (origin for metric, origin in self.origins.items() if METRICS[metric].group == group)
        return list(dict.fromkeys(origin.call for origin in origins if isinstance(origin, Polled)))

    def event_metrics(self, *kinds: Subscription | Followed) -> list[str]:
        """Return the metrics made from a subscription, or from following the tip."""
        return [
            metric
            for metric, origin in self.origins.items()
            if (origin.subscription if isinstance(origin, Pushed) else origin) in kinds
        ]


def why(
    metric: str,
    dialect: Dialect | None,
    groups: Collection[str],
    *,
    no_utxo_trace: bool = False,
    downloading: bool = False,
) -> Reason:
    """Return why a metric has no value; `dialect` is None without a node, `groups` are those that were chosen."""
    if METRICS[metric].group not in ALWAYS_ON | set(groups):
        return Reason.GROUP_OFF
    if dialect is None:
        return Reason.NO_VALUE
    if metric in dialect.lacking:
        return dialect.lacking[metric]
    origin = dialect.origins.get(metric)
    traced = dialect.subscription(metric) is Subscription.UTXO_CACHE
    if traced and no_utxo_trace:
        return Reason.TRACE_OFF
    if downloading and (traced or (isinstance(origin, Polled) and origin.call.once_per_tip)):
        return Reason.DOWNLOADING
    return Reason.NO_VALUE
