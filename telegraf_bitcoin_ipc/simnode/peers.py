"""The peers of the simulated node: who they are, and what was said, by message. No clock, nothing random."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import Final

NETWORK_PINGS: Final[Mapping[str, float]] = {
    "ipv4": 0.04,
    "ipv6": 0.05,
    "onion": 0.4,
    "i2p": 0.9,
    "cjdns": 0.1,
    "not_publicly_routable": 0.001,
}
"""Every network that getpeerinfo names, and a plausible ping on it in seconds."""

CONNECTION_TYPES: Final = (
    "inbound",
    "outbound-full-relay",
    "block-relay-only",
    "manual",
    "addr-fetch",
    "feeler",
    "private-broadcast",
)
TRANSPORTS: Final = ("v1", "v2", "detecting")
"""The node's own names (`ConnectionTypeAsString`, `TransportTypeAsString`)."""

NETWORKS_IN_TURN: Final = ("ipv4", "onion", "ipv6", "ipv4", "i2p", "ipv4", "cjdns", "not_publicly_routable")
"""What peers that are only counted come over."""

FULL_RELAY: Final = 8
"""A node opens as many outbound connections that relay all before it opens those for blocks alone."""

RELAYED: Final[Mapping[str, int]] = {"tx": 60, "inv": 24, "getdata": 10, "addrv2": 4, "ping": 1, "pong": 1}
BLOCKS_ONLY: Final[Mapping[str, int]] = {"cmpctblock": 70, "headers": 20, "getheaders": 8, "ping": 1, "pong": 1}
"""How traffic that names no message is shared between messages."""

HANDSHAKE: Final[Mapping[str, int]] = {
    "version": 136,
    "wtxidrelay": 33,
    "sendaddrv2": 33,
    "verack": 33,
    "sendcmpct": 30,
    "getheaders": 698,
    "feefilter": 29,
}
"""Bytes by message that two nodes have sent each other when a connection is made (measured)."""

BAN_SECONDS: Final = 24 * 60 * 60
"""Bitcoin Core's default of setban."""


@dataclass(slots=True)
class Peer:
    """A peer. Times are Unix seconds, pings seconds (None before the first), bytes by message name."""

    id: int
    network: str
    connection_type: str
    transport: str
    connected: int
    ping: float | None = None
    min_ping: float | None = None
    received: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    last_received: int = 0
    last_sent: int = 0

    @property
    def inbound(self) -> bool:
        """Whether it was the peer that opened the connection."""
        return self.connection_type == "inbound"

    @property
    def address(self) -> str:
        """An address on its network that nobody has: from the ranges for documentation, or a hash."""
        match self.network:
            case "ipv4":
                return f"203.0.113.{self.id % 256}:8333"
            case "ipv6":
                return f"[2001:db8::{self.id:x}]:8333"
            case "onion":
                return f"{_base32(self.id, 35)}.onion:8333"
            case "i2p":
                return f"{_base32(self.id, 32)}.b32.i2p:0"
            case "cjdns":
                return f"[fc00::{self.id:x}]:8333"
            case _:
                return f"127.0.0.1:{49152 + self.id % 16384}"

    def answer_ping(self, seconds: float) -> None:
        """Answer a ping after so many seconds."""
        self.ping = seconds
        self.min_ping = seconds if self.min_ping is None else min(self.min_ping, seconds)


@dataclass(frozen=True, slots=True)
class Ban:
    """An address that is banned, and since when (Unix seconds)."""

    address: str
    created: int


