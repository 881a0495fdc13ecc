"""Row: peers by kind, and what is sent and received."""

from dashboards.panels import LOWEST, Panel, Row, graph, stat
from dashboards.queries import POLLED_INTERVAL, rate, value


def row() -> Row:
    """Return the row, with new panels."""
    return Row("Network", (*_now(), *_peers(), *_traffic()))


def _now() -> tuple[Panel, ...]:
    """Return panels: what the node has now."""
    return (
        stat("P2P network", value("network_active"), width=3, texts={0: ("off", "red"), 1: ("on", "green")}),
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
        stat("Banned", value("banned_peers"), width=6),
        stat(
            "Peers' ping",
            value("peer_ping_seconds", stat="median"),
            "s",
            width=9,
            nothing="no peer has answered a ping",
            note="The median; see below for the 90th percentile and the maximum.",
        ),
    )


def _peers() -> tuple[Panel, ...]:
    """Return panels: the peers over time."""
    return (
        graph("Peers over time", {"peers": value("peers")}, width=6, steps={8: "orange"}, decimals=0),
        *(
            graph(f"Peers by {tag}", {f"{{{{{tag}}}}}": value(name)}, width=6, stacked=True, decimals=0)
            for tag, name in (
                ("direction", "peers_by_direction"),
                ("network", "connections_by_network"),
                ("transport", "peers_by_transport"),
            )
        ),
        graph("Peers by connection type", {"{{type}}": value("connections_by_type")}, stacked=True, decimals=0),
        graph(
            "Peers' ping over time",
            {"{{stat}}": value("peer_ping_seconds")},
            "s",
            nothing="no peer has answered a ping",
        ),
    )


def _traffic() -> tuple[Panel, ...]:
    """Return panels: what is received and sent."""
    return (
        graph(
            "Bandwidth",
            {"received": rate("bytes_recv_total"), "sent": rate("bytes_sent_total")},
            "Bps",
            interval=POLLED_INTERVAL,
        ),
        graph(
            "Traffic since the node's start",
            {"received": value("bytes_recv_total"), "sent": value("bytes_sent_total")},
            "bytes",
        ),
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
