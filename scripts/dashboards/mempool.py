"""Rows: what is in the mempool, what enters and what leaves; the fees that transactions pay."""

from typing import Final

from dashboards.panels import Panel, graph, stat
from dashboards.queries import WEIGHT_PER_VBYTE, bitcoins, per_minute, value

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

IN_MEMPOOL = f"{value('mempool_total_fee_sat')} / {value('mempool_vbytes')}"
IN_BLOCK = f"{WEIGHT_PER_VBYTE} * {value('last_block_fee_sat')} / {value('last_block_weight')}"

FEES: Final[tuple[Panel, ...]] = (
    graph(
        "Fee estimates",
        {"within {{target}} blocks": "fee_estimate_sat_per_vb"},
        "sat/vB",
        width=10,
        nothing="the node has too little data",
    ),
    stat(
        "Fee estimates now",
        "fee_estimate_sat_per_vb",
        "sat/vB",
        width=4,
        name="{{target}} blocks {{node}} {{instance}}",
        decimals=1,
        nothing="the node has too little data",
    ).height(8),
    graph(
        "Average feerate: mempool and last block",
        {"mempool": IN_MEMPOOL, "last block": IN_BLOCK},
        "sat/vB",
        width=10,
        note="Fees divided by virtual size: of the whole mempool, and of the last block.",
    ),
)
