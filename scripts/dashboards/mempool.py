"""Row: what is in the mempool, what enters and what leaves."""

from dashboards.panels import Panel, Row, graph, stat
from dashboards.queries import bitcoins, per_minute, value


def row() -> Row:
    """Return the row, with new panels."""
    return Row("Mempool", (*_size(), *_flow()))


def _size() -> tuple[Panel, ...]:
    """Return panels: the size of the mempool."""
    return (
        graph("Mempool: transactions", {"transactions": value("mempool_size")}, "short"),
        graph("Mempool: memory", {"used": value("mempool_bytes"), "maximum": value("mempool_max_bytes")}, "bytes"),
        graph("Mempool: virtual size", {"virtual size": value("mempool_vbytes")}, "si:vB"),
        graph(
            "Mempool: minimum feerate",
            {
                "to enter": value("mempool_min_fee_sat_per_vb"),
                "to relay": value("mempool_relay_min_fee_sat_per_vb"),
            },
            "sat/vB",
            note="The two differ while the mempool is full.",
        ),
    )


def _flow() -> tuple[Panel, ...]:
    """Return panels: what enters, leaves and pays."""
    return (
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
        graph("Fees waiting", {"fees": bitcoins("mempool_total_fee_sat")}, "currencyBTC"),
        stat(
            "Saved mempool",
            value("mempool_loaded"),
            width=4,
            texts={0: ("not loaded yet", "yellow"), 1: ("loaded", "green")},
        ).height(8),
        stat(
            "Own transactions no peer has requested", value("mempool_unbroadcast"), width=4, steps={1: "yellow"}
        ).height(8),
    )
