"""The command `parity`: its options and its result."""

import json
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Final

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
    endpoints = Endpoints(options.old, options.new, dict(options.match), options.exporter)
    record = watch(endpoints.look, options.window, sleep=sleep, begun=begun)
    findings = compare(endpoints.exporter, record, options.tolerance / 100)
    if options.json:
        text = json.dumps(document(endpoints.exporter, record, findings), indent=2)
    else:
        text = table(endpoints.exporter, record, findings)
    found = {finding.verdict.status for finding in findings}
    return text, "equal" in found and "differs" not in found


def add_options(parser: ArgumentParser) -> None:
    """Add the options of `parity`."""
    add = parser.add_argument
    add("old", metavar="OLD_URL", type=checked_url, help="metrics page of the exporter in use today")
    add("new", metavar="NEW_URL", type=checked_url, help="Telegraf's metrics page with this plugin's metrics")
    add(
        "--from",
        dest="exporter",
        choices=EXPORTERS,
        help="the exporter at OLD_URL (default: detect it)",
    )
    add(
        "--window",
        metavar="S",
        type=_number(1, MAX_WINDOW),
        default=10.0,
        help="how long to watch both pages, in seconds; for gauges, longer than both poll intervals together "
        "(default: %(default)g)",
    )
    add(
        "--tolerance",
        metavar="PERCENT",
        type=_number(0, 100),
        default=0.0,
        help="accepted difference; some metrics have a larger one of their own (default: %(default)g)",
    )
    add(
        "--match",
        metavar="KEY=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="tag of the node to compare, if NEW_URL has several nodes (can be repeated)",
    )
    add("--json", action="store_true", help="print JSON instead of a table")


def _number(least: float, most: float) -> Callable[[str], float]:
    """Return a parser of numbers within these bounds."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise ArgumentTypeError(f"it should be a number from {least:g} to {most:g}, and is {text!r}")
        return number

    return parse


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
