"""JSON-RPC texts: what is asked, and what an answer means: a value, a failed call, a node that still starts."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from telegraf_bitcoin_ipc.errors import CallFailed, DataPruned, NodeUnavailable, NotAllowed
from telegraf_bitcoin_ipc.ipc.jsonrpc import reply, request, result

METHOD = "getmempoolinfo"
WARMUP = {"code": -28, "message": "Loading block index…"}
UNKNOWN = {"code": -32601, "message": "Method not found"}

Answer = Callable[[object], Any]


def over_node(error: object) -> Any:
    """Take an error as Node.executeRpc gives it."""
    return result(METHOD, "", json.dumps(error), "")


def over_rpc(error: object) -> Any:
    """Take an error as Rpc.executeRpc gives it."""
    return reply(METHOD, json.dumps({"jsonrpc": "2.0", "error": error, "id": METHOD}))


both = pytest.mark.parametrize("answer", [over_node, over_rpc])


def test_request() -> None:
    """Rpc.executeRpc is given a JSON-RPC 2.0 request with an id: without one it would be answered with nothing."""
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


@both
def test_warm_up(answer: Answer) -> None:
    """A node that loads its chain is not there yet, in the node's own words."""
    with pytest.raises(NodeUnavailable, match=r"^the node is still starting \(Loading block index…\)$"):
        answer(WARMUP)


@both
def test_error(answer: Answer) -> None:
    """An error costs this call only, and its text has the method, the message and the code."""
    with pytest.raises(CallFailed, match=r"^getmempoolinfo: Method not found \(error -32601\)$"):
        answer(UNKNOWN)


@both
def test_error_code(answer: Answer) -> None:
    """A failure carries the error's code, so that nobody has to read it out of the text."""
    with pytest.raises(CallFailed) as failed:
        answer(UNKNOWN)
    assert failed.value.code == -32601


@both
@pytest.mark.parametrize("message", ["Block not available (pruned data)", "Undo data not available (pruned data)"])
def test_pruned_block(answer: Answer, message: str) -> None:
    """A pruned block is an error of its own, though its code is one of many errors."""
    with pytest.raises(DataPruned, match=r"\(error -1\)$"):
        answer({"code": -1, "message": message})
    with pytest.raises(CallFailed) as failed:
        answer({"code": -1, "message": "no luck"})
    assert not isinstance(failed.value, DataPruned)


@both
@pytest.mark.parametrize("code", ["-1", None, [1]])
def test_error_code_that_is_no_number(answer: Answer, code: object) -> None:
    """An error code of another type fails the call."""
    with pytest.raises(CallFailed, match="the answer is not valid JSON-RPC"):
        answer({"code": code, "message": "no"})


@both
@pytest.mark.parametrize("error", [5, "no", [], {}, {"code": 1}, {"message": "no"}])
def test_malformed_error(answer: Answer, error: object) -> None:
    """An error object without code or message fails the call, and nothing more."""
    with pytest.raises(CallFailed, match=r"^getmempoolinfo: the answer is not valid JSON-RPC"):
        answer(error)


def test_failure_of_the_call_itself() -> None:
    """What Node.executeRpc says beside JSON-RPC fails the call with its words."""
    with pytest.raises(CallFailed, match=r"^getmempoolinfo: out of memory$"):
        result(METHOD, "", "", "out of memory")


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[1", "\x00"])
def test_no_json(text: str) -> None:
    """A text that is no JSON fails the call, over either way."""
    with pytest.raises(CallFailed, match="the answer is not valid JSON-RPC"):
        result(METHOD, text, "", "")
    with pytest.raises(CallFailed, match="the answer is not valid JSON-RPC"):
        reply(METHOD, text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_deep_nesting(text: str) -> None:
    """A text that is nested beyond all measure fails the call, and not the program."""
    with pytest.raises(CallFailed, match="the answer is not valid JSON-RPC"):
        result(METHOD, text, "", "")
    with pytest.raises(CallFailed, match="the answer is not valid JSON-RPC"):
        reply(METHOD, text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_no_number(number: str) -> None:
    """What Python takes for a number and JSON does not fails the call, wherever it stands."""
    for text in (number, f'{{"size": [{number}]}}'):
        with pytest.raises(CallFailed, match=f"getmempoolinfo: .* valid JSON-RPC .{number} is not a number"):
            result(METHOD, text, "", "")
        with pytest.raises(CallFailed, match=f"getmempoolinfo: .* valid JSON-RPC .{number} is not a number"):
            reply(METHOD, f'{{"jsonrpc": "2.0", "result": {text}, "id": 1}}')


def test_no_json_in_an_error() -> None:
    """Neither is a broken error a crash."""
    with pytest.raises(CallFailed, match="the answer is not valid JSON-RPC"):
        result(METHOD, "", "{", "")


def test_null_reply() -> None:
    """A node whose whitelist leaves the method out replies with nothing: the operator learns where to look."""
    with pytest.raises(NotAllowed, match=r"getmempoolinfo: the node does not allow it .*-rpcwhitelist\)$"):
        reply(METHOD, "null")


@pytest.mark.parametrize("said", [[], 5, "text", {}, {"id": 1}, {"jsonrpc": "2.0"}, {"error": None}])
def test_malformed_reply(said: object) -> None:
    """A reply with neither a result nor an error fails the call."""
    with pytest.raises(CallFailed, match="the answer is not valid JSON-RPC"):
        reply(METHOD, json.dumps(said))
