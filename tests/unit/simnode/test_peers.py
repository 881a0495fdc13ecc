"""The simulated node's peers: who comes and goes, and that no byte is ever lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.properties import examples

from telegraf_bitcoin_ipc.collect.tags import CONNECTION_TYPES, TRANSPORTS
from telegraf_bitcoin_ipc.simnode.peers import NETWORK_PINGS, Peer, Peers


@pytest.mark.parametrize(
    ("action", "parameters", "message"),
    [
        ("join", {"network": "arpanet"}, "unknown network 'arpanet': expected one of ipv4, "),
        ("join", {"type": "outgoing"}, "unknown connection type 'outgoing': expected one of inbound, "),
        ("join", {"transport": "v3"}, "unknown transport 'v3': expected one of v1, v2, detecting"),
        ("leave", {}, r"there is no peer$"),
        ("leave", {"id": 2}, "there is no peer 2"),
        ("traffic", {"received": 1, "sent": 1, "id": 7}, "there is no peer 7"),
        ("traffic", {"received": -1, "sent": 1}, "do not become fewer"),
    ],
)
def test_what_cannot_be_is_refused(action: str, parameters: dict[str, Any], message: str) -> None:
    """Names and peers that a real node does not have are a mistake."""
    peers = Peers()
    with pytest.raises(ValueError, match=message):
        getattr(peers, action)(**parameters)
    assert (list(peers), peers.bytes_received, peers.bytes_sent) == ([], 0, 0)


def test_a_peer_that_has_just_connected_has_no_ping() -> None:
    """As with a real node it has one a while later, plausible for its network."""
    peers = Peers()
    peers.join_any(inbound=True)
    assert [peer.ping for peer in peers] == [None]
    peers.change(inbound=3, outbound=5)
    for peer in peers:
        assert peer.ping is not None
        assert 1 <= peer.ping / NETWORK_PINGS[peer.network] < 2


STEPS = st.one_of(
    st.tuples(st.just("change"), st.integers(0, 4), st.integers(0, 12)),
    st.tuples(st.just("traffic"), st.integers(0, 10**9), st.integers(0, 10**9)),
    st.tuples(
        st.just("join"),
        st.sampled_from(list(NETWORK_PINGS)),
        st.sampled_from(CONNECTION_TYPES),
        st.sampled_from(TRANSPORTS),
    ),
)


@examples(200)
@given(steps=st.lists(STEPS, max_size=25))
def test_no_byte_is_lost(steps: list[tuple[str, int, int]]) -> None:
    """The totals never fall, and are what the peers' messages say, those of the peers that left included."""
    peers = Peers()
    ever: dict[int, Peer] = {}
    for name, *arguments in steps:
        received, sent = peers.bytes_received, peers.bytes_sent
        getattr(peers, name)(*arguments)
        ever |= {peer.id: peer for peer in peers}
        assert peers.bytes_received >= received
        assert peers.bytes_sent >= sent
        if name == "traffic" and not len(peers):
            peers = Peers()  # these bytes are nobody's
            ever = {}
    assert sum(peer.received.total() for peer in ever.values()) == peers.bytes_received
    assert sum(peer.sent.total() for peer in ever.values()) == peers.bytes_sent
