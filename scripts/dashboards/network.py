"""Row: peers by kind, and what is sent and received."""

from dashboards.panels import LOWEST, Row, graph, stat
from dashboards.queries import POLLED_INTERVAL, rate, value

MESSAGES = "The ten that bring the most bytes at each point."


def row() -> Row:
    """Return the row, with new panels."""
    return Row(
        "Network",
        (
            stat("P2P network", value("network_active"), width=3, texts={0: ("off", "red"), 1: ("on", "green")}),
            stat(
                "Inbound peers",
                value("peers_by_direction", direction="inbound"),
                width=3,
                note="0 where nobody can reach the node, behind NAT or with -listen=0.",
            ),
            stat(
                "Outbound peers",
                value("peers_by_direction", direction="outbound"),
                width=3,
                steps={LOWEST: "red", 1: "orange", 8: "green"},
            ),
            stat("Banned", value("banned_peers"), width=6),
            stat(
                "Peers' ping",
                value("peer_ping_seconds", stat="median"),
                "s",
                width=9,
                nothing="no peer has answered a ping",
                note="The median; the 90th percentile and the maximum stand below.",
            ),
            graph("Peers over time", {"peers": value("peers")}, width=6, steps={8: "orange"}, least=0, decimals=0),
            graph(
                "Peers by direction",
                {"{{direction}}": value("peers_by_direction")},
                width=6,
                stacked=True,
                least=0,
                decimals=0,
            ),
            graph(
                "Peers by network",
                {"{{network}}": value("connections_by_network")},
                width=6,
                stacked=True,
                least=0,
                decimals=0,
            ),
            graph(
                "Peers by transport",
                {"{{transport}}": value("peers_by_transport")},
                width=6,
                stacked=True,
                least=0,
                decimals=0,
            ),
            graph(
                "Peers by connection type",
                {"{{type}}": value("connections_by_type")},
                stacked=True,
                least=0,
                decimals=0,
            ),
            graph(
                "Peers' ping over time",
                {"{{stat}}": value("peer_ping_seconds")},
                "s",
                least=0,
                nothing="no peer has answered a ping",
            ),
            graph(
                "Bandwidth",
                {"received": rate("bytes_recv_total"), "sent": rate("bytes_sent_total")},
                "Bps",
                least=0,
                interval=POLLED_INTERVAL,
            ),
            graph(
                "Traffic since the node's start",
                {"received": value("bytes_recv_total"), "sent": value("bytes_sent_total")},
                "bytes",
                least=0,
            ),
            graph(
                "Bytes received by message",
                {"{{message}}": f"topk(10, {rate('p2p_bytes_recv_total')})"},
                "Bps",
                least=0,
                interval=POLLED_INTERVAL,
                note=MESSAGES,
            ),
            graph(
                "Bytes sent by message",
                {"{{message}}": f"topk(10, {rate('p2p_bytes_sent_total')})"},
                "Bps",
                least=0,
                interval=POLLED_INTERVAL,
                note=MESSAGES,
            ),
        ),
    )
