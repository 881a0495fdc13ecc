"""What `parity` says: the metrics of another exporter compared with the plugin's, and printed as a table."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.exposition import EndpointUnavailable, Page, Sample
from telegraf_bitcoin_ipc.metrics import ALWAYS_ON, CATALOGUE, MEASUREMENT, METRICS
from telegraf_bitcoin_ipc.parity_map import EXPORTERS, Exporter, Row, in_braces

Status = Literal["equal", "differs", "missing", "not offered", "undecided"]

PREFIX: Final = f"{MEASUREMENT}_"

PROOF: Final = f"{PREFIX}plugin_info"
"""The metric that every page of the plugin's has."""

LONG_ENOUGH: Final = 4
"""A counter is compared over a window so many times as long as one side may be behind the other."""

WIDTH: Final = 100
"""Columns of the table."""

_INDENT: Final = " " * 12


@dataclass(frozen=True, slots=True)
class Readings:
    """Both pages at the begin and at the end of a window of so many seconds; the new ones are of one node."""

    old: tuple[Page, Page]
    new: tuple[Page, Page]
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a comparison; the figures are in the unit here, and increases where `increase` is set."""

    status: Status
    there: float | None = None
    here: float | None = None
    increase: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict about a metric there and the one that it is here (empty: none)."""

    old: str
    new: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Ends:
    """A value at the begin and at the end of the window; None where there was none."""

    first: float | None
    last: float | None

    @property
    def known(self) -> list[float]:
        """Those that there were."""
        return [value for value in (self.first, self.last) if value is not None]

    @property
    def latest(self) -> float | None:
        """The last that there was."""
        return self.known[-1] if self.known else None

    @property
    def increase(self) -> float:
        """By how much it rose; what was not there began at 0."""
        return (self.last or 0) - (self.first or 0)


def find_exporter(page: Page, name: str | None = None) -> Exporter:
    """Return the exporter of that name, or else the one whose page it is; raises ConfigError where none is."""
    if name is not None:
        return EXPORTERS[name]
    names = {sample.name for sample in page}
    if PROOF in names:
        raise ConfigError("OLD_URL is a page of this plugin's (with --from NAME it is compared all the same)")
    found = [exporter for exporter in EXPORTERS.values() if exporter.mark in names]
    if len(found) != 1:
        seen = " and ".join(exporter.name for exporter in found) or "no exporter that is known"
        raise ConfigError(f"OLD_URL has metrics of {seen}; say with --from which it is: {', '.join(EXPORTERS)}")
    return found[0]


def of_one_node(page: Page, match: Mapping[str, str]) -> Page:
    """Return the plugin's series that have the given tags, without the tags that are not the metrics' own.

    Raises EndpointUnavailable where the plugin has none, ConfigError where they are not of exactly one node.
    """
    nodes: dict[frozenset[tuple[str, str]], list[Sample]] = {}
    for sample in page:
        metric = METRICS.get(sample.name.removeprefix(PREFIX))
        if metric and sample.name.startswith(PREFIX):
            own = {tag: text for tag, text in sample.labels.items() if tag in metric.tags}
            node = frozenset(sample.labels.items() - own.items())
            nodes.setdefault(node, []).append(Sample(sample.name, own, sample.value))
    if not any(sample.name == PROOF for samples in nodes.values() for sample in samples):
        raise EndpointUnavailable(f"NEW_URL has no {PROOF}: it shows nothing of this plugin's")
    chosen = [samples for node, samples in nodes.items() if match.items() <= dict(node).items()]
    if len(chosen) != 1:
        names = "; ".join(",".join(f"{key}={text}" for key, text in sorted(node)) or "no tag" for node in nodes)
        raise ConfigError(f"--match has to choose one node of NEW_URL, and there: {names}")
    return tuple(chosen[0])


def compare(exporter: Exporter, readings: Readings, tolerance: float = 0) -> list[Finding]:
    """Return what came of each metric that the old pages have, in the mapping's order.

    `tolerance` is a fraction that counts where the mapping's own is smaller.
    """
    names = {sample.name for page in readings.old for sample in page}
    rows = [row for row in exporter.rows if any(row.labels_in(name) is not None for name in names)]
    return [finding for row in rows for finding in _findings(exporter, row, readings, tolerance)]


