"""Looks at both pages of a comparison, made from their lines."""

from __future__ import annotations

from telegraf_bitcoin_ipc.parity.compare import Verdict, compare
from telegraf_bitcoin_ipc.parity.exposition import Page, read
from telegraf_bitcoin_ipc.parity.looks import Look, Record
from telegraf_bitcoin_ipc.parity.row import Exporter

LONG = 1000.0
"""Seconds of a window in which even polled counters can be compared."""

ABOUT = """\
bitcoin_plugin_info{version="0.1.0"} 1
bitcoin_node_info{version="/Satoshi:30.99.0/",chain="regtest",dialect="tracing"} 1
bitcoin_up 1
bitcoin_ibd 0
"""


def page(text: str) -> Page:
    """A page with those lines."""
    return read("".join(f"{line.strip()}\n" for line in text.splitlines()))


def looks(*pages: tuple[float, str, str], begin: int = 0) -> Record:
    """Both pages at several moments."""
    return Record([Look(at, page(old), page(new)) for at, old, new in pages], begin)


def record(
    old: str, new: str, old_end: str | None = None, new_end: str | None = None, seconds: float = LONG
) -> Record:
    """Both pages at both ends of a window; without another end nothing has moved."""
    end = (seconds, old if old_end is None else old_end, new if new_end is None else new_end)
    return looks((0, old, new), end)


def labels(pairs: dict[str, str]) -> str:
    """Labels as they stand on a page."""
    return "{" + ",".join(f'{key}="{text}"' for key, text in pairs.items()) + "}" if pairs else ""


def polled(second: int, line: str = "") -> str:
    """A page of the plugin's whose last poll was at that time."""
    return f"bitcoin_last_poll_timestamp_seconds {second}\n{line}"


def verdict(exporter: Exporter, seen: Record, tolerance: float = 0) -> Verdict:
    """Return the verdict of the only finding."""
    (finding,) = compare(exporter, seen, tolerance)
    return finding.verdict
