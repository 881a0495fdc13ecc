"""The command `parity`: its options, and what it prints."""

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Final

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.parity.compare import compare
from telegraf_bitcoin_ipc.parity.exposition import checked_url
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS
from telegraf_bitcoin_ipc.parity.table import document, table
from telegraf_bitcoin_ipc.parity.watch import Endpoints, watch

MAX_WINDOW: Final = 86400.0


def report(
    options: Namespace,
    sleep: Callable[[float], None] = time.sleep,
    begun: Callable[[], None] = lambda: None,
) -> tuple[str, bool]:
    """Return the text to print, and whether there is parity: something is equal, and nothing differs.

    `begun` is called at the start of the window. Raises ConfigError or EndpointUnavailable.
    """
    old, new = checked_url(options.old), checked_url(options.new)
    window = _number("--window", options.window, 1, MAX_WINDOW)
    tolerance = _number("--tolerance", options.tolerance, 0, 100) / 100
    match = dict(map(_pair, options.match))

    endpoints = Endpoints(old, new, match, options.exporter)
    record = watch(endpoints.look, window, sleep=sleep, begun=begun)
    findings = compare(endpoints.exporter, record, tolerance)
    if options.json:
        text = json.dumps(document(endpoints.exporter, record, findings), indent=2)
    else:
        text = table(endpoints.exporter, record, findings)
    found = {finding.verdict.status for finding in findings}
    return text, "equal" in found and "differs" not in found


def add_options(parser: ArgumentParser) -> None:
    """Add the options of `parity`."""
    parser.add_argument("old", metavar="OLD_URL", help="page of the exporter that runs today")
    parser.add_argument("new", metavar="NEW_URL", help="page of Telegraf with this plugin's metrics")
    parser.add_argument(
        "--from", dest="exporter", choices=EXPORTERS, help="what OLD_URL is (default: known by its metrics)"
    )
    parser.add_argument(
        "--window",
        metavar="S",
        default="10",
        help="seconds over which both are watched; gauges take longer than both poll (default: %(default)s)",
    )
    parser.add_argument(
        "--tolerance",
        metavar="PERCENT",
        default="0",
        help="difference that does not matter, where the mapping's own is smaller (default: %(default)s)",
    )
    parser.add_argument(
        "--match",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="the tag that the node has at NEW_URL, if that shows several (may be given again)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _number(option: str, text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise ConfigError(f"{option}: it should be a number from {least:g} to {most:g}, and is {text!r}")
    return number


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--match: {text!r} is not KEY=VALUE")
    return key, value
