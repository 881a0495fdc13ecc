"""Rpc.executeRpc of the simulated node: every reply is, to the byte, what a real node of version 31.99 sent."""

import asyncio
import json
from typing import Any

import pytest

from telegraf_bitcoin_ipc.simnode.rpc.envelope import execute
from telegraf_bitcoin_ipc.simnode.rpc.errors import METHOD_NOT_FOUND, RpcError

NOT_FOUND = '{"code":-32601,"message":"Method not found"}'
TOP_LEVEL = '{"result":null,"error":{"code":-32700,"message":"Top-level object parse error"},"id":null}'


async def uptime(method: str, params: Any) -> object:
    """Answer one method as a node does that has just been started."""
    if method != "uptime":
        raise RpcError(METHOD_NOT_FOUND, "Method not found")
    return 1


def reply(request: str) -> str:
    """Return the reply to a request."""
    return asyncio.run(execute(request, uptime))


def refused(code: int, message: str, version_2: bool = False, id_: str = ',"id":4') -> str:
    """Return the reply with an error."""
    error = f'"error":{{"code":{code},"message":"{message}"}}{id_}}}'
    return f'{{"jsonrpc":"2.0",{error}' if version_2 else f'{{"result":null,{error}'


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ('{"jsonrpc":"2.0","method":"uptime","params":[],"id":1}', '{"jsonrpc":"2.0","result":1,"id":1}'),
        ('{"jsonrpc":"1.0","method":"uptime","id":1}', '{"result":1,"error":null,"id":1}'),
        ('{"method":"uptime","id":"x"}', '{"result":1,"error":null,"id":"x"}'),
        ('{"method":"uptime"}', '{"result":1,"error":null}'),
        ('{"jsonrpc":"2.0","method":"uptime"}', "null"),
        ('{"jsonrpc":"2.0","method":"nope","id":1}', f'{{"jsonrpc":"2.0","error":{NOT_FOUND},"id":1}}'),
        ('{"method":"nope","id":1}', f'{{"result":null,"error":{NOT_FOUND},"id":1}}'),
    ],
)
def test_answers(request_: str, expected: str) -> None:
    """A version 2 request gets a result or an error, an older one both; a notification nothing."""
    assert reply(request_) == expected


@pytest.mark.parametrize("request_", ["", "garbage", "5", "null"])
def test_no_request_at_all(request_: str) -> None:
    """What is no JSON object or array is refused without an id."""
    assert reply(request_) == TOP_LEVEL


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("{}", refused(-32600, "Missing method", id_="")),
        ('{"jsonrpc":"2.0","id":4}', refused(-32600, "Missing method", True)),
        ('{"jsonrpc":"3.0","method":"uptime","id":4}', refused(-32600, "JSON-RPC version not supported")),
        ('{"jsonrpc":2,"method":"uptime","id":4}', refused(-32600, "jsonrpc field must be a string")),
        ('{"jsonrpc":"2.0","method":5,"id":4}', refused(-32600, "Method must be a string", True)),
        (
            '{"jsonrpc":"2.0","method":"uptime","params":3,"id":4}',
            refused(-32600, "Params must be an array or object", True),
        ),
    ],
)
def test_malformed_requests(request_: str, expected: str) -> None:
    """The first thing that is wrong is said, in the version that was read by then."""
    assert reply(request_) == expected


def test_batches() -> None:
    """A batch is answered in its order, but for notifications; what is no object has the id of the one before."""
    batch = '[{"jsonrpc":"2.0","method":"uptime","id":4},{"method":"nope","id":5},3]'
    assert reply(batch) == (
        '[{"jsonrpc":"2.0","result":1,"id":4},'
        f'{{"result":null,"error":{NOT_FOUND},"id":5}},'
        '{"result":null,"error":{"code":-32600,"message":"Invalid Request object"},"id":5}]'
    )
    assert reply("[]") == "[]"
    assert reply('[{"jsonrpc":"2.0","method":"uptime"}]') == "null"


def test_text_is_utf_8() -> None:
    """What is not ASCII is sent as it is, as a real node does."""

    async def warm_up(method: str, params: Any) -> object:
        raise RpcError(-28, "Loading block index…")

    request = json.dumps({"jsonrpc": "2.0", "method": "uptime", "id": None})
    expected = '{"jsonrpc":"2.0","error":{"code":-28,"message":"Loading block index…"},"id":null}'
    assert asyncio.run(execute(request, warm_up)) == expected
