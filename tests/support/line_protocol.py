"""A reader of line protocol, stricter than Telegraf's: what it takes, Telegraf takes and means the same by it."""

import re
from typing import NamedTuple

from telegraf_bitcoin_ipc.collect.values import Number

NAME = r"(?:[^\\,= \x00-\x1f\x7f\ud800-\udfff]|\\[,= ])+"
INTEGER = r"-?[0-9]+i"
FLOAT = r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?"
FIELD = rf"(?P<name>{NAME})=(?P<value>{INTEGER}|{FLOAT})"
PLAIN_FIELD = FIELD.replace("?P<name>", "?:").replace("?P<value>", "?:")
LINE = re.compile(
    rf"(?P<measurement>{NAME})(?P<tags>(?:,{NAME}={NAME})*)"
    rf" (?P<fields>{PLAIN_FIELD}(?:,{PLAIN_FIELD})*) (?P<timestamp>[0-9]+)"
)


class Point(NamedTuple):
    """What one line says."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Number]
    timestamp: int


def read(line: str) -> Point:
    """Return what a line says; an AssertionError where Telegraf could refuse or misread it."""
    match = LINE.fullmatch(line)
    assert match, f"no line protocol: {line!r}"
    tags = [(_plain(key), _plain(value)) for key, value in re.findall(rf",({NAME})=({NAME})", match["tags"])]
    assert tags == sorted(set(tags)), f"tags are not sorted: {line!r}"
    fields = {_plain(field["name"]): _number(field["value"]) for field in re.finditer(FIELD, match["fields"])}
    assert len(fields) == match["fields"].count("="), f"a field stands twice: {line!r}"
    return Point(_plain(match["measurement"]), dict(tags), fields, int(match["timestamp"]))


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _number(text: str) -> Number:
    if not text.endswith("i"):
        return float(text)
    value = int(text[:-1])
    assert -(2**63) <= value < 2**63, f"more than 64 bits: {text}"
    return value