def _findings(exporter: Exporter, row: Row, readings: Readings, tolerance: float) -> Iterator[Finding]:
    if not row.new:
        yield Finding(row.old, "", Verdict("not offered", remark=row.note))
        return
    there = [_total(_terms_there(row, page), row.offset) for page in readings.old]
    here = [_total(_terms_here(row, page)) for page in readings.new]
    keys = there[0].keys() | there[1].keys()
    if not keys and row.nothing is not None:
        yield Finding(*_names(row, ""), Verdict("undecided", row.nothing, remark="there is no value there yet"))
    for key in sorted(keys):
        old, new = (Ends(first.get(key), last.get(key)) for first, last in (there, here))
        verdict = _obstacle(exporter, row, old, new, readings) or _verdict(row, old, new, readings, tolerance)
        yield Finding(*_names(row, key), verdict)


def _terms_there(row: Row, page: Page) -> Iterator[tuple[str, float]]:
    """Yield what each series there adds, in the unit here, with the value of the label that is kept apart."""
    for sample in page:
        parts, factor = row.labels_in(sample.name), row.factor
        if row.plus and sample.name == row.plus[0]:
            parts, factor = {}, row.plus[1]
        if parts is not None and sample.value != row.nothing:
            labels = {**sample.labels, **parts}
            if row.where.items() <= labels.items():
                yield labels.get(row.by, ""), factor * sample.value


def _terms_here(row: Row, page: Page) -> Iterator[tuple[str, float]]:
    for sample in page:
        if sample.name == PREFIX + row.new and row.new_where.items() <= sample.labels.items():
            yield sample.labels.get(row.by, ""), sample.value


def _total(terms: Iterable[tuple[str, float]], offset: float = 0) -> dict[str, float]:
    totals: dict[str, float] = {}
    for key, value in terms:
        totals[key] = totals.get(key, offset) + value
    return totals


def _names(row: Row, key: str) -> tuple[str, str]:
    """Return the metric there and here, with the labels that choose their series."""
    kept = {row.by: key} if row.by else {}
    old = row.old.replace(f"{{{row.by}}}", key)
    labels = row.where if old != row.old else {**row.where, **kept}
    return old + in_braces(labels), PREFIX + row.new + in_braces({**row.new_where, **kept})


def _obstacle(exporter: Exporter, row: Row, there: Ends, here: Ends, readings: Readings) -> Verdict | None:
    """Return why the two cannot be compared, if they cannot."""
    if not here.known:
        return Verdict("missing", there.latest, remark=_why_missing(row, readings.new[1]))
    reset = [side for side, ends in (("there", there), ("here", here)) if row.is_counter and ends.increase < 0]
    if reset:
        return _undecided(there, here, f"reset {' and '.join(reset)} within the window: run it again")
    if row.compare == "increase" and 2 * row.lag > readings.seconds:
        return _undecided(
            there, here, f"behind by up to {row.lag:g} s here: takes --window {_window(row)} or more"
        )
    if row.of_block and _heights(exporter, readings) > 1:
        return _undecided(there, here, "each shows another block: run it again")
    return None


def _undecided(there: Ends, here: Ends, remark: str) -> Verdict:
    return Verdict("undecided", there.latest, here.latest, remark=remark)


def _window(row: Row) -> int:
    return round(LONG_ENOUGH * row.lag)


def _heights(exporter: Exporter, readings: Readings) -> int:
    """Return how many different heights the two last pages have for the last block."""
    pages = ((exporter.height, readings.old[1]), (f"{PREFIX}block_height", readings.new[1]))
    return len({sample.value for name, page in pages for sample in page if sample.name == name})


def _verdict(row: Row, there: Ends, here: Ends, readings: Readings, tolerance: float) -> Verdict:
    """Compare increases, or values: the last there has to lie within what was shown here at either end."""
    fraction = max(row.tolerance, tolerance)
    if row.compare == "increase":
        old, new = there.increase, here.increase
        gap, fraction = abs(old - new), fraction + row.lag / readings.seconds
    else:
        old, new = there.known[-1], here.known[-1]
        gap = max(old - max(here.known), min(here.known) - old, 0)
    size = max(abs(old), abs(new))
    increase = row.compare == "increase"
    if gap <= row.slack + fraction * size:
        return Verdict("equal", old, new, increase, row.note if row.misleads else "")
    remark = f"by {_figure(gap)} ({gap / size:.3%})"
    return Verdict("differs", old, new, increase, "; ".join(filter(None, [remark, row.note])))


