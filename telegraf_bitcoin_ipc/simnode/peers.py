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
    """A peer, with getpeerinfo's names: its ping in seconds (None if not known), its bytes by message."""

    id: int
    network: str
    type: str
    transport: str
    ping: float | None
    received: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    @property
    def inbound(self) -> bool:
        return self.type == "inbound"


class Peers:
    """The connected peers, the addresses in `bans`, and the bytes of all peers, including those that left."""

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
        return sum(peer.inbound for peer in self)

    @property
    def outbound(self) -> int:
        return len(self) - self.inbound

    def join(
        self,
        network: str = "ipv4",
        type: str = "outbound-full-relay",
        transport: str = "v2",
        ping: float | None = None,
    ) -> None:
        """Connect a peer. Raises ValueError."""
        _need("network", network, tuple(NETWORK_PINGS))
        _need("connection type", type, CONNECTION_TYPES)
        _need("transport", transport, TRANSPORTS)
        self._peers[self._joined] = Peer(self._joined, network, type, transport, ping)
        self._joined += 1

    def join_any(self, inbound: bool) -> None:
        """Connect the next peer of a mix of networks and transports; it has not answered a ping yet."""
        full = sum(peer.type == "outbound-full-relay" for peer in self)
        outbound = "outbound-full-relay" if full < FULL_RELAY else "block-relay-only"
        transport = "v1" if self._joined % 4 == 3 else "v2"
        self.join(next(self._networks), "inbound" if inbound else outbound, transport)

    def ping(self) -> None:
        """Have every peer that has not answered a ping answer one, after a plausible time of its own."""
        for peer in self:
            if peer.ping is None:
                peer.ping = round(NETWORK_PINGS[peer.network] * (1 + peer.id % 7 / 10), 6)

    def leave(self, id: int | None = None) -> None:
        """Disconnect the peer with an id, or the oldest one. Raises ValueError if there is none."""
        if id is None and not self._peers:
            raise ValueError("there is no peer")
        del self._peers[next(iter(self._peers)) if id is None else self._peer(id).id]

    def change(self, inbound: int, outbound: int) -> None:
        """Let peers join, and the oldest ones leave, until these numbers are connected; all have been pinged."""
        for wanted, is_inbound in ((inbound, True), (outbound, False)):
            present = [peer.id for peer in self if peer.inbound == is_inbound]
            for oldest in present[: max(len(present) - wanted, 0)]:
                self.leave(oldest)
            for _ in range(wanted - len(present)):
                self.join_any(is_inbound)
        self.ping()

    def traffic(self, received: int, sent: int, id: int | None = None, message: str | None = None) -> None:
        """Add bytes to the totals, and to one peer or evenly to all, and to one message or to a mix of them.

        Without peers only the totals grow, as if the peers had left. Raises ValueError.
        """
        if received < 0 or sent < 0:
            raise ValueError("bytes do not become fewer")
        peers = list(self) if id is None else [self._peer(id)]
        self.bytes_received += received
        self.bytes_sent += sent
        even = [1] * len(peers)
        for peer, of_received, of_sent in zip(peers, _shared(received, even), _shared(sent, even), strict=True):
            _count(peer.received, of_received, message)
            _count(peer.sent, of_sent, message)

    def ban(self, count: int = 1) -> None:
        numbers = range(len(self.bans), len(self.bans) + count)
        self.bans += [f"198.51.{number // 256}.{number % 256}/32" for number in numbers]

    def _peer(self, id: int) -> Peer:
        if id not in self._peers:
            raise ValueError(f"there is no peer {id}")
        return self._peers[id]


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
