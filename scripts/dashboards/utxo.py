"""Row: coins, from the UTXO cache trace and from the statistics of blocks."""

from typing import Final

from dashboards.panels import Panel, graph
from dashboards.queries import bitcoins, increase, rate

NOT_TRACED = "the trace is off: in initial block download, or with --no-utxo-trace"
OF_BLOCKS = "From the statistics of each connected block: the change of the UTXO set itself."

PANELS: Final[tuple[Panel, ...]] = (
    graph(
        "Cache: coins per second",
        {
            "added": rate("utxo_cache_add_total"),
            "spent": rate("utxo_cache_spend_total"),
            "uncached": rate("utxo_cache_uncache_total"),
            "added, in no block": rate("utxo_cache_add_unconfirmed_total"),
        },
        "coins/s",
        width=12,
        nothing=NOT_TRACED,
    ),
    graph(
        "Cache: value per second",
        {
            "added": bitcoins(rate("utxo_cache_add_value_total")),
            "spent": bitcoins(rate("utxo_cache_spend_value_total")),
            "uncached": bitcoins(rate("utxo_cache_uncache_value_total")),
        },
        "currencyBTC",
        width=12,
        nothing=NOT_TRACED,
    ),
    graph(
        "Blocks: coins per second",
        {"created": rate("utxo_created_total"), "spent": rate("utxo_spent_total")},
        "coins/s",
        note=OF_BLOCKS,
    ),
    graph(
        "Blocks: value per second",
        {
            "created": bitcoins(rate("utxo_created_value_sat_total")),
            "spent": bitcoins(rate("utxo_spent_value_sat_total")),
        },
        "currencyBTC",
        note=OF_BLOCKS,
    ),
    graph(
        "Growth of the UTXO set per hour",
        {"coins": f"{increase('utxo_created_total', '1h')} - {increase('utxo_spent_total', '1h')}"},
        "short",
        note=OF_BLOCKS,
        least=None,
    ),
)
