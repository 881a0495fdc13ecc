"""Reads values from the results of JSON-RPC methods: one small pure reader per value, for the table in `dialects`.

A reader takes a method's result and returns a number, numbers by tag value, or None if there is none. Amounts
become satoshi, feerates satoshi per virtual byte. A malformed result raises ArithmeticError, AttributeError,
KeyError, TypeError or ValueError.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Final

from telegraf_bitcoin_ipc.collect.tags import OTHER, PING_STATS
from telegraf_bitcoin_ipc.collect.values import Labelled, Number, PeerTotals, Read

SATOSHI: Final = 100_000_000
"""Satoshi in a bitcoin."""


def number(value: Any) -> Number | None:
    """Return a JSON number as it is, a boolean as 0 or 1, and null as None."""
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return int(value) if isinstance(value, bool) else value
    raise TypeError(f"{value!r} is not a number")


def real(value: Any) -> float | None:
    """Return a JSON number as a float; JSON does not distinguish a whole float from an integer."""
    known = number(value)
    return None if known is None else float(known)


def satoshi(value: Any) -> int | None:
    """Return an amount in bitcoin as satoshi."""
    bitcoin = number(value)
    return None if bitcoin is None else round(bitcoin * SATOSHI)


def feerate(value: Any) -> float | None:
    """Return a feerate in bitcoin per 1,000 virtual bytes as satoshi per virtual byte."""
    per_kvb = satoshi(value)
    return None if per_kvb is None else per_kvb / 1000


def field(name: str, read: Read = number) -> Read:
    """Return a reader of one field; None if it is missing."""
    return lambda result: read(result.get(name))


def warnings(result: Any) -> int:
    """Return the number of warnings in a list, or with -deprecatedrpc=warnings whether the text is not empty."""
    found = result["warnings"]
    return len(found) if isinstance(found, list) else int(bool(found))


def directions(result: Any) -> Labelled:
    """Return the peers by direction, from getnetworkinfo."""
    return {"inbound": int(result["connections_in"]), "outbound": int(result["connections_out"])}


def count_of(name: str, known: Iterable[str]) -> Read:
    """Return a reader that counts a list's items by one of their fields; each known value has a count, even 0."""
    return lambda items: dict.fromkeys(known, 0) | Counter(str(item.get(name, "")) for item in items)


def pings(peers: Any) -> Labelled | None:
    """Return PING_STATS (nearest rank) of the peers' last ping times in seconds; None if no peer has one."""
    times = sorted(float(peer["pingtime"]) for peer in peers if "pingtime" in peer)
    if not times:
        return None
    return {stat: times[max(math.ceil(share * len(times)), 1) - 1] for stat, share in PING_STATS.items()}


def bytes_by_message(name: str, known: Collection[str]) -> Read:
    """Return a reader of the bytes by peer and message from getpeerinfo; messages not `known` are `other`."""

    def read(peers: Any) -> PeerTotals:
        totals: Counter[tuple[int, str]] = Counter()
        for peer in peers:
            for message, total in peer[name].items():
                totals[int(peer["id"]), message if message in known else OTHER] += int(total)
        return totals

    return read


def fee_estimates(results: Any) -> Labelled:
    """Return the feerates by target; a target without enough data is left out."""
    rates = {target: feerate(result.get("feerate")) for target, result in results.items()}
    return {target: rate for target, rate in rates.items() if rate is not None}


def of_indexes(name: str, known: Collection[str]) -> Read:
    """Return a reader of one field by index from getindexinfo; indexes not `known` are left out."""
    return lambda indexes: {index: int(state[name]) for index, state in indexes.items() if index in known}


def total_of(*names: str) -> Read:
    """Return a reader of the sum of some fields."""
    return lambda result: sum(result[name] for name in names)
