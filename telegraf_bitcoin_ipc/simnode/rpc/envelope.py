"""JSON-RPC requests as text, and their replies: what Rpc.executeRpc takes and gives, byte for byte.

A request with `"jsonrpc": "2.0"` is answered with `result` or `error`, any other with both, one of them null.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from telegraf_bitcoin_ipc.simnode.rpc.errors import INVALID_REQUEST, PARSE_ERROR, RpcError

Ask = Callable[[str, Any], Awaitable[object]]
"""Answers a method with parameters, or raises RpcError."""


async def execute(text: str, ask: Ask) -> str:
    """Return the reply to a request or a batch; `null` where nothing is to be replied."""
    try:
        request = json.loads(text)
    except ValueError:
        request = None
    call = _Call()
    reply = await _batch(call, request, ask) if isinstance(request, list) else await _single(call, request, ask)
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":"))


class _Call:
    """What is known of a request. In a batch it is one object for all: what a broken one lacks stays as it was."""

    def __init__(self) -> None:
        self.id: dict[str, object] = {"id": None}  # empty for a request without one
        self.version_2 = False
        self.method = ""
        self.params: object = []

    @property
    def is_notification(self) -> bool:
        """Whether it is executed and not replied to."""
        return self.version_2 and not self.id

    def read(self, request: object) -> None:
        """Take over a request; raises RpcError at the first thing that is wrong with it."""
        if not isinstance(request, dict):
            raise RpcError(INVALID_REQUEST, "Invalid Request object")
        self.id = {"id": request["id"]} if "id" in request else {}
        self.version_2 = False
        self.version_2 = _is_version_2(request.get("jsonrpc"))
        self.method = _method(request.get("method"))
        self.params = _params(request.get("params"))

    def result(self, result: object) -> dict[str, object]:
        """Return the reply that it was done."""
        if self.version_2:
            return {"jsonrpc": "2.0", "result": result, **self.id}
        return {"result": result, "error": None, **self.id}

    def error(self, error: RpcError) -> dict[str, object]:
        """Return the reply that it was not."""
        if self.version_2:
            return {"jsonrpc": "2.0", "error": error.as_object(), **self.id}
        return {"result": None, "error": error.as_object(), **self.id}


async def _single(call: _Call, request: object, ask: Ask) -> dict[str, object] | None:
    try:
        if not isinstance(request, dict):
            raise RpcError(PARSE_ERROR, "Top-level object parse error")
        call.read(request)
    except RpcError as error:
        return call.error(error)
    reply = await _answered(call, ask)
    return None if call.is_notification else reply


async def _batch(call: _Call, requests: list[object], ask: Ask) -> list[dict[str, object]] | None:
    replies = []
    for request in requests:
        try:
            call.read(request)
            reply = await _answered(call, ask)
        except RpcError as error:
            reply = call.error(error)
        if not call.is_notification:
            replies.append(reply)
    return None if requests and not replies else replies


async def _answered(call: _Call, ask: Ask) -> dict[str, object]:
    try:
        return call.result(await ask(call.method, call.params))
    except RpcError as error:
        return call.error(error)


def _is_version_2(version: object) -> bool:
    if version is not None and not isinstance(version, str):
        raise RpcError(INVALID_REQUEST, "jsonrpc field must be a string")
    if version not in (None, "1.0", "2.0"):
        raise RpcError(INVALID_REQUEST, "JSON-RPC version not supported")
    return version == "2.0"


def _method(method: object) -> str:
    if method is None:
        raise RpcError(INVALID_REQUEST, "Missing method")
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "Method must be a string")
    return method


def _params(params: object) -> object:
    if params is None:
        return []
    if not isinstance(params, list | dict):
        raise RpcError(INVALID_REQUEST, "Params must be an array or object")
    return params
