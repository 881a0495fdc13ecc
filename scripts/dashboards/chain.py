"""Row: the chain, its blocks, the last block, and what the node stores."""

from typing import Final

from dashboards.panels import Panel, graph, stat
from dashboards.queries import age, bitcoins, increase, value

MOST_WEIGHT: Final = 4_000_000
"""Maximum weight of a block (BIP 141)."""

LAST_BLOCK = "Requested once for each new block, outside initial block download."

PANELS: Final[tuple[Panel, ...]] = (
    graph(
        "Height over time",
        {"chain": "chain_height", "headers": "header_height", "last connected block": "block_height"},
        decimals=0,
        least=None,
    ),
    graph("Verification progress over time", {"progress": "verification_progress"}, "percentunit", most=1),
    graph(
        "Blocks per hour",
        {
            "connected": increase("blocks_connected_total", "1h"),
            "tip updates": increase("tip_updates_total", "1h"),
        },
        steps={6: "blue"},
        note="In the hour before each point; the network makes 6 on average.",
    ),
    graph(
        "Reorganisations",
        {
            "reorganisations": increase("reorgs_total"),
            "blocks disconnected": increase("blocks_disconnected_total"),
            "deepest so far": "reorg_depth_max",
        },
        bars=True,
    ),
    graph("Flushes per hour", {"flushes": increase("chain_state_flushes_total", "1h")}),
    graph(
        "Age of the tip over time",
        {
            "tip": age("chain_tip_timestamp_seconds"),
            "median of eleven": age("chain_tip_median_timestamp_seconds"),
            "last block": age("last_block_timestamp_seconds"),
        },
        "s",
        steps={3600: "orange", 7200: "red"},
        least=None,
    ),
    graph(
        "Last block: transactions, inputs, outputs",
        {
            "transactions": "last_block_transactions",
            "inputs": "last_block_inputs",
            "outputs": "last_block_outputs",
        },
        "short",
        note=LAST_BLOCK,
    ),
    graph("Last block: size", {"size": "last_block_size_bytes"}, "bytes", note=LAST_BLOCK),
    graph(
        "Last block: weight", {"weight": "last_block_weight"}, "si:WU", steps={MOST_WEIGHT: "red"}, note=LAST_BLOCK
    ),
    graph(
        "Last block: fees and subsidy",
        {"fees": bitcoins(value("last_block_fee_sat")), "subsidy": bitcoins(value("last_block_subsidy_sat"))},
        "currencyBTC",
        note=LAST_BLOCK,
    ),
    graph("Last block: value", {"value": bitcoins(value("last_block_value_sat"))}, "currencyBTC", note=LAST_BLOCK),
    graph(
        "Chain tips",
        {"{{status}}": "chain_tips"},
        decimals=0,
        note="Branches of the block tree that the node knows.",
        least=None,
    ),
    graph("Difficulty", {"difficulty": "difficulty"}, "short", width=6, least=None),
    graph("Network hash rate", {"hash rate": "network_hashrate"}, "Hs", width=6, least=None),
    graph("Chain on disk", {"blocks and undo data": "chain_size_on_disk_bytes"}, "bytes", width=6, least=None),
    graph(
        "Indexes: height",
        {"{{index}}": "index_height"},
        width=6,
        decimals=0,
        nothing="the node has no index",
        least=None,
    ),
    stat(
        "Indexes synced",
        "index_synced",
        width=12,
        name="{{index}} {{node}} {{instance}}",
        texts={0: ("behind", "orange"), 1: ("synced", "green")},
        nothing="the node has no index",
    ),
    stat("Pruning", "chain_pruned", width=6, texts={0: ("off", "green"), 1: ("on", "blue")}),
    stat("First block kept", "chain_prune_height", width=6, nothing="the node does not prune"),
)
