"""Which JSON-RPC requests pass the guard: read-only methods, in the one form that every parser reads alike."""

from __future__ import annotations

import json
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from support.gated import ended, opened, passes
from support.hostile_frames import Ids, by_node, by_rpc
from support.layouts import Plain, frame_with, tree_of
from support.properties import any_text

from telegraf_bitcoin_ipc.guard.allowed import JSON_RPC
from telegraf_bitcoin_ipc.ipc import jsonrpc
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY

IDS = Ids()


def test_every_read_only_method_passes() -> None:
    """Every method that a poll calls passes, either way, with parameters."""
    all_values: tuple[list[object], ...] = (
        [],
        [2],
        ["00" * 32, ["height", "txs"]],
        [1.5, None, True],
        ["\u00e9 \n \u20bf \0"],
    )
    for method, values in product(READ_ONLY, all_values):
        for frame in (by_node(IDS, method, json.dumps(values)), by_rpc(IDS, jsonrpc.request(method, values))):
            with opened() as gated:
                passes(gated, frame)
    with opened() as gated:
        passes(gated, with_list(by_node(IDS), 3, None))  # no uri is an empty one
    assert set(READ_ONLY) == JSON_RPC


def with_list(frame: bytes, index: int, place: Plain | None) -> bytes:
    """Return a call with another list in the place of a parameter."""
    tree = tree_of(frame)
    tree.at(0, 1, 0).pointers[index] = place
    return frame_with(tree)


def test_a_text_ends_with_its_only_nul() -> None:
    """A text that two readers could end at different places, in any of the parameters, ends the session."""
    texts = (b"uptime", b"uptime\0stop\0", b"\0uptime\0", b"uptime\0\0", b"", b"uptime\xff\0")
    for text, index, frame in product(texts, (1, 2, 3), (by_node(IDS, uri="x"), by_rpc(IDS, uri="x"))):
        with opened() as gated:
            gated.plugin.send(with_list(frame, index, Plain(2, len(text), text)))
            assert not gated.node.outbox.frames, (text, index)
            assert not gated.plugin.outbox.open or gated.plugin.outbox.frames, (text, index)


def test_a_text_is_a_list_of_bytes() -> None:
    """A list of other elements in the place of a text ends the session."""
    for code in (0, 1, 3, 4, 5, 6):
        with opened() as gated:
            ended(gated, with_list(by_node(IDS), 1, Plain(code, 1, b"uptime\0\0")))


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
        gated.plugin.send(by_rpc(IDS, text))
        if gated.node.outbox.frames:
            values = asked["params"]
            assert isinstance(values, list)
            assert text == jsonrpc.request(method, values)
            assert method in READ_ONLY


@given(any_text(30), any_text(30))
def test_no_other_text_passes(command: str, params: str) -> None:
    """Whatever texts Node.executeRpc is given, the node gets a method of the list and an array."""
    with opened() as gated:
        gated.plugin.send(by_node(IDS, command, params))
        if gated.node.outbox.frames:
            assert command in READ_ONLY
            assert isinstance(json.loads(params), list)
