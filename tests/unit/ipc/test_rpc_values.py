"""The readers of JSON-RPC results: the right unit, absent where there is no value, an error for another form."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.properties import any_text

from telegraf_bitcoin_ipc.collect.values import Read
from telegraf_bitcoin_ipc.ipc.rpc_values import (
    bytes_by_message,
    count_of,
    directions,
    fee_estimates,
    feerate,
    field,
    number,
    of_indexes,
    pings,
    real,
    satoshi,
    total_of,
    warnings,
)

FORM_ERRORS = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""What a reader raises for a result that has not the form it reads."""

PEERS: list[dict[str, Any]] = [
    {"id": 0, "network": "ipv4", "pingtime": 0.04, "bytesrecv_per_msg": {"tx": 500, "inv": 20, "*other*": 7}},
    {"id": 4, "network": "onion", "bytesrecv_per_msg": {}},
]

INDEXES_SAID = {
    "txindex": {"synced": True, "best_block_height": 900_000},
    "coinstatsindex": {"synced": False, "best_block_height": 12},
    "an index of the future": {"synced": True, "best_block_height": 5},
    "another one": {},
}
INDEXES = {"txindex", "coinstatsindex", "txospenderindex"}

NETWORKS = count_of("network", ("ipv4", "onion", "i2p"))
RECEIVED = bytes_by_message("bytesrecv_per_msg", {"tx", "inv"})

REALS = [(0, 0.0), (7, 7.0), (4.6e-10, 4.6e-10), (None, None)]


@pytest.mark.parametrize(
    ("reader", "said", "read"),
    [
        # A number is taken as it is, a boolean as 0 or 1, null as no value.
        *((number, value, value) for value in (0, 5, 0.5, 2**63 - 1, None)),
        *((number, value, int(value)) for value in (True, False)),
        # A number that need not be whole is a float each time: an output never sees its type change.
        *((real, value, read) for value, read in REALS),
        *((field("difficulty", real), {"difficulty": value}, read) for value, read in REALS),
        # A field that an older node does not have, or that is null, is absent and not 0.
        (field("size"), {"size": 5}, 5),
        (field("loaded"), {"loaded": True}, 1),
        *(
            (reader, said, None)
            for reader in (field("a"), field("a", real), field("a", satoshi), field("a", feerate))
            for said in ({}, {"a": None})
        ),
        # An amount in bitcoin is a whole number of satoshi, whatever its binary fraction looks like.
        *(
            (field("a", satoshi), {"a": bitcoin}, read)
            for bitcoin, read in (
                (0, 0),
                (0.00000001, 1),
                (0.29, 29_000_000),
                (20_999_999.9769, 2_099_999_997_690_000),
            )
        ),
        # A feerate in bitcoin per 1,000 virtual bytes is exact in satoshi per virtual byte.
        *(
            (field("a", feerate), {"a": bitcoin}, read)
            for bitcoin, read in (
                (0.00001, 1.0),
                (0.000001, 0.1),
                (0.00001001, 1.001),
                (0.1, 10_000.0),
                (0, 0.0),
            )
        ),
        # Warnings are counted, be they a list or (older nodes) one text.
        *(
            (warnings, {"warnings": said}, read)
            for said, read in (([], 0), (["a", "b"], 2), ("", 0), ("It is new", 1))
        ),
        # Both directions have a number, also 0.
        (directions, {"connections": 3, "connections_in": 0, "connections_out": 3}, {"inbound": 0, "outbound": 3}),
        # Each known value has its count, also 0; another one, and none, keep what they are called.
        (NETWORKS, PEERS, {"ipv4": 1, "onion": 1, "i2p": 0}),
        (NETWORKS, [], {"ipv4": 0, "onion": 0, "i2p": 0}),
        (
            NETWORKS,
            [{"network": "quantum"}, {"network": "quantum"}, {}, {"network": None}],
            {"ipv4": 0, "onion": 0, "i2p": 0, "quantum": 2, "": 1, "None": 1},
        ),
        # A peer that has answered no ping yet is left out; without any ping there are no statistics.
        (pings, PEERS, {"median": 0.04, "p90": 0.04, "max": 0.04}),
        (pings, [{}], None),
        (pings, [], None),
        # Each peer has its bytes by message; what the node calls *other*, and a new message, are other.
        (
            RECEIVED,
            [*PEERS, {"id": 9, "bytesrecv_per_msg": {"*other*": 1, "quantum": 2, "tx": 3}}],
            {(0, "tx"): 500, (0, "inv"): 20, (0, "other"): 7, (9, "other"): 3, (9, "tx"): 3},
        ),
        (RECEIVED, [], {}),
        # A target without enough data is left out; none at all is no value.
        (
            fee_estimates,
            {
                "2": {"feerate": 0.00012, "blocks": 2},
                "6": {"errors": ["Insufficient data or no feerate found"], "blocks": 0},
                "144": {"feerate": 0.00001, "blocks": 144},
                "1008": {"feerate": None},
            },
            {"2": 12.0, "144": 1.0},
        ),
        (fee_estimates, {}, {}),
        # Each known index has its state; a new one is left out, and a node without any has none.
        (of_indexes("synced", INDEXES), INDEXES_SAID, {"txindex": 1, "coinstatsindex": 0}),
        (of_indexes("best_block_height", INDEXES), INDEXES_SAID, {"txindex": 900_000, "coinstatsindex": 12}),
        (of_indexes("synced", INDEXES), {}, {}),
        # A sum is that of all its fields.
        (total_of("ins", "utxo_increase_actual"), {"ins": 7, "utxo_increase_actual": -2, "outs": 9}, 5),
    ],
)
def test_reader(reader: Read, said: Any, read: object) -> None:
    """Each reader gives the value in the metric's unit, always of the same type, or None where there is none."""
    value = reader(said)
    assert value == read
    assert type(value) is type(read) or isinstance(read, dict)


