"""JSON-RPC requests as a node may get them, read by two parsers of JSON, of which one reports duplicate keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import pydantic_core

from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY
from telegraf_bitcoin_ipc.ipc.jsonrpc import USER


class Unwanted(Exception):
    """A frame that must not have reached the node."""


def check_json_rpc(fields: Mapping[str, Any]) -> None:
    """Check the method with two parsers of JSON, of which one is not the guard's, and reports duplicate keys."""
    if fields["uri"]:
        raise Unwanted("executeRpc with a uri")
    if "request" in fields:
        read = _json(fields["request"])
        if not isinstance(read, dict) or fields["user"] != USER:
            raise Unwanted("executeRpc of another form or user")
        method, params = read.get("method"), read.get("params")
        if set(read) != {"jsonrpc", "id", "method", "params"}:
            raise Unwanted("executeRpc with other keys")
    else:
        method, params = fields["command"], _json(fields["params"])
    if method not in READ_ONLY or not isinstance(params, list):
        raise Unwanted(f"executeRpc of {method}")


def _json(text: str) -> Any:
    try:
        first = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
        second = pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise Unwanted(f"executeRpc with a text that is not JSON ({error})") from error
    if first != second:
        raise Unwanted("executeRpc with a text that two parsers read differently")
    return first


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Unwanted("executeRpc with duplicate keys")
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise Unwanted(f"executeRpc with {name}")
