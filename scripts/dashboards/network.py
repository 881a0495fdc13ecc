"""Row: peers by kind, and what is sent and received."""

from typing import Final

from dashboards.panels import LOWEST, Panel, graph, stat
from dashboards.queries import POLLED_INTERVAL, rate, value

PANELS: Final[tuple[Panel, ...]] = (
    stat("P2P network", "network_active", width=3, texts={0: ("off", "red"), 1: ("on", "green")}),
    stat(
        "Inbound peers",
        value("peers_by_direction", direction="inbound"),
        width=3,
        note="0 if the node cannot be reached: behind NAT, or with -listen=0.",
    ),
    stat(
        "Outbound peers",
        value("peers_by_direction", direction="outbound"),
        width=3,
        steps={LOWEST: "red", 1: "orange", 8: "green"},
    ),
    stat("Banned", "banned_peers", width=6),
    stat(
        "Peers' ping",
        value("peer_ping_seconds", stat="median"),
        "s",
        width=9,
        nothing="no peer has answered a ping",
        note="The median; see below for the 90th percentile and the maximum.",
    ),
    graph("Peers over time", {"peers": "peers"}, width=6, steps={8: "orange"}, decimals=0),
    *(
        graph(f"Peers by {tag}", {f"{{{{{tag}}}}}": name}, width=6, stacked=True, decimals=0)
        for tag, name in (
            ("direction", "peers_by_direction"),
            ("network", "connections_by_network"),
            ("transport", "peers_by_transport"),
        )
    ),
    graph("Peers by connection type", {"{{type}}": "connections_by_type"}, stacked=True, decimals=0),
    graph("Peers' ping over time", {"{{stat}}": "peer_ping_seconds"}, "s", nothing="no peer has answered a ping"),
    graph(
        "Bandwidth",
        {"received": rate("bytes_recv_total"), "sent": rate("bytes_sent_total")},
        "Bps",
        interval=POLLED_INTERVAL,
    ),
    graph("Traffic since the node's start", {"received": "bytes_recv_total", "sent": "bytes_sent_total"}, "bytes"),
    *(
        graph(
            f"Bytes {way} by message",
            {"{{message}}": f"topk(10, {rate(name)})"},
            "Bps",
            interval=POLLED_INTERVAL,
            note="The ten messages with the most bytes at each point.",
        )
        for way, name in (("received", "p2p_bytes_recv_total"), ("sent", "p2p_bytes_sent_total"))
    ),
)
