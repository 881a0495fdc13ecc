"""The peers of the simulated node, and their traffic by message. Nothing random."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import Final

from telegraf_bitcoin_ipc.collect.tags import CONNECTION_TYPES, TRANSPORTS

NETWORK_PINGS: Final[Mapping[str, float]] = {
    "ipv4": 0.04,
    "ipv6": 0.05,
    "onion": 0.4,
    "i2p": 0.9,
    "cjdns": 0.1,
    "not_publicly_routable": 0.001,
}
"""Every network that getpeerinfo names, and a plausible ping on it in seconds."""

NETWORKS_IN_TURN: Final = ("ipv4", "onion", "ipv6", "ipv4", "i2p", "ipv4", "cjdns", "not_publicly_routable")
"""The networks, in turn, of peers that are only requested by number."""

FULL_RELAY: Final = 8
"""The number of full-relay outbound connections that a node opens before it opens block-relay-only ones."""

RELAYED: Final[Mapping[str, int]] = {"tx": 60, "inv": 24, "getdata": 10, "addrv2": 4, "ping": 1, "pong": 1}
"""How traffic that names no message is shared between messages."""


@dataclass(slots=True)
class Peer:
    """A peer: its last ping in seconds (None before the first), and its bytes by message name."""

    id: int
    network: str
    connection_type: str
    transport: str
    ping: float | None = None
    received: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    @property
    def inbound(self) -> bool:
        """Whether the peer opened the connection."""
        return self.connection_type == "inbound"


class Peers:
    """The connected peers, the banned addresses, and the bytes of all peers, including those that left.

    `bans` are addresses.
    """

    def __init__(self) -> None:
        self._peers: dict[int, Peer] = {}
        self._joined = 0
        self._networks = cycle(NETWORKS_IN_TURN)
        self.bans: list[str] = []
        self.bytes_received = 0
        self.bytes_sent = 0

    def __iter__(self) -> Iterator[Peer]:
        """Yield the peers, the oldest first."""
        return iter(self._peers.values())

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def inbound(self) -> int:
        """How many peers connected to the node."""
        return sum(peer.inbound for peer in self)

    @property
    def outbound(self) -> int:
        """How many peers the node connected to."""
        return len(self) - self.inbound

    def join(
        self,
        network: str = "ipv4",
        connection_type: str = "outbound-full-relay",
        transport: str = "v2",
        ping: float | None = None,
    ) -> Peer:
        """Connect a peer that has not been pinged unless `ping` (seconds) says so. Raises ValueError."""
        _need("network", network, tuple(NETWORK_PINGS))
        _need("connection type", connection_type, CONNECTION_TYPES)
        _need("transport", transport, TRANSPORTS)
        peer = self._peers[self._joined] = Peer(self._joined, network, connection_type, transport, ping)
        self._joined += 1
        return peer

    def join_any(self, inbound: bool) -> Peer:
        """Connect the next peer of a mix of networks and transports; it has not been pinged."""
        full = sum(peer.connection_type == "outbound-full-relay" for peer in self)
        outbound = "outbound-full-relay" if full < FULL_RELAY else "block-relay-only"
        transport = "v1" if self._joined % 4 == 3 else "v2"
        return self.join(next(self._networks), "inbound" if inbound else outbound, transport)

    def leave(self, peer_id: int | None = None) -> Peer:
        """Disconnect the peer with an id, or the oldest one. Raises ValueError if there is none."""
        if peer_id is None:
            peer_id = next(iter(self._peers), None)
        if peer_id is None or peer_id not in self._peers:
            raise ValueError(f"there is no peer {'' if peer_id is None else peer_id}".rstrip())
        return self._peers.pop(peer_id)

    def change(self, inbound: int, outbound: int) -> None:
        """Let peers, each pinged once, join, and the oldest ones leave, until these numbers are connected."""
        for wanted, is_inbound in ((inbound, True), (outbound, False)):
            present = [peer.id for peer in self if peer.inbound == is_inbound]
            for peer_id in present[: max(len(present) - wanted, 0)]:
                self.leave(peer_id)
            for _ in range(wanted - len(present)):
                self.ping(self.join_any(is_inbound))

    def ping(self, peer: Peer) -> None:
        """Make a peer answer a ping after a time plausible for its network, slightly different for each peer."""
        peer.ping = round(NETWORK_PINGS[peer.network] * (1 + peer.id % 7 / 10), 6)

    def traffic(self, received: int, sent: int, peer_id: int | None = None, message: str | None = None) -> None:
        """Add bytes to the totals, and to one peer or evenly to all, and to one message or to a mix of them.

        Without peers only the totals grow, as if the peers had left. Raises ValueError.
        """
        if received < 0 or sent < 0:
            raise ValueError("bytes do not become fewer")
        peers = list(self) if peer_id is None else [self._peer(peer_id)]
        self.bytes_received += received
        self.bytes_sent += sent
        shares = zip(peers, _shared(received, [1] * len(peers)), _shared(sent, [1] * len(peers)), strict=True)
        for peer, received_of_it, sent_of_it in shares:
            _count(peer.received, received_of_it, message)
            _count(peer.sent, sent_of_it, message)

    def ban(self, count: int) -> None:
        """Ban `count` more addresses."""
        numbers = range(len(self.bans), len(self.bans) + count)
        self.bans += [f"198.51.{number // 256}.{number % 256}/32" for number in numbers]

    def _peer(self, peer_id: int) -> Peer:
        if peer_id not in self._peers:
            raise ValueError(f"there is no peer {peer_id}")
        return self._peers[peer_id]


def _need(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}: expected one of {', '.join(names)}")


def _shared(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total by weights, nothing lost."""
    whole = sum(weights)
    bounds = [total * sum(weights[:n]) // whole for n in range(len(weights) + 1)] if whole else [0]
    return [high - low for low, high in pairwise(bounds)]


def _count(counter: Counter[str], size: int, message: str | None) -> None:
    messages = RELAYED if message is None else {message: 1}
    for name, share in zip(messages, _shared(size, list(messages.values())), strict=True):
        if share:
            counter[name] += share
