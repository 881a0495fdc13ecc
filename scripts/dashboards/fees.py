"""Row: the fees that transactions pay."""

from typing import Final

from dashboards.panels import Panel, graph, stat
from dashboards.queries import WEIGHT_PER_VBYTE, value

IN_MEMPOOL = f"{value('mempool_total_fee_sat')} / {value('mempool_vbytes')}"
IN_BLOCK = f"{WEIGHT_PER_VBYTE} * {value('last_block_fee_sat')} / {value('last_block_weight')}"

PANELS: Final[tuple[Panel, ...]] = (
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
