"""Which JSON-RPC requests pass the guard: read-only methods, in the one form that every parser reads alike."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frames import NODE
from support.gated import Gated, ended, on_thread, opened, passes, refused
from support.layouts import Plain, Struct, frame_with, tree_of
from support.properties import any_text

from telegraf_bitcoin_ipc.guard.allowed import JSON_RPC
from telegraf_bitcoin_ipc.ipc import jsonrpc, schema
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY
from telegraf_bitcoin_ipc.ipc.jsonrpc import USER

RPC = schema.load("stock").rpc.Rpc
NODE_ID = 9
UPTIME = jsonrpc.request("uptime", [])


@pytest.fixture
def gated() -> Iterator[Gated]:
    """A client behind the guard's gate that has threads, every interface, and a wait for the next tip."""
    with opened() as conversation:
        yield conversation


def by_node(command: str = "uptime", params: str = "[]", uri: str = "") -> bytes:
    """Return a call of Node.executeRpc."""
    return on_thread(7, NODE, "executeRpc", NODE_ID, command=command, params=params, uri=uri)


def by_rpc(request: str = UPTIME, uri: str = "", user: str = USER) -> bytes:
    """Return a call of Rpc.executeRpc."""
    return on_thread(7, RPC, "executeRpc", NODE_ID, request=request, uri=uri, user=user)


@pytest.mark.parametrize("method", READ_ONLY)
def test_a_read_only_method_passes(method: str) -> None:
    """Every method that a poll calls passes, either way, with parameters."""
    for values in ([], [2], ["00" * 32, ["height", "txs"]], [1.5, None, True], ["\u00e9 \n \u20bf \0"]):
        for frame in (by_node(method, json.dumps(values)), by_rpc(jsonrpc.request(method, values))):
            with opened() as gated:
                passes(gated, frame)
    assert set(READ_ONLY) == JSON_RPC


METHODS = (
    "",
    " ",
    "stop",
    "sendtoaddress",
    "getblockchaininfo ",
    " getblockchaininfo",
    "GETBLOCKCHAININFO",
    "getblockchaininf",
    "getblockchaininfoo",
    "uptime\nstop",
    "uptime;stop",
    "help",
    "getblock",
    "setban",
    "x" * 5000,
)


@pytest.mark.parametrize("method", METHODS)
def test_another_method_is_refused(gated: Gated, method: str) -> None:
    """A method that is not of the list, to the letter, is refused either way."""
    refused(gated, 7, by_node(method))
    refused(gated, 7, by_rpc(jsonrpc.request(method, [])))


@pytest.mark.parametrize(
    "method", ["upt\u0131me", "\uff55ptime", "uptime\u200b", "\u0443ptime", "st\u00f6p", "uptime\0"]
)
def test_a_method_in_another_form_of_unicode_passes_neither_way(method: str) -> None:
    """What is no ASCII ends the session; written with escapes it is another method, and refused."""
    with opened() as gated:
        refused(gated, 7, by_rpc(jsonrpc.request(method, [])))
        ended(gated, by_node(method))


