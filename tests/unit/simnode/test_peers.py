"""The simulated node's peers: who comes and goes, and that no byte is ever lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.properties import examples

from telegraf_bitcoin_ipc.collect.tags import CONNECTION_TYPES, TRANSPORTS
from telegraf_bitcoin_ipc.simnode.peers import NETWORK_PINGS, Peer, Peers


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (("arpanet", "manual", "v1"), "unknown network 'arpanet': expected one of ipv4, "),
        (("ipv4", "outgoing", "v1"), "unknown connection type 'outgoing': expected one of inbound, "),
        (("ipv4", "manual", "v3"), "unknown transport 'v3': expected one of v1, v2, detecting"),
    ],
)
def test_names_are_the_node_s(given_: tuple[str, str, str], message: str) -> None:
    """What a real node has no name for is refused."""
    with pytest.raises(ValueError, match=message):
        Peers().join(*given_)


def test_a_peer_leaves() -> None:
    """The oldest leaves, or the one that is named; nobody else can."""
    peers = Peers()
    for _ in range(4):
        peers.join()
    assert peers.leave().id == 0
    assert peers.leave(2).id == 2
    assert [peer.id for peer in peers] == [1, 3]
    with pytest.raises(ValueError, match="there is no peer 2"):
        peers.leave(2)
    with pytest.raises(ValueError, match=r"there is no peer$"):
        Peers().leave()


def test_traffic_of_one_message() -> None:
    """Traffic can be one peer's and one message's."""
    peers = Peers()
    peers.change(1, 1)
    peers.traffic(700, 30, peer_id=1, message="inv")
    quiet, peer = peers
    assert (dict(peer.received), dict(peer.sent)) == ({"inv": 700}, {"inv": 30})
    assert quiet.received.total() == 0
    with pytest.raises(ValueError, match="there is no peer 7"):
        peers.traffic(1, 1, peer_id=7)
    with pytest.raises(ValueError, match="do not become fewer"):
        peers.traffic(-1, 1)
    assert (peers.bytes_received, peers.bytes_sent) == (700, 30)


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
