"""The dialects: every metric has its place in each, and nothing that is asked of a node changes it."""

import pytest

from telegraf_bitcoin_ipc.collect.dialect import RPC, Call, Dialect, Followed, Polled, Pushed
from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, METRICS
from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.ipc.dialects import (
    BLOCK_STATISTICS,
    CHAIN,
    DIALECTS,
    READ_ONLY,
    STOCK,
    STOCK_30,
    STOCK_31,
    TABLE,
    TRACING,
)
from telegraf_bitcoin_ipc.ipc.schema import INTERFACES, load

HARMLESS = {
    "estimatesmartfee", "getblockchaininfo", "getblockheader", "getblockstats", "getchaintips", "getindexinfo",
    "getmempoolinfo", "getnettotals", "getnetworkhashps", "getnetworkinfo", "getpeerinfo", "listbanned", "uptime",
}  # fmt: skip
"""The JSON-RPC methods that were looked at, one by one: none of them changes a node."""

GETTERS = {
    "Chain.getHeight", "Chain.isInitialBlockDownload", "Mining.getTip", "Mining.isInitialBlockDownload",
    "Node.getHeaderTip", "Node.getMempoolDynamicUsage", "Node.getMempoolMaxUsage", "Node.getMempoolSize",
    "Node.getNodeCount", "Node.getTotalBytesRecv", "Node.getTotalBytesSent", "Node.getVerificationProgress",
}  # fmt: skip
"""The same for the methods of the Cap'n Proto interfaces."""

MINING_METRICS = {"tip_updates_total", "block_height", "chain_height", "ibd"}
"""What a node gives that has the Mining interface alone."""

NO_CHAIN = {
    "mempool_tx_added_total", "mempool_tx_removed_total", "chain_state_flushes_total",
    "mempool_tx_removed_by_reason_total", "mempool_tx_added_vbytes_total",
}  # fmt: skip
"""What a stock node does not give, beside the UTXO cache trace."""

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def given(dialect: Dialect) -> set[str]:
    """Return the metrics that a dialect gives."""
    return {metric for metric, origin in dialect.origins.items() if origin is not None}


def calls(dialect: Dialect) -> set[Call]:
    """Return every call that polls and blocks make."""
    return {origin.call for origin in dialect.origins.values() if isinstance(origin, Polled)}


def test_every_metric_has_its_row() -> None:
    """No metric of a node is forgotten, none stands twice, none is made up; every dialect knows all of them."""
    rows = [row.metric for row in TABLE]
    assert len(rows) == len(set(rows))
    assert set(rows) == {metric.name for metric in CATALOGUE if metric.group != "plugin"}
    for dialect in DIALECTS:
        assert list(dialect.origins) == rows


def test_names_and_subscriptions() -> None:
    """Each dialect has the name of its schema, which users see; only what has callbacks is subscribed to."""
    subscriptions = [(dialect.name, dialect.subscriptions) for dialect in DIALECTS]
    assert sorted(subscriptions) == [
        ("chain", ("chain",)),
        ("stock", ()),
        ("stock-30", ()),
        ("stock-31", ()),
        ("stock-chain", ("chain",)),
        ("tracing", ("chain", "utxo_cache")),
    ]
    assert {dialect.name for dialect in DIALECTS} == set(INTERFACES)


def test_what_is_given() -> None:
    """Each kind of node gives less than the one before it, and nothing else.

    Without the Tracing interface the UTXO cache's metrics are missing, without Chain mempool events and flushes;
    a node that has Mining alone tells its tip and the initial block download.
    """
    assert given(TRACING) == {row.metric for row in TABLE}
    traced = given(TRACING) - given(CHAIN)
    assert traced == {name for name in METRICS if name.startswith("utxo_cache_")}
    assert traced == set(TRACING.event_metrics(Subscription.UTXO_CACHE))
    assert given(CHAIN) - given(STOCK) == NO_CHAIN
    assert given(STOCK_31) == given(STOCK_30) == MINING_METRICS


