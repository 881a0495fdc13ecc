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
    add("old", metavar="OLD_URL", type=checked_url, help="page of the exporter that runs today")
    add("new", metavar="NEW_URL", type=checked_url, help="page of Telegraf with this plugin's metrics")
    add("--from", dest="exporter", choices=EXPORTERS, help="what OLD_URL is (default: known by its metrics)")
    add(
        "--window",
        metavar="S",
        type=_number(1, MAX_WINDOW),
        default=10.0,
        help="seconds over which both are watched; gauges take longer than both poll (default: %(default)g)",
    )
    add(
        "--tolerance",
        metavar="PERCENT",
        type=_number(0, 100),
        default=0.0,
        help="difference that does not matter, where the mapping's own is smaller (default: %(default)g)",
    )
    add(
        "--match",
        metavar="KEY=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="the tag that the node has at NEW_URL, if that shows several (may be given again)",
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