@pytest.mark.parametrize("value", ["5", [], {}, [1], float("inf"), float("-inf"), float("nan")])
def test_no_number(value: object) -> None:
    """A value that is not a number is refused."""
    with pytest.raises(TypeError, match="is not a number"):
        number(value)


@given(st.integers(0, 21_000_000 * 100_000_000))
def test_satoshi_survives_the_text(amount: int) -> None:
    """Every amount that there can be is read to the satoshi."""
    assert field("a", satoshi)({"a": float(f"{amount // 10**8}.{amount % 10**8:08}")}) == amount


@pytest.mark.parametrize(
    ("times", "median", "ninth", "worst"),
    [
        ([0.5], 0.5, 0.5, 0.5),
        ([2, 1], 1, 2, 2),
        ([3, 1, 2], 2, 3, 3),
        (range(10, 0, -1), 5, 9, 10),
        (range(1, 12), 6, 10, 11),
        (range(1, 101), 50, 90, 100),
    ],
)
def test_pings(times: list[float], median: float, ninth: float, worst: float) -> None:
    """Each statistic is a ping that was measured: the nearest rank."""
    peers = [{"pingtime": time} for time in times]
    assert pings(peers) == {"median": median, "p90": ninth, "max": worst}


READERS: list[tuple[Read, list[Any]]] = [
    (field("size"), [None, [], "text", {"size": "5"}, {"size": [5]}, {"size": float("inf")}]),
    (real, ["5", [], {}, float("inf")]),
    (field("size", real), [None, [], {"size": "5"}]),
    (field("fee", satoshi), [None, [], 5, {"fee": "0.1"}, {"fee": []}, {"fee": float("inf")}]),
    (field("fee", feerate), [None, [], 5, {"fee": "0.1"}, {"fee": float("nan")}]),
    (warnings, [None, [], {}]),
    (directions, [None, [], {}, {"connections_in": 1}, {"connections_in": None, "connections_out": 1}]),
    (count_of("network", ()), [None, 5, [5], ["ipv4"], [None]]),
    (pings, [None, 5, [5], [{"pingtime": None}], [{"pingtime": "soon"}]]),
    (bytes_by_message("bytesrecv_per_msg", ()), [None, [{}], [{"id": 1, "bytesrecv_per_msg": []}]]),
    (bytes_by_message("b", ()), [[{"b": {"tx": 1}}], [{"id": None, "b": {"tx": 1}}]]),
    (bytes_by_message("b", ()), [[{"id": 1, "b": {"tx": number}}] for number in ("many", None, float("inf"))]),
    (fee_estimates, [None, [], {"2": None}, {"2": {"feerate": "1"}}, {"2": {"feerate": float("inf")}}]),
    (of_indexes("synced", {"txindex"}), [None, [], {"txindex": {}}, {"txindex": {"synced": None}}]),
    (total_of("ins", "outs"), [{"ins": 7}]),  # not made up from those that are there
    (total_of("ins"), [None, [], {}, {"ins": None}, {"ins": "1"}]),
]


@pytest.mark.parametrize(
    ("reader", "result"), [(reader, result) for reader, results in READERS for result in results]
)
def test_another_form(reader: Read, result: object) -> None:
    """A result of another form is an error that the session knows as such, and never a made-up number."""
    with pytest.raises(FORM_ERRORS):
        reader(result)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | any_text(3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["size", "fee", "warnings", "id", "pingtime", "feerate", "network", "ins"]), inner
            )
        ),
        max_leaves=6,
    )
)
def test_whatever_the_node_says(result: object) -> None:
    """No JSON text ends a reader in any other way, be it nonsense."""
    for reader, _ in READERS:
        with suppress(*FORM_ERRORS):
            value = reader(result)
            assert value is None or isinstance(value, int | float | dict)
