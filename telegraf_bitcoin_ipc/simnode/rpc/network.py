"""JSON-RPC: the network, the peers and the bans."""

import hashlib
from collections.abc import Iterable

from telegraf_bitcoin_ipc.simnode.peers import BAN_SECONDS, Peer
from telegraf_bitcoin_ipc.simnode.rpc.mempool import RELAY_FEE
from telegraf_bitcoin_ipc.simnode.rpc.request import Request, btc

PROTOCOL_VERSION = 70017
PROTOCOL_VERSION_BEFORE_32 = 70016
SERVICES = {"NETWORK": 1 << 0, "WITNESS": 1 << 3, "NETWORK_LIMITED": 1 << 10, "P2P_V2": 1 << 11}
# Every network Core names, and whether a node reaches it without any configuration.
NETWORKS = {"ipv4": True, "ipv6": True, "onion": False, "i2p": False, "cjdns": False}
UPLOAD_TIMEFRAME = 24 * 60 * 60  # seconds
TX_SEND_RATE = 14  # transactions a second, Core 32's default
TOKENS = {"backlog": 0, "count_tok": 420, "size_tok": 12_000_000.0}  # of a node with nothing to send


def getnetworkinfo(request: Request) -> dict[str, object]:
    """Return the state of the network."""
    peers = request.model.peers
    return {
        "version": request.version,
        "subversion": request.subversion,
        "protocolversion": _protocol(request),
        **_services("localservices", "localservicesnames", _own_services(request)),
        "localrelay": True,
        "timeoffset": 0,
        **(_sending() if request.since_32 else {}),
        "networkactive": True,
        "connections": len(peers),
        "connections_in": peers.inbound,
        "connections_out": peers.outbound,
        "networks": [_network(name, reachable) for name, reachable in NETWORKS.items()],
        "relayfee": btc(RELAY_FEE),
        "incrementalfee": btc(RELAY_FEE),
        "localaddresses": [],
        "warnings": request.model.warnings,
    }


def getnettotals(request: Request) -> dict[str, object]:
    """Return the bytes received and sent."""
    return {
        "totalbytesrecv": request.model.bytes_recv,
        "totalbytessent": request.model.bytes_sent,
        "timemillis": request.now * 1000,
        "uploadtarget": {
            "timeframe": UPLOAD_TIMEFRAME,
            "target": 0,
            "target_reached": False,
            "serve_historical_blocks": True,
            "bytes_left_in_cycle": 0,
            "time_left_in_cycle": 0,
        },
    }


def getpeerinfo(request: Request) -> list[dict[str, object]]:
    """Return every peer, the oldest first."""
    return [_peer(request, peer) for peer in request.model.peers]


def listbanned(request: Request) -> list[dict[str, object]]:
    """Return every ban; the simulation lifts none."""
    return [
        {
            "address": ban.address,
            "ban_created": ban.created,
            "banned_until": ban.created + BAN_SECONDS,
            "ban_duration": BAN_SECONDS,
            "time_remaining": max(ban.created + BAN_SECONDS - request.now, 0),
        }
        for ban in request.model.peers.bans
    ]


def _protocol(request: Request) -> int:
    return PROTOCOL_VERSION if request.since_32 else PROTOCOL_VERSION_BEFORE_32


def _own_services(request: Request) -> list[str]:
    return [name for name in SERVICES if name != "NETWORK" or not request.model.pruned]


def _services(number: str, names: str, services: Iterable[str]) -> dict[str, object]:
    """Return services as the two fields that tell them."""
    present = list(services)
    return {number: f"{sum(SERVICES[name] for name in present):016x}", names: present}


def _sending() -> dict[str, object]:
    return {"tx_send_rate": TX_SEND_RATE, "inv_buckets": {"inbound": TOKENS, "outbound": TOKENS}}


def _network(name: str, reachable: bool) -> dict[str, object]:
    return {
        "name": name,
        "limited": not reachable,
        "reachable": reachable,
        "proxy": "",
        "proxy_randomize_credentials": False,
    }


def _peer(request: Request, peer: Peer) -> dict[str, object]:
    model = request.model
    return {
        "id": peer.id,
        "addr": peer.address,
        "addrbind": "127.0.0.1:18444",
        "network": peer.network,
        **_services("services", "servicesnames", (name for name in SERVICES if _offers(peer, name))),
        "relaytxes": peer.connection_type != "block-relay-only",
        "last_inv_sequence": 1,
        "inv_to_send": 0,
        "lastsend": peer.last_sent,
        "lastrecv": peer.last_received,
        "last_transaction": 0,
        "last_block": 0,
        "bytessent": peer.sent.total(),
        "bytesrecv": peer.received.total(),
        "conntime": peer.connected,
        "timeoffset": 0,
        **({} if peer.ping is None else {"pingtime": peer.ping, "minping": peer.min_ping}),
        "version": _protocol(request),
        "subver": request.subversion,
        "inbound": peer.inbound,
        "bip152_hb_to": False,
        "bip152_hb_from": False,
        "presynced_headers": -1,
        "synced_headers": model.header_height,
        "synced_blocks": model.height,
        "inflight": [],
        "addr_relay_enabled": peer.connection_type != "block-relay-only",
        "addr_processed": 0,
        "addr_rate_limited": 0,
        "permissions": [],
        "minfeefilter": btc(RELAY_FEE),
        "bytessent_per_msg": dict(sorted(peer.sent.items())),
        "bytesrecv_per_msg": dict(sorted(peer.received.items())),
        "connection_type": peer.connection_type,
        "transport_protocol_type": peer.transport,
        "session_id": _session(peer),
    }


def _offers(peer: Peer, service: str) -> bool:
    return service != "P2P_V2" or peer.transport == "v2"


def _session(peer: Peer) -> str:
    """Return the id of the encrypted session; other transports have none."""
    return hashlib.sha256(f"session {peer.id}".encode()).hexdigest() if peer.transport == "v2" else ""
