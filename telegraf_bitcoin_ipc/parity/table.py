"""The output of `parity`: all findings as a table or as JSON."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from telegraf_bitcoin_ipc.parity.compare import Finding, figure, listed, not_mapped, only_here
from telegraf_bitcoin_ipc.parity.looks import Record
from telegraf_bitcoin_ipc.parity.row import Exporter

WIDTH: Final = 100
"""Columns of the table."""

_INDENT: Final = " " * 12


def table(exporter: Exporter, record: Record, findings: Sequence[Finding]) -> str:
    """Return all findings as a table of at most WIDTH columns (longer names are not broken)."""
    lines = [
        f"OLD_URL is {exporter.name}. Values are in this plugin's units;",
        f"+ is the increase over {record.seconds:.0f} s.",
        "",
        f"{'status':<11} {'there':>16} {'here':>16}  metric",
    ]
    for finding in findings:
        lines += _lines(finding)
    return "\n".join([*lines, "", *_summary(exporter, record, findings)])


def _lines(finding: Finding) -> Iterator[str]:
    verdict = finding.verdict
    there, here = (figure(number, verdict.increase) for number in (verdict.there, verdict.here))
    yield f"{verdict.status:<11} {there:>16} {here:>16}  {finding.old}"
    if verdict.status != "equal" or verdict.remark:
        text = ": ".join(filter(None, [finding.new, verdict.remark]))
        yield from textwrap.wrap(
            text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip


def _summary(exporter: Exporter, record: Record, findings: Sequence[Finding]) -> Iterator[str]:
    count = Counter(finding.verdict.status for finding in findings)
    yield ", ".join(f"{number} {status}" for status, number in count.items())
    still = [each for each in findings if each.verdict.increase and not (each.verdict.there or each.verdict.here)]
    if still:
        yield f"Counters that did not change on either side: {len(still)} (a longer window may show more)"
    yield f"Metrics that only this plugin has: {only_here(exporter, record.last.new)}"
    unknown = not_mapped(exporter, record.last.old)
    if unknown:
        yield from textwrap.wrap(f"Not in the mapping: {listed(unknown)}", WIDTH, break_long_words=False)


def document(exporter: Exporter, record: Record, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the same content as an object for JSON."""
    return {
        "from": exporter.name,
        "seconds": record.seconds,
        "findings": [{"old": each.old, "new": each.new, **asdict(each.verdict)} for each in findings],
        "only_here": only_here(exporter, record.last.new),
        "not_mapped": not_mapped(exporter, record.last.old),
    }
