"""Compare another exporter's metrics with the plugin's, from looks at both pages over a window."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from telegraf_bitcoin_ipc.collect.dialect import Reason, why
from telegraf_bitcoin_ipc.collect.metrics import GROUPS, MEASUREMENT, METRICS
from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.errors import ConfigError, EndpointUnavailable
from telegraf_bitcoin_ipc.ipc.dialects import BY_NAME
from telegraf_bitcoin_ipc.parity.exposition import Page, Sample
from telegraf_bitcoin_ipc.parity.looks import PREFIX, Look, Record, Series, new_values, old_values, value
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS
from telegraf_bitcoin_ipc.parity.row import PUSHED_LAG, Exporter, Row, in_braces

Status = Literal["equal", "differs", "missing", "not offered", "undecided"]

PROOF: Final = f"{PREFIX}plugin_info"
"""A metric that every page of the plugin has."""

LONG_ENOUGH: Final = 4
"""Recommended window for a counter, as a multiple of the time that one page may be behind the other."""

MANY: Final = 20
"""Maximum names in a printed list; the rest are only counted."""

WORDS: Final = {
    Reason.GROUP_OFF: "the group {group} is off (--metrics) or has no values yet",
    Reason.NO_TRACING: "the node has no Tracing interface",
    Reason.NO_CHAIN: "the node has no Chain interface",
    Reason.NO_RPC: "the node has no JSON-RPC on its IPC socket",
    Reason.TRACE_OFF: "not subscribed to the UTXO cache trace (--no-utxo-trace?)",
    Reason.DOWNLOADING: "not collected during initial block download",
    Reason.NO_VALUE: "no value yet (`check` says what works)",
}
"""Why the plugin's page lacks a metric."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a comparison; the values are in the plugin's unit, and are increases if `increase` is set."""

    status: Status
    there: float | None = None
    here: float | None = None
    increase: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict about an old metric and its counterpart in the plugin (empty if there is none)."""

    old: str
    new: str
    verdict: Verdict


def find_exporter(page: Page, name: str | None = None) -> Exporter:
    """Return the exporter that is named, or detect it from the page.

    Raises ConfigError if the page has no metric of the named exporter, or if none or several are detected.
    """
    names = {sample.name for sample in page}
    found = [exporter for exporter in EXPORTERS.values() if exporter.mark in names]
    seen = " and ".join(exporter.name for exporter in found) or "no known exporter"
    if name is not None:
        others = {row.old for other in EXPORTERS.values() if other.name != name for row in other.rows}
        own = [row for row in EXPORTERS[name].rows if row.old not in others]
        if not any(row.labels_in(each) is not None for row in own for each in names):
            raise ConfigError(f"--from: OLD_URL has no metrics of {name}; it has metrics of {seen}")
        return EXPORTERS[name]
    if PROOF in names:
        raise ConfigError("OLD_URL is a page of this plugin; use --from NAME to compare it anyway")
    if len(found) != 1:
        raise ConfigError(f"OLD_URL has metrics of {seen}; use --from with one of {', '.join(EXPORTERS)}")
    return found[0]


def of_one_node(page: Page, match: Mapping[str, str]) -> Page:
    """Return the plugin's series of the node with the given tags, reduced to the tags of the catalogue.

    Raises EndpointUnavailable if there are no series of the plugin, ConfigError unless exactly one node matches.
    """
    nodes: dict[frozenset[tuple[str, str]], list[Sample]] = {}
    for sample in page:
        metric = METRICS.get(sample.name.removeprefix(PREFIX))
        if metric and sample.name.startswith(PREFIX):
            own = {tag: text for tag, text in sample.labels.items() if tag in metric.tags}
            node = frozenset(sample.labels.items() - own.items())
            nodes.setdefault(node, []).append(Sample(sample.name, own, sample.value))
    if not any(sample.name == PROOF for samples in nodes.values() for sample in samples):
        raise EndpointUnavailable(f"NEW_URL has no {PROOF}, so it is not a page of this plugin")
    chosen = [samples for node, samples in nodes.items() if match.items() <= dict(node).items()]
    if len(chosen) != 1:
        names = [",".join(f"{key}={text}" for key, text in sorted(node)) or "no tag" for node in nodes]
        raise ConfigError(f"--match must select one node of NEW_URL, which has: {listed(names, '; ')}")
    return tuple(chosen[0])


def listed(names: list[str], between: str = ", ") -> str:
    """Return a list for a sentence, truncated to MANY names."""
    more = [f"{len(names) - MANY} more"] if len(names) > MANY else []
    return between.join([*names[:MANY], *more])