class Peers:
    """Who is connected, who is banned, and all bytes ever received and sent: those of peers that left, too."""

    def __init__(self) -> None:
        self._peers: dict[int, Peer] = {}
        self._joined = 0
        self._networks = cycle(NETWORKS_IN_TURN)
        self.bans: list[Ban] = []
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
        now: int,
        network: str = "ipv4",
        connection_type: str = "outbound-full-relay",
        transport: str = "v2",
        ping: float | None = None,
    ) -> Peer:
        """Connect a peer that has not been pinged unless `ping` (seconds) says so. Raises ValueError."""
        _need("network", network, tuple(NETWORK_PINGS))
        _need("connection type", connection_type, CONNECTION_TYPES)
        _need("transport", transport, TRANSPORTS)
        peer = self._peers[self._joined] = Peer(self._joined, network, connection_type, transport, now)
        self._joined += 1
        if ping is not None:
            peer.answer_ping(ping)
        return peer

    def join_any(self, now: int, inbound: bool) -> Peer:
        """Connect the next peer of a mix of networks and transports; it has not been pinged."""
        full = sum(peer.connection_type == "outbound-full-relay" for peer in self)
        outbound = "outbound-full-relay" if full < FULL_RELAY else "block-relay-only"
        transport = "v1" if self._joined % 4 == 3 else "v2"
        return self.join(now, next(self._networks), "inbound" if inbound else outbound, transport)

    def leave(self, peer_id: int | None = None) -> Peer:
        """Disconnect the peer of an id, or the oldest one. Raises ValueError if there is none."""
        if peer_id is None:
            peer_id = next(iter(self._peers), None)
        if peer_id is None or peer_id not in self._peers:
            raise ValueError(f"there is no peer {'' if peer_id is None else peer_id}".rstrip())
        return self._peers.pop(peer_id)

    def change(self, now: int, inbound: int, outbound: int) -> None:
        """Let peers, each pinged once, join and the oldest ones leave until the numbers are these."""
        for wanted, is_inbound in ((inbound, True), (outbound, False)):
            present = [peer.id for peer in self if peer.inbound == is_inbound]
            for peer_id in present[: max(len(present) - wanted, 0)]:
                self.leave(peer_id)
            for _ in range(wanted - len(present)):
                self.ping(self.join_any(now, is_inbound))

    def ping(self, peer: Peer) -> None:
        """Have a peer answer a ping as fast as its network lets it, each a little different."""
        peer.answer_ping(round(NETWORK_PINGS[peer.network] * (1 + peer.id % 7 / 10), 6))

    def greet(self, peer: Peer, now: int) -> None:
        """Exchange the handshake with a peer."""
        for message, size in HANDSHAKE.items():
            self.traffic(now, size, size, peer.id, message)

    def traffic(
        self, now: int, received: int, sent: int, peer_id: int | None = None, message: str | None = None
    ) -> None:
        """Add bytes to the totals, and to one peer or evenly to all, and to one message or to a mix of them.

        Without peers only the totals grow, as if whoever it was had left. Raises ValueError.
        """
        if received < 0 or sent < 0:
            raise ValueError("bytes do not become fewer")
        peers = list(self) if peer_id is None else [self._peer(peer_id)]
        self.bytes_received += received
        self.bytes_sent += sent
        shares = zip(peers, _shared(received, [1] * len(peers)), _shared(sent, [1] * len(peers)), strict=True)
        for peer, received_of_it, sent_of_it in shares:
            _count(peer, peer.received, received_of_it, message)
            _count(peer, peer.sent, sent_of_it, message)
            peer.last_received = now if received_of_it else peer.last_received
            peer.last_sent = now if sent_of_it else peer.last_sent

    def ban(self, now: int, count: int) -> None:
        """Ban so many addresses more."""
        numbers = range(len(self.bans), len(self.bans) + count)
        self.bans += [Ban(f"198.51.{number // 256}.{number % 256}/32", now) for number in numbers]

    def _peer(self, peer_id: int) -> Peer:
        if peer_id not in self._peers:
            raise ValueError(f"there is no peer {peer_id}")
        return self._peers[peer_id]


def _need(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise ValueError(f"the {what} {name!r} is none of {', '.join(names)}")


def _base32(number: int, size: int) -> str:
    """Return a made-up address of so many bytes."""
    digest = hashlib.sha512(f"peer {number}".encode()).digest()[:size]
    return base64.b32encode(digest).decode().rstrip("=").lower()


def _shared(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total by weights, nothing lost."""
    whole = sum(weights)
    bounds = [total * sum(weights[:n]) // whole for n in range(len(weights) + 1)] if whole else [0]
    return [high - low for low, high in pairwise(bounds)]


def _count(peer: Peer, counter: Counter[str], size: int, message: str | None) -> None:
    mix = BLOCKS_ONLY if peer.connection_type == "block-relay-only" else RELAYED
    messages = mix if message is None else {message: 1}
    for name, share in zip(messages, _shared(size, list(messages.values())), strict=True):
        if share:
            counter[name] += share