def _why_missing(row: Row, page: Page) -> str:
    """Return the likeliest reason why the plugin does not show a metric."""
    group = METRICS[row.new].group
    shown = {sample.name.removeprefix(PREFIX) for sample in page}
    dialects = [sample.labels.get("dialect", "") for sample in page if sample.name == f"{PREFIX}node_info"]
    if _value(page, "up") == 0 or not dialects:
        return "the plugin has no session with the node"
    if row.new in shown:
        return f"not among the series here, {', '.join(_others(row, page))}; {row.note}"
    if group not in ALWAYS_ON and not any(metric.name in shown for metric in CATALOGUE if metric.group == group):
        return f"the group {group} is off (--metrics), or not offered in the dialect {dialects[0]}"
    if row.new.startswith("utxo_cache_"):
        if _value(page, "ibd") == 1:
            return "the UTXO cache is not traced before initial block download is over"
        return f"the UTXO cache is not traced: --no-utxo-trace, or not offered in the dialect {dialects[0]}"
    return f"not offered in the dialect {dialects[0]}, or not known yet (`check` says what works)"


def _value(page: Page, name: str) -> float | None:
    return next((sample.value for sample in page if sample.name == PREFIX + name), None)


def _others(row: Row, page: Page) -> Iterator[str]:
    for sample in page:
        if sample.name == PREFIX + row.new:
            yield from (f"{name}={text}" for name, text in sample.labels.items())


def only_here(exporter: Exporter, page: Page) -> int:
    """Return how many of the plugin's metrics on a page are nothing of the exporter's."""
    return len({sample.name for sample in page} - {PREFIX + row.new for row in exporter.rows})


def not_mapped(exporter: Exporter, page: Page) -> list[str]:
    """Return the names on an old page that look like its own and that the mapping does not have."""
    names = sorted({sample.name for sample in page if sample.name.startswith(MEASUREMENT)})
    return [
        name
        for name in names
        if not name.endswith("_created") and all(row.labels_in(name) is None for row in exporter.rows)
    ]


def table(exporter: Exporter, readings: Readings, findings: Sequence[Finding]) -> str:
    """Return all findings as text of at most WIDTH columns (a longer name is not broken)."""
    lines = [
        f"OLD_URL is taken for {exporter.name}. Figures are in the unit that the metric has here;",
        f"+ is the increase within {readings.seconds:.0f} s.",
        "",
        f"{'status':<11} {'there':>16} {'here':>16}  metric",
    ]
    for finding in findings:
        lines += _lines(finding)
    return "\n".join([*lines, "", *_summary(exporter, readings, findings)])


def _lines(finding: Finding) -> Iterator[str]:
    verdict = finding.verdict
    there, here = (_figure(value, verdict.increase) for value in (verdict.there, verdict.here))
    yield f"{verdict.status:<11} {there:>16} {here:>16}  {finding.old}"
    if verdict.status != "equal" or verdict.remark:
        text = ": ".join(filter(None, [finding.new, verdict.remark]))
        yield from textwrap.wrap(
            text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip


def _figure(value: float | None, signed: bool = False) -> str:
    if value is None:
        return ""
    sign = "+" if signed else ""
    return f"{value:{sign}.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:{sign}.9g}"


def _summary(exporter: Exporter, readings: Readings, findings: Sequence[Finding]) -> Iterator[str]:
    count = Counter(finding.verdict.status for finding in findings)
    yield ", ".join(f"{number} {status}" for status, number in count.items())
    still = [each for each in findings if each.verdict.increase and not (each.verdict.there or each.verdict.here)]
    if still:
        yield f"Counters that did not move on either side: {len(still)} (a longer window says more)"
    yield f"Metrics that only this plugin has: {only_here(exporter, readings.new[1])}"
    unknown = not_mapped(exporter, readings.old[1])
    if unknown:
        yield from textwrap.wrap(f"Not in the mapping: {', '.join(unknown)}", WIDTH, break_long_words=False)


def document(exporter: Exporter, readings: Readings, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the same as a structure for JSON."""
    return {
        "from": exporter.name,
        "seconds": readings.seconds,
        "findings": [{"old": each.old, "new": each.new, **asdict(each.verdict)} for each in findings],
        "only_here": only_here(exporter, readings.new[1]),
        "not_mapped": not_mapped(exporter, readings.old[1]),
    }
