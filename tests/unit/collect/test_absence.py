"""Absence: the one answer to why a metric has no value."""

from typing import Any

import pytest

from telegraf_bitcoin_ipc.collect.dialect import NOT_OFFERED, Dialect, Reason, why
from telegraf_bitcoin_ipc.collect.metrics import GROUPS, METRICS
from telegraf_bitcoin_ipc.ipc.dialects import CHAIN, DIALECTS, STOCK, STOCK_31, TRACING


@pytest.mark.parametrize(
    ("metric", "dialect", "how", "reason"),
    [
        ("fee_estimate_sat_per_vb", TRACING, {"groups": ()}, Reason.GROUP_OFF),
        ("fee_estimate_sat_per_vb", STOCK_31, {"groups": ()}, Reason.GROUP_OFF),
        ("fee_estimate_sat_per_vb", STOCK_31, {}, Reason.NO_RPC),
        ("fee_estimate_sat_per_vb", None, {}, Reason.NO_VALUE),
        ("mempool_tx_added_total", STOCK, {}, Reason.NO_CHAIN),
        ("utxo_cache_add_total", CHAIN, {}, Reason.NO_TRACING),
        ("utxo_cache_add_total", STOCK, {"no_utxo_trace": True}, Reason.NO_TRACING),
        ("utxo_cache_add_total", TRACING, {"no_utxo_trace": True, "downloading": True}, Reason.TRACE_OFF),
        ("utxo_cache_add_total", TRACING, {"downloading": True}, Reason.DOWNLOADING),
        ("last_block_weight", STOCK, {"downloading": True}, Reason.DOWNLOADING),
        ("chain_tips", STOCK, {"downloading": True}, Reason.DOWNLOADING),
        ("chain_tips", STOCK, {}, Reason.NO_VALUE),
        ("chain_prune_height", STOCK, {"downloading": True}, Reason.NO_VALUE),
        ("up", TRACING, {}, Reason.NO_VALUE),
    ],
)
def test_reason(metric: str, dialect: Dialect | None, how: dict[str, Any], reason: Reason) -> None:
    """What the user chose comes before what the node lacks, and that before what passes."""
    assert why(metric, dialect, **{"groups": GROUPS, **how}) is reason


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_a_dialect_does_not_offer(dialect: Dialect) -> None:
    """The kind of node is the reason for exactly those metrics that its table has no origin for."""
    missing = {metric for metric in METRICS if why(metric, dialect, GROUPS) in NOT_OFFERED}
    assert missing == {metric for metric, origin in dialect.origins.items() if origin is None}
