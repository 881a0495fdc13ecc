"""The command `parity`: its options, and both endpoints read at both ends of a window."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Final

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.exposition import both, both_fresh, checked_url
from telegraf_bitcoin_ipc.parity import PREFIX, Readings, compare, document, find_exporter, of_one_node, table
from telegraf_bitcoin_ipc.parity_map import EXPORTERS

MAX_WINDOW: Final = 86400.0


def report(
    parser: ArgumentParser, arguments: Sequence[str], sleep: Callable[[float], None] = time.sleep
) -> tuple[str, bool]:
    """Return what to print, and whether it is parity: something equal, nothing different.

    Raises ConfigError or EndpointUnavailable.
    """
    _add_options(parser)
    options = parser.parse_args(arguments)
    old, new = checked_url(options.old), checked_url(options.new)
    window = _number("--window", options.window, 1, MAX_WINDOW)
    tolerance = _number("--tolerance", options.tolerance, 0, 100) / 100
    match = dict(map(_pair, options.match))

    there, here = both(old, new)
    exporter = find_exporter(there, options.exporter)
    of_one_node(here, match)  # a mistake is told before the window, not after it

    begin = both_fresh(old, new, PREFIX)
    began = time.monotonic()
    sleep(window)
    end = both_fresh(old, new, PREFIX)
    pages = of_one_node(begin[1], match), of_one_node(end[1], match)
    readings = Readings((begin[0], end[0]), pages, time.monotonic() - began)

    findings = compare(exporter, readings, tolerance)
    text = (
        json.dumps(document(exporter, readings, findings), indent=2)
        if options.json
        else table(exporter, readings, findings)
    )
    found = {finding.verdict.status for finding in findings}
    return text, "equal" in found and "differs" not in found


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD_URL", help="page of the exporter that runs today")
    parser.add_argument("new", metavar="NEW_URL", help="page of Telegraf with this plugin's metrics")
    parser.add_argument(
        "--from", dest="exporter", choices=EXPORTERS, help="what OLD_URL is (default: known by its metrics)"
    )
    parser.add_argument(
        "--window",
        metavar="S",
        default="10",
        help="seconds over which counters have to increase alike (default: %(default)s)",
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
