"""The values that the screen shows, from samples of the store over time: values, rates, reasons for absence."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.collect.dialect import NOT_OFFERED, Dialect, Polled, Pushed, Reason, why
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.collect.store import Sample
from telegraf_bitcoin_ipc.collect.values import Number
from telegraf_bitcoin_ipc.ipc.dialects import BY_NAME
from telegraf_bitcoin_ipc.top.history import KEPT_SECONDS, History

PACED: Final = (
    "blocks_connected_total",
    "mempool_tx_added_total",
    "mempool_tx_removed_total",
    "mempool_tx_confirmed_total",
    "bytes_recv_total",
    "bytes_sent_total",
    "utxo_cache_add_total",
    "utxo_cache_spend_total",
    "utxo_cache_uncache_total",
)
"""Counters whose rate is shown."""

PROGRESS: Final = ("verification_progress", "chain_height")

PACE_SECONDS: Final = 10.0
"""Window of a rate: short enough to be current, long enough not to flicker."""

ESTIMATE_SECONDS: Final = 10.0
"""Shortest observation of a synchronisation from which its remaining time is estimated."""

WORDS: Final = {
    Reason.GROUP_OFF: "not chosen (--metrics)",
    **dict.fromkeys(NOT_OFFERED, "not offered by this node"),
    Reason.TRACE_OFF: "not traced (option)",
    Reason.DOWNLOADING: "after the download",
    Reason.NO_VALUE: "not known",
}
"""Why a value is absent, in the few words that a panel has room for."""

Key = tuple[str, ...]


class Node(NamedTuple):
    """The node that is watched."""

    version: str
    chain: str
    dialect: Dialect


class Model:
    """The newest values and the series of one session; all are dropped when it ends."""

    def __init__(self, groups: Iterable[str], *, trace_wanted: bool = True) -> None:
        """Start without a node; `groups` are those chosen in addition to the ones that are always on."""
        self._groups = frozenset(groups)
        self._trace_wanted = trace_wanted
        self._session: Number | None = None
        self._end_session()

    def _end_session(self) -> None:
        self._values: dict[Key, Number] = {}
        self._series = {name: History() for name in (*PACED, *PROGRESS)}
        self.node: Node | None = None
        self.height: Number | None = None

    def take(self, samples: Iterable[Sample], now: float) -> None:
        """Take all samples of the store at a time (Unix time)."""
        values = {(sample.name, *(text for _, text in sample.tags)): sample.value for sample in samples}
        session = values.get(("connects_total",))
        node = _node(values)
        if node is None or session != self._session:
            self._end_session()
        self._session = session
        if node is None:
            return
        before, self._values, self.node = self._values, values, node
        self._move(before, values)
        polled_at = values.get(("last_poll_timestamp_seconds",))
        for name, series in self._series.items():
            time = polled_at if isinstance(node.dialect.origins.get(name), Polled) else now
            value = self.value(name)
            if value is not None and time is not None:
                series.add(time, value)

    def value(self, name: str, *tag_values: str) -> Number | None:
        """Return a metric's newest value; None if it is unknown or from an earlier session."""
        return self._values.get((name, *tag_values)) if self._is_current(name) else None

    def by_tag(self, name: str) -> Mapping[str, Number]:
        """Return the newest values of a metric by its only tag."""
        return {key[1]: value for key, value in self._values.items() if key[0] == name}

    def why_absent(self, name: str) -> str:
        """Return why a metric has no value."""
        dialect = self.node.dialect if self.node else None
        downloading = bool(self.value("ibd"))
        reason = why(name, dialect, self._groups, no_utxo_trace=not self._trace_wanted, downloading=downloading)
        return WORDS[reason]

    def pace(self, name: str) -> float | None:
        """Return a counter's growth per second; None until it was sampled twice."""
        return self._series[name].pace(PACE_SECONDS)

    def paces(self, name: str, columns: int, step: float) -> list[float | None]:
        """Return a counter's growth per second in each of the newest intervals of `step` seconds."""
        return self._series[name].paces(columns, step)

    def synced(self) -> float | None:
        """Return the verified part of the chain, 0 to 1: the node's own estimate, or else blocks by headers."""
        progress = self.value("verification_progress")
        if progress is not None:
            return float(progress)
        headers = self.value("header_height")
        return self.height / headers if headers and self.height is not None else None

    def seconds_to_sync(self) -> float | None:
        """Return the remaining time at the observed rate; None while it cannot be estimated."""
        progress, series = self.value("verification_progress"), self._series["verification_progress"]
        goal: Number | None = 1
        if progress is None:
            progress, series = self.value("chain_height"), self._series["chain_height"]
            goal = self.value("header_height")
        pace = series.pace(KEPT_SECONDS)
        if progress is None or goal is None or not pace or pace < 0 or series.span() < ESTIMATE_SECONDS:
            return None
        return max(goal - progress, 0) / pace

    def _is_current(self, name: str) -> bool:
        """Return whether a metric belongs to this session: the store keeps counters of earlier sessions."""
        if METRICS[name].group == "plugin":
            return True
        origin = self.node.dialect.origins.get(name) if self.node else None
        if not isinstance(origin, Pushed):
            return origin is not None
        return self._values.get(("subscription_active", origin.subscription)) == 1

    def _move(self, before: Mapping[Key, Number], now: Mapping[Key, Number]) -> None:
        """Set the height to whichever changed last, the last block's or the last poll's."""
        for name in ("block_height", "chain_height"):
            height = now.get((name,))
            if height is not None and height != before.get((name,)):
                self.height = height
                return


def _node(values: Mapping[Key, Number]) -> Node | None:
    for name, *tag_values in values:
        if name == "node_info":
            version, chain, dialect = tag_values
            return Node(version, chain, BY_NAME[dialect])
    return None
