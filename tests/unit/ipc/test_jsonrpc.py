"""JSON-RPC texts: what is asked, and what an answer means: a value, a failed call, a node that still starts."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from telegraf_bitcoin_ipc.errors import CallFailed, DataPruned, NodeUnavailable, NotAllowed
from telegraf_bitcoin_ipc.ipc.jsonrpc import reply, request, result

METHOD = "getmempoolinfo"
INVALID = r"^getmempoolinfo: the answer is not valid JSON-RPC"

MALFORMED: list[Any] = [5, "no", [], {}, {"code": 1}, {"message": "no"}]
MALFORMED += [{"code": code, "message": "no"} for code in ("-1", None, [1])]

Answer = Callable[[object], Any]


def over_node(error: object) -> Any:
    """Take an error as Node.executeRpc gives it."""
    return result(METHOD, "", json.dumps(error), "")


def over_rpc(error: object) -> Any:
    """Take an error as Rpc.executeRpc gives it."""
    return reply(METHOD, json.dumps({"jsonrpc": "2.0", "error": error, "id": METHOD}))


def test_request() -> None:
    """Rpc.executeRpc gets a JSON-RPC 2.0 request with an id: without one it would be answered with nothing."""
    assert json.loads(request("estimatesmartfee", [2])) == {
        "jsonrpc": "2.0",
        "id": "estimatesmartfee",
        "method": "estimatesmartfee",
        "params": [2],
    }


@pytest.mark.parametrize("value", [{"size": 0}, [], 12, 0.5, None, "text", True])
def test_results(value: object) -> None:
    """Whatever JSON value a method gives comes through, null too."""
    assert result(METHOD, json.dumps(value), "", "") == value
    assert reply(METHOD, json.dumps({"jsonrpc": "2.0", "result": value, "id": METHOD})) == value
    assert reply(METHOD, json.dumps({"result": value, "error": None, "id": METHOD})) == value


@pytest.mark.parametrize("answer", [over_node, over_rpc])
@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        # A node that loads its chain is not there yet, in the node's own words.
        (
            {"code": -28, "message": "Loading block index…"},
            NodeUnavailable,
            r"^the node is still starting \(Loading block index…\)$",
        ),
        # An error costs this call only, and its text has the method, the message and the code.
        (
            {"code": -32601, "message": "Method not found"},
            CallFailed,
            r"^getmempoolinfo: Method not found \(error -32601\)$",
        ),
        # A pruned block is an error of its own, though its code is one of many errors.
        ({"code": -1, "message": "Block not available (pruned data)"}, DataPruned, r"\(error -1\)$"),
        ({"code": -1, "message": "Undo data not available (pruned data)"}, DataPruned, r"\(error -1\)$"),
        ({"code": -1, "message": "no luck"}, CallFailed, r"^getmempoolinfo: no luck \(error -1\)$"),
        # An error without code or message, or with another type of code, fails the call, and nothing more.
        *((error, CallFailed, INVALID) for error in MALFORMED),
    ],
)
def test_error(answer: Answer, error: Any, kind: type[Exception], text: str) -> None:
    """An error is the same over both ways; a failure carries its code, so that nobody reads it out of the text."""
    with pytest.raises(kind, match=text) as caught:
        answer(error)
    assert type(caught.value) is kind
    if isinstance(caught.value, CallFailed):
        assert caught.value.code == (None if text == INVALID else error["code"])


def test_failure_of_the_call_itself() -> None:
    """What Node.executeRpc says beside JSON-RPC fails the call with its words; so does a broken error."""
    with pytest.raises(CallFailed, match=r"^getmempoolinfo: out of memory$"):
        result(METHOD, "", "", "out of memory")
    with pytest.raises(CallFailed, match=INVALID):
        result(METHOD, "", "{", "")


@pytest.mark.parametrize(
    "text",
    [
        # A text that is no JSON, or is nested beyond all measure, fails the call, and not the program.
        *("", "{", "nonsense", "[1", "\x00"),
        *("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000),
    ],
    ids=lambda text: text[:6],
)
def test_no_json(text: str) -> None:
    """What cannot be read fails the call, over either way."""
    with pytest.raises(CallFailed, match=INVALID):
        result(METHOD, text, "", "")
    with pytest.raises(CallFailed, match=INVALID):
        reply(METHOD, text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_no_number(number: str) -> None:
    """What Python takes for a number and JSON does not fails the call, wherever it stands."""
    for text in (number, f'{{"size": [{number}]}}'):
        with pytest.raises(CallFailed, match=f"{INVALID} .{number} is not a number"):
            result(METHOD, text, "", "")
        with pytest.raises(CallFailed, match=f"{INVALID} .{number} is not a number"):
            reply(METHOD, f'{{"jsonrpc": "2.0", "result": {text}, "id": 1}}')


def test_null_reply() -> None:
    """A node whose whitelist leaves the method out replies with nothing: the operator learns where to look."""
    with pytest.raises(NotAllowed, match=r"getmempoolinfo: the node does not allow it .*-rpcwhitelist\)$"):
        reply(METHOD, "null")


@pytest.mark.parametrize("said", [[], 5, "text", {}, {"id": 1}, {"jsonrpc": "2.0"}, {"error": None}])
def test_malformed_reply(said: object) -> None:
    """A reply with neither a result nor an error fails the call."""
    with pytest.raises(CallFailed, match=INVALID):
        reply(METHOD, json.dumps(said))
