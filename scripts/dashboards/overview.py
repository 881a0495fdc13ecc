"""Row: is the node up, synced and connected, and are the values current?"""

from typing import Final

from dashboards.panels import LOWEST, Panel, gauge, stat, words
from dashboards.queries import age, value

PANELS: Final[tuple[Panel, ...]] = (
    stat("Node", "up", width=2, texts={0: ("down", "red"), 1: ("up", "green")}),
    words("Version", "node_info", "{{version}} {{chain}}, {{dialect}} {{node}} {{instance}}", width=6),
    stat("Height", "chain_height", width=3),
    stat("Headers", "header_height", width=3),
    stat(
        "Headers ahead of the chain",
        f"{value('header_height')} - {value('chain_height')}",
        width=3,
        steps={2: "yellow", 11: "red"},
        note="0, or 1 for a moment, unless the node is catching up.",
    ),
    gauge(
        "Verification progress",
        "verification_progress",
        width=4,
        steps={LOWEST: "red", 0.999: "yellow", 0.99999: "green"},
        decimals=4,
    ),
    stat("Initial block download", "ibd", width=3, texts={0: ("over", "green"), 1: ("downloading", "orange")}),
    stat(
        "Age of the tip",
        age("chain_tip_timestamp_seconds"),
        "s",
        width=3,
        steps={3600: "orange", 7200: "red"},
        decimals=0,
    ),
    stat("Peers", "peers", width=3, steps={LOWEST: "red", 1: "orange", 8: "green"}),
    stat("Transactions in the mempool", "mempool_size", width=4),
    stat(
        "Mempool memory used",
        f"{value('mempool_bytes')} / {value('mempool_max_bytes')}",
        "percentunit",
        width=3,
        steps={0.9: "yellow"},
    ),
    stat("Node warnings", "node_warnings", width=3, steps={1: "orange"}),
    stat("Uptime", "uptime_seconds", "s", width=4),
    stat(
        "Age of the data",
        age("last_poll_timestamp_seconds"),
        "s",
        width=4,
        steps={120: "yellow", 180: "red"},
        decimals=0,
        note="At most the poll interval, 60 s by default.",
    ),
)
