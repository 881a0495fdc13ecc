"""Row: what is in the mempool, what comes in and what goes out."""

from dashboards.panels import Row, graph, stat
from dashboards.queries import bitcoins, per_minute, value


def row() -> Row:
    """Return the row, with new panels."""
    return Row(
        "Mempool",
        (
            graph("Mempool: transactions", {"transactions": value("mempool_size")}, "short", least=0),
            graph(
                "Mempool: memory",
                {"used": value("mempool_bytes"), "maximum": value("mempool_max_bytes")},
                "bytes",
                least=0,
            ),
            graph("Mempool: virtual size", {"virtual size": value("mempool_vbytes")}, "si:vB", least=0),
            graph(
                "Mempool: minimum feerate",
                {
                    "to enter": value("mempool_min_fee_sat_per_vb"),
                    "to be relayed": value("mempool_relay_min_fee_sat_per_vb"),
                },
                "sat/vB",
                least=0,
                note="The two part when the mempool is full.",
            ),
            graph(
                "Transactions in and out per minute",
                {
                    "in": per_minute("mempool_tx_added_total"),
                    "out, not confirmed": per_minute("mempool_tx_removed_total"),
                    "out, confirmed": per_minute("mempool_tx_confirmed_total"),
                },
                "tx/min",
                least=0,
            ),
            graph(
                "Removals per minute by reason",
                {"{{reason}}": per_minute("mempool_tx_removed_by_reason_total")},
                "tx/min",
                stacked=True,
                least=0,
            ),
            graph(
                "Virtual size in per minute",
                {"in": per_minute("mempool_tx_added_vbytes_total")},
                "si:vB",
                least=0,
            ),
            graph("Fees waiting", {"fees": bitcoins("mempool_total_fee_sat")}, "currencyBTC", least=0),
            stat(
                "Saved mempool",
                value("mempool_loaded"),
                width=4,
                texts={0: ("not loaded yet", "yellow"), 1: ("loaded", "green")},
            ).height(8),
            stat(
                "Own transactions that no peer asked for",
                value("mempool_unbroadcast"),
                width=4,
                steps={1: "yellow"},
            ).height(8),
        ),
    )