def compare(exporter: Exporter, record: Record, tolerance: float = 0) -> list[Finding]:
    """Return the findings for all metrics of the old pages, in the order of the mapping.

    `tolerance` is a fraction that replaces a row's own if that is smaller.
    """
    names = {sample.name for look in record.looks for sample in look.old}
    rows = [row for row in exporter.rows if any(row.labels_in(name) is not None for name in names)]
    return [finding for row in rows for finding in _Comparison(exporter, record, row, tolerance).findings()]


class _Comparison:
    """The comparison of one row of the mapping over a record."""

    def __init__(self, exporter: Exporter, record: Record, row: Row, tolerance: float) -> None:
        self._exporter, self._record, self._row = exporter, record, row
        self._tolerance = max(row.tolerance, tolerance)
        self._lag = PUSHED_LAG + record.late + (record.poll_interval if row.polled else 0)

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each value of the label `by`, or a single one."""
        row, record = self._row, self._record
        if not row.new:
            yield Finding(row.old, "", Verdict("not offered", remark=row.note))
            return
        old = [old_values(row, look.old) for look in record.looks]
        new = [new_values(row, look.new) for look in record.looks]
        keys = set().union(*old[record.begin :])
        if not keys and row.nothing is not None:
            yield Finding(*_names(row, ""), Verdict("undecided", row.nothing, remark="no value there yet"))
        times = [look.at for look in record.looks]
        for key in sorted(keys):
            there, here = (Series(times, [each.get(key) for each in page], record.begin) for page in (old, new))
            yield Finding(*_names(row, key), self._verdict(there, here))

    def _verdict(self, old: Series, new: Series) -> Verdict:
        if not new.known:
            return Verdict("missing", old.latest, remark=_why_missing(self._row, self._record.last.new))
        if self._row.is_counter and (old.fell or new.fell):
            sides = " and ".join(side for side, series in (("there", old), ("here", new)) if series.fell)
            return _undecided(old, new, f"the counter was reset {sides} during the window; run it again")
        if self._row.compares_increases:
            return self._of_increases(old, new)
        if self._row.of_block:
            return self._of_blocks(old, new)
        return self._of_values(old, new)

    def _of_increases(self, old: Series, new: Series) -> Verdict:
        """Compare a counter's increases; the new page may be `lag` seconds behind at either end."""
        lag, seconds = self._lag, self._record.seconds
        if 2 * lag > seconds:
            window = round(LONG_ENOUGH * lag)
            return _undecided(old, new, f"the page here may lag by up to {lag:g} s; use --window {window} or more")
        least, most = old.increases(lag)
        gap, size = max(new.increase - most, least - new.increase), max(old.increase, new.increase)
        if gap <= self._row.slack + (self._tolerance + self._uncounted()) * size:
            return self._equal(old.increase, new.increase, increase=True)
        return self._differs(abs(old.increase - new.increase), size, old.increase, new.increase, increase=True)

    def _uncounted(self) -> float:
        """Return the fraction of a sum's events that one page misses because it is behind."""
        row = next((row for row in self._exporter.rows if row.new == self._row.counted), None)
        if row is None:
            return 0
        for finding in _Comparison(self._exporter, self._record, row, self._tolerance).findings():
            old, new = finding.verdict.there or 0, finding.verdict.here or 0
            if finding.verdict.status == "equal" and old + new:
                return abs(old - new) / max(old, new)
        return 0

    def _of_blocks(self, old: Series, new: Series) -> Verdict:
        """Compare properties of the last block, only at looks at which both pages show the same block."""
        same = [_show_one_block(self._exporter, look) for look in self._record.looks]
        old_same, new_same = old.only(same), new.only(same)
        if not (old_same.known and new_same.known):
            return _undecided(old, new, "the pages show different blocks; run it again")
        return self._of_values(old_same, new_same)

    def _of_values(self, old: Series, new: Series) -> Verdict:
        """Compare the ranges of both pages' values within the window, which must overlap."""
        higher, lower = (old, new) if min(old.known) > max(new.known) else (new, old)
        least, most = min(higher.known), max(lower.known)
        gap, size = max(least - most, 0), max(abs(least), abs(most))
        if gap <= self._row.slack + self._tolerance * size:
            return self._equal(old.known[-1], new.known[-1], _ranges(old, new))
        if self._row.follows_polls and (remark := self._too_short()):
            return _undecided(old, new, remark)
        return self._differs(gap, size, old.known[-1], new.known[-1], _ranges(old, new))

    def _too_short(self) -> str:
        """Return why the window may be too short for polled values to overlap; empty if it is long enough."""
        old, new = self._exporter.poll_interval, self._record.poll_interval
        if old + new < self._record.seconds:
            return ""
        there = f"every {old:.0f} s there and " if old else ""
        faster = ", or run the plugin with --poll-interval 5" if new > old else ""
        return f"polled {there}every {new:.0f} s here; use --window {math.ceil(old + new)}{faster}"

    def _equal(self, old: float, new: float, remark: str = "", *, increase: bool = False) -> Verdict:
        close = abs(old - new) <= self._row.slack + self._tolerance * max(abs(old), abs(new))
        remarks = ["" if close else remark, self._row.note if self._row.misleads else ""]
        return Verdict("equal", old, new, increase, "; ".join(filter(None, remarks)))

    def _differs(
        self, gap: float, size: float, old: float, new: float, remark: str = "", *, increase: bool = False
    ) -> Verdict:
        remarks = [f"by {figure(gap)} ({gap / size:.3%})", remark, self._row.note]
        return Verdict("differs", old, new, increase, "; ".join(filter(None, remarks)))