REQUESTS = {
    "a second method": UPTIME[:-1] + ', "method": "stop"}',
    "a first method": '{"method": "stop", ' + UPTIME[1:],
    "duplicate parameters": UPTIME[:-1] + ', "params": ["x"]}',
    "a duplicate id": '{"id": "uptime", ' + UPTIME[1:],
    "an escaped key": UPTIME.replace('"method"', '"m\\u0065thod"'),
    "a second, escaped key": UPTIME[:-1] + ', "m\\u0065thod": "stop"}',
    "an escaped method": UPTIME.replace('"method": "uptime"', '"method": "upt\\u0069me"'),
    "an escaped slash": UPTIME.replace("[]", '["\\/"]'),
    "upper hexadecimal": UPTIME.replace("[]", '["\\u00E9"]'),
    "a batch": f"[{UPTIME}]",
    "a batch of two": f"[{UPTIME}, {jsonrpc.request('stop', [])}]",
    "two requests": UPTIME + jsonrpc.request("stop", []),
    "two lines": UPTIME + "\n" + jsonrpc.request("stop", []),
    "a space behind": UPTIME + " ",
    "a space before": " " + UPTIME,
    "no spaces": UPTIME.replace(" ", ""),
    "a comment": UPTIME[:-1] + "/**/}",
    "a comma": UPTIME[:-1] + ",}",
    "single quotes": UPTIME.replace('"', "'"),
    "another key": UPTIME[:-1] + ', "wallet": ""}',
    "other keys": json.dumps({"jsonrpc": "2.0", "id": "uptime", "Method": "uptime", "params": []}),
    "another order": json.dumps({"method": "uptime", "jsonrpc": "2.0", "id": "uptime", "params": []}),
    "no id": json.dumps({"jsonrpc": "2.0", "method": "uptime", "params": []}),
    "another id": json.dumps({"jsonrpc": "2.0", "id": 1, "method": "uptime", "params": []}),
    "another version": json.dumps({"jsonrpc": "1.0", "id": "uptime", "method": "uptime", "params": []}),
    "a version of another type": json.dumps({"jsonrpc": 2.0, "id": "uptime", "method": "uptime", "params": []}),
    "a list of methods": json.dumps({"jsonrpc": "2.0", "id": ["uptime"], "method": ["uptime"], "params": []}),
    "an object as method": json.dumps({"jsonrpc": "2.0", "id": {}, "method": {"uptime": 1}, "params": []}),
    "no method": json.dumps({"jsonrpc": "2.0", "id": None, "method": None, "params": []}),
    "named parameters": json.dumps({"jsonrpc": "2.0", "id": "uptime", "method": "uptime", "params": {}}),
    "no parameters": json.dumps({"jsonrpc": "2.0", "id": "uptime", "method": "uptime", "params": None}),
    "a nested request": json.dumps({"jsonrpc": "2.0", "id": "uptime", "method": "uptime", "params": UPTIME}),
    "NaN": UPTIME.replace("[]", "[NaN]"),
    "infinity": UPTIME.replace("[]", "[-Infinity]"),
    "a large number": UPTIME.replace("[]", "[1e999]"),
    "half a surrogate pair": UPTIME.replace("[]", '["\\ud800"]'),
    "minus zero": UPTIME.replace("[]", "[-0]"),
    "a plus": UPTIME.replace("[]", "[+1]"),
    "a leading zero": UPTIME.replace("[]", "[01]"),
    "an exponent": UPTIME.replace("[]", "[1E2]"),
    "too many digits": UPTIME.replace("[]", f"[{'9' * 4500}]"),
    "too long": jsonrpc.request("uptime", ["x" * 4096]),
    "a little too deep": UPTIME.replace("[]", "[" * 8 + "]" * 8),
    "too deep": UPTIME.replace("[]", "[" * 1500 + "]" * 1500),
    "duplicates within": UPTIME.replace("[]", '[{"a": 1, "a": 2}]'),
    "a number": "1",
    "a text": '"uptime"',
    "nothing": "",
    "null": "null",
    "cut short": UPTIME[:-1],
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_request_of_another_form_is_refused(gated: Gated, request_: str) -> None:
    """What is not, to the byte, one request as this program writes it, is refused, even if it asks for no harm."""
    refused(gated, 7, by_rpc(request_))


@pytest.mark.parametrize(
    "params",
    ["", "{}", "null", "1", '"x"', "[", "[1] ", " [1]", "[1,2]", "[NaN]", "[][]", '[{"a": 1, "a": 1}]', "[1],[2]"],
)
def test_parameters_are_an_array(gated: Gated, params: str) -> None:
    """Parameters of Node.executeRpc that are no array, or not in the one form, are refused."""
    refused(gated, 7, by_node(params=params))


@pytest.mark.parametrize("uri", ["/wallet/", "/", "x"])
def test_there_is_no_uri(gated: Gated, uri: str) -> None:
    """A request for a wallet, or any other place, is refused."""
    refused(gated, 7, by_node(uri=uri))
    refused(gated, 7, by_rpc(uri=uri))


@pytest.mark.parametrize("user", ["", "root", USER.upper(), USER + " ", "telegraf"])
def test_the_user_is_this_program(gated: Gated, user: str) -> None:
    """A request in another's name is refused: the node's rights go by it."""
    refused(gated, 7, by_rpc(user=user))


TEXTS = {
    "no NUL at the end": b"uptime",
    "NUL within": b"uptime\0stop\0",
    "NUL at the beginning": b"\0uptime\0",
    "two NULs": b"uptime\0\0",
    "no byte at all": b"",
    "a byte that is no ASCII": b"uptime\xff\0",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_text_ends_with_its_only_nul(text: bytes, index: int) -> None:
    """A text that two readers could end at different places, in any of the parameters, ends the session."""
    for frame in (by_node(uri="x"), by_rpc(uri="x")):
        tree = tree_of(frame)
        place = tree
        for step in (0, 1, 0):
            assert isinstance(place, Struct)
            place = place.pointers[step]
        assert isinstance(place, Struct)
        place.pointers[index] = Plain(2, len(text), text)
        with opened() as gated:
            gated.plugin.send(frame_with(tree, lambda: "near"))
            assert not gated.node.outbox.frames
            assert not gated.plugin.outbox.open or gated.plugin.outbox.frames


@pytest.mark.parametrize("code", [0, 1, 3, 4, 5, 6])
def test_a_text_is_a_list_of_bytes(gated: Gated, code: int) -> None:
    """A list of other elements in the place of a text ends the session."""
    tree = tree_of(by_node())
    place = tree
    for step in (0, 1, 0):
        assert isinstance(place, Struct)
        place = place.pointers[step]
    assert isinstance(place, Struct)
    place.pointers[1] = Plain(code, 1, b"uptime\0\0")
    ended(gated, frame_with(tree, lambda: "near"))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text(8), inner, max_size=4),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "Method", "user"]), JSON_VALUES),
    st.sampled_from([*READ_ONLY, "stop"]),
    st.booleans(),
)
def test_no_other_request_passes(changed: dict[str, object], method: str, indented: bool) -> None:
    """Whatever a request is made of, the node gets it only if it asks for a method of the list, in that form."""
    asked = {"jsonrpc": "2.0", "id": method, "method": method, "params": [], **changed}
    text = json.dumps(asked, indent=1 if indented else None)
    with opened() as gated:
        gated.plugin.send(by_rpc(text))
        if gated.node.outbox.frames:
            values = asked["params"]
            assert isinstance(values, list)
            assert text == jsonrpc.request(method, values)
            assert method in READ_ONLY


@given(any_text(30), any_text(30))
def test_no_other_text_passes(command: str, params: str) -> None:
    """Whatever texts Node.executeRpc is given, the node gets a method of the list and an array."""
    with opened() as gated:
        gated.plugin.send(by_node(command, params))
        if gated.node.outbox.frames:
            assert command in READ_ONLY
            assert isinstance(json.loads(params), list)