def test_nothing_changes_a_node() -> None:
    """The two lists are what is called, and not more: an operator is asked to allow no method for nothing."""
    made = {call for dialect in DIALECTS for call in calls(dialect)}
    assert {call.name for call in made if call.interface != RPC} == GETTERS
    assert {call.method for call in made if call.interface == RPC} == HARMLESS - {"getblockheader"}
    assert list(READ_ONLY) == sorted(HARMLESS)


@every_dialect
def test_poll(dialect: Dialect) -> None:
    """A poll makes each call once, with the arguments that it takes; block statistics are no part of it.

    Height and download are known before anything that is asked once per tip. The fees are asked for the targets
    that the user chose, where the dialect has them at all. A counter of the plugin's own is not overwritten: its
    values are summed over peers.
    """
    polled = list(dialect.polled((3, 25)))
    assert sorted(source.name for source in polled) == sorted(
        call.name for call in calls(dialect) if call.method != "getblockstats"
    )
    loaded = load(dialect.name)
    for call in (source.call for source in polled if source.call.interface != RPC):
        interface = getattr(getattr(loaded, call.interface), call.interface.capitalize())
        fields = set(interface.schema.methods[call.method].param_type.fields)
        assert fields - {"context"} == {name for name, _ in call.arguments}
    metrics = [metric for source in polled for metric in source.values]
    assert len(metrics) == len(set(metrics))
    assert metrics[0] == "chain_height"
    late = [metric for source in polled if source.call.once_per_tip for metric in source.values]
    assert all(metrics.index("ibd") < metrics.index(metric) for metric in late)
    targets = [source.call.each for source in polled if source.call.method == "estimatesmartfee"]
    assert targets == ([(3, 25)] if "fee_estimate_sat_per_vb" in given(dialect) else [])
    counters = (source for source in polled if "process" in {METRICS[name].lifetime for name in source.values})
    assert {source.name for source in counters} <= {"getpeerinfo"}


@every_dialect
def test_statistics(dialect: Dialect) -> None:
    """A block's statistics give all that is told of blocks; without JSON-RPC none are asked for.

    The node works out no figure that nothing is made from, and none is missing.
    """
    of_blocks = {name for name in METRICS if name.startswith(("last_block_", "utxo_created", "utxo_spent"))}
    if dialect in (STOCK_31, STOCK_30):
        assert dialect.statistics is None
        return
    assert dialect.statistics is not None
    assert set(dialect.statistics.values) == of_blocks
    source = dialect.statistics.of_block("00ab")
    assert (source.name, source.values) == ("getblockstats", dialect.statistics.values)
    assert [value for _, value in source.call.arguments] == ["00ab", BLOCK_STATISTICS]
    readers = dialect.statistics.values.values()
    said = dict.fromkeys(BLOCK_STATISTICS, 1)
    assert None not in [read(said) for read in readers]
    for name in BLOCK_STATISTICS:
        assert any(read(said | {name: 2}) != read(said) for read in readers), name


def test_event_metrics() -> None:
    """Metrics made from events are found by the subscription, or the way of following the tip, behind them."""
    assert STOCK.event_metrics(Followed.TIP) == ["tip_updates_total", "block_height"]
    assert STOCK.event_metrics(Followed.HEADERS) == [
        "blocks_connected_total",
        "blocks_disconnected_total",
        "mempool_tx_confirmed_total",
        "reorgs_total",
        "reorg_depth_max",
    ]
    assert STOCK.event_metrics(Subscription.CHAIN) == STOCK_30.event_metrics(Followed.HEADERS) == []
    assert CHAIN.event_metrics(Subscription.UTXO_CACHE) == []


@every_dialect
def test_pushed_metrics_have_a_method(dialect: Dialect) -> None:
    """What is said to be pushed is pushed by a method of the dialect's schema."""
    loaded = load(dialect.name)
    known = set()
    for name, interface in (("chain", "ChainNotifications"), ("tracing", "UtxoCacheTrace")):
        if name in INTERFACES[dialect.name]:
            methods = getattr(getattr(loaded, name), interface).schema.methods
            known |= {f"{interface}.{method}" for method in methods}
    pushed = {str(origin) for origin in dialect.origins.values() if isinstance(origin, Pushed)}
    assert pushed <= known