def figure(number: float | None, signed: bool = False) -> str:
    """Return a number for the table, integers without a decimal point; empty for None."""
    if number is None:
        return ""
    sign = "+" if signed else ""
    return f"{number:{sign}.0f}" if number == round(number) and abs(number) < 1e15 else f"{number:{sign}.9g}"


def _undecided(old: Series, new: Series, remark: str) -> Verdict:
    return Verdict("undecided", old.latest, new.latest, remark=remark)


def _ranges(old: Series, new: Series) -> str:
    """Return both ranges within the window in words; empty if neither value changed within the window."""
    if len(set(old.known)) == len(set(new.known)) == 1:
        return ""
    sides = (f"{figure(min(each.known))} to {figure(max(each.known))}" for each in (old, new))
    return "range {} there, {} here".format(*sides)


def _names(row: Row, key: str) -> tuple[str, str]:
    """Return the names of the old and the new metric, with the labels that select their series."""
    kept = {row.by: key} if row.by else {}
    old = row.old.replace(f"{{{row.by}}}", key)
    return old + in_braces(row.where), PREFIX + row.new + in_braces({**row.new_where, **kept})


def _show_one_block(exporter: Exporter, look: Look) -> bool:
    """Return whether the pages show the same height for the last block, as far as they show one."""
    known = {value(look.old, exporter.height), value(look.new, f"{PREFIX}block_height")} - {None}
    return len(known) <= 1


def _why_missing(row: Row, page: Page) -> str:
    """Return the most likely reason why the plugin's page lacks a metric."""
    shown = {sample.name.removeprefix(PREFIX) for sample in page}
    name = next((sample.labels.get("dialect") for sample in page if sample.name == f"{PREFIX}node_info"), None)
    if value(page, f"{PREFIX}up") == 0 or name is None:
        return "the plugin has no session with the node"
    if row.new in shown:
        others = [sample.labels for sample in page if sample.name == PREFIX + row.new]
        tags = [f"{name}={text}" for labels in others for name, text in labels.items()]
        return f"no such series here, only {listed(tags)}; {row.note}"
    dialect = BY_NAME.get(name)
    if dialect is None:
        return f"the dialect {name} is unknown"
    traced: dict[str, str] = {"subscription": Subscription.UTXO_CACHE}
    inactive = Sample(f"{PREFIX}subscription_active", traced, 0) in page
    downloading = value(page, f"{PREFIX}ibd") == 1
    # A group of which nothing is shown is off, unless the node is the reason.
    groups = GROUPS if row.new in dialect.lacking else {METRICS[each].group for each in shown if each in METRICS}
    reason = why(row.new, dialect, groups, no_utxo_trace=inactive and not downloading, downloading=downloading)
    return WORDS[reason].format(group=METRICS[row.new].group)


def only_here(exporter: Exporter, page: Page) -> int:
    """Return the number of the plugin's metrics that have no counterpart in the exporter."""
    return len({sample.name for sample in page} - {PREFIX + row.new for row in exporter.rows})


def not_mapped(exporter: Exporter, page: Page) -> list[str]:
    """Return the Bitcoin metrics on an old page that are not in the mapping."""
    names = sorted({sample.name for sample in page if sample.name.startswith(MEASUREMENT)})
    return [
        name
        for name in names
        if not name.endswith("_created") and all(row.labels_in(name) is None for row in exporter.rows)
    ]
