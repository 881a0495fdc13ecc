"""Row: what is in the mempool, what enters and what leaves."""

from typing import Final

from dashboards.panels import Panel, graph, stat
from dashboards.queries import bitcoins, per_minute, value

PANELS: Final[tuple[Panel, ...]] = (
    graph("Mempool: transactions", {"transactions": "mempool_size"}, "short"),
    graph("Mempool: memory", {"used": "mempool_bytes", "maximum": "mempool_max_bytes"}, "bytes"),
    graph("Mempool: virtual size", {"virtual size": "mempool_vbytes"}, "si:vB"),
    graph(
        "Mempool: minimum feerate",
        {"to enter": "mempool_min_fee_sat_per_vb", "to relay": "mempool_relay_min_fee_sat_per_vb"},
        "sat/vB",
        note="The two differ while the mempool is full.",
    ),
    graph(
        "Transactions in and out per minute",
        {
            "in": per_minute("mempool_tx_added_total"),
            "out, unconfirmed": per_minute("mempool_tx_removed_total"),
            "out, confirmed": per_minute("mempool_tx_confirmed_total"),
        },
        "tx/min",
    ),
    graph(
        "Removals per minute by reason",
        {"{{reason}}": per_minute("mempool_tx_removed_by_reason_total")},
        "tx/min",
        stacked=True,
    ),
    graph("Virtual size added per minute", {"in": per_minute("mempool_tx_added_vbytes_total")}, "si:vB"),
    graph("Fees waiting", {"fees": bitcoins(value("mempool_total_fee_sat"))}, "currencyBTC"),
    stat(
        "Saved mempool", "mempool_loaded", width=4, texts={0: ("not loaded yet", "yellow"), 1: ("loaded", "green")}
    ).height(8),
    stat("Own transactions no peer has requested", "mempool_unbroadcast", width=4, steps={1: "yellow"}).height(8),
)
