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
    """No metric of a node is forgotten, none stands twice, and none is outside the catalogue."""
    rows = [row.metric for row in TABLE]
    assert len(rows) == len(set(rows))
    assert set(rows) == {metric.name for metric in CATALOGUE if metric.group != "plugin"}


@every_dialect
def test_dialect_knows_every_metric(dialect: Dialect) -> None:
    """A dialect says of each metric where it comes from, or that it does not give it."""
    assert list(dialect.origins) == [row.metric for row in TABLE]


def test_names() -> None:
    """Each dialect has the name of its schema, which users see in node_info."""
    assert {dialect.name for dialect in DIALECTS} == set(INTERFACES)
    assert len(DIALECTS) == len(INTERFACES)


def test_tracing_gives_everything() -> None:
    """What any node gives, a node with all interfaces gives, too."""
    assert given(TRACING) == {row.metric for row in TABLE}


def test_what_chain_lacks() -> None:
    """Without the Tracing interface the UTXO cache's metrics are missing, and no other."""
    assert given(TRACING) - given(CHAIN) == {name for name in METRICS if name.startswith("utxo_cache_")}
    assert given(TRACING) - given(CHAIN) == set(TRACING.event_metrics(Subscription.UTXO_CACHE))


def test_what_stock_lacks() -> None:
    """Without the Chain interface mempool events, flushes and the UTXO cache are missing, and nothing else."""
    assert given(CHAIN) - given(STOCK) == NO_CHAIN


@pytest.mark.parametrize("dialect", [STOCK_31, STOCK_30], ids=lambda dialect: dialect.name)
def test_what_mining_gives(dialect: Dialect) -> None:
    """A node that has nothing else tells its tip and the initial block download."""
    assert given(dialect) == MINING_METRICS


def test_subscriptions() -> None:
    """Only what has callbacks is subscribed to."""
    subscriptions = {dialect.name: dialect.subscriptions for dialect in DIALECTS}
    assert subscriptions == {
        "tracing": ("chain", "utxo_cache"),
        "chain": ("chain",),
        "stock-chain": ("chain",),
        "stock": (),
        "stock-31": (),
        "stock-30": (),
    }


def test_read_only() -> None:
    """Of JSON-RPC exactly the methods are called that were found to change nothing."""
    assert set(READ_ONLY) == HARMLESS
    assert list(READ_ONLY) == sorted(READ_ONLY)


@every_dialect
def test_calls_change_nothing(dialect: Dialect) -> None:
    """Everything that is polled is on one of the two lists of harmless methods."""
    rpc = {call.method for call in calls(dialect) if call.interface == RPC}
    assert rpc <= HARMLESS
    assert {call.name for call in calls(dialect) if call.interface != RPC} <= GETTERS


def test_no_method_is_listed_in_vain() -> None:
    """The lists above are what is called, not more: an operator is asked to allow no method for nothing."""
    made = {call for dialect in DIALECTS for call in calls(dialect)}
    assert {call.name for call in made if call.interface != RPC} == GETTERS
    assert {call.method for call in made if call.interface == RPC} == HARMLESS - {"getblockheader"}


@every_dialect
def test_methods_are_in_the_schema(dialect: Dialect) -> None:
    """A dialect asks for nothing that its interfaces do not have, with the arguments that they take."""
    loaded = load(dialect.name)
    for call in calls(dialect):
        if call.interface == RPC:
            assert "rpc" in INTERFACES[dialect.name] or "node" in INTERFACES[dialect.name]
            continue
        interface = getattr(getattr(loaded, call.interface), call.interface.capitalize())
        fields = set(interface.schema.methods[call.method].param_type.fields)
        assert fields - {"context"} == {name for name, _ in call.arguments}


@every_dialect
def test_poll_asks_each_call_once(dialect: Dialect) -> None:
    """A poll makes each call once, whatever number of metrics it gives; block statistics are no part of it."""
    polled = list(dialect.polled())
    assert {source.call for source in polled} == {
        call for call in calls(dialect) if call.method != "getblockstats"
    }
    assert len(polled) == len({source.call for source in polled})
    metrics = [metric for source in polled for metric in source.values]
    assert len(metrics) == len(set(metrics))


@every_dialect
def test_poll_begins_with_the_height(dialect: Dialect) -> None:
    """Height and download are known before anything that is asked once per tip."""
    metrics = [metric for source in dialect.polled() for metric in source.values]
    assert metrics[0] == "chain_height"
    late = [metric for source in dialect.polled() if source.call.once_per_tip for metric in source.values]
    assert all(metrics.index("ibd") < metrics.index(metric) for metric in late)


@every_dialect
def test_fee_targets(dialect: Dialect) -> None:
    """The fees are asked for the targets that the user chose, where the dialect has them at all."""
    targets = [source.call.each for source in dialect.polled((3, 25)) if source.call.method == "estimatesmartfee"]
    assert targets == ([(3, 25)] if "fee_estimate_sat_per_vb" in given(dialect) else [])


@every_dialect
def test_statistics(dialect: Dialect) -> None:
    """A block's statistics give all that is told of blocks; without JSON-RPC none are asked for."""
    of_blocks = {name for name in METRICS if name.startswith(("last_block_", "utxo_created", "utxo_spent"))}
    if dialect in (STOCK_31, STOCK_30):
        assert dialect.statistics is None
        return
    assert dialect.statistics is not None
    assert set(dialect.statistics.values) == of_blocks
    source = dialect.statistics.of_block("00ab")
    assert (source.name, source.values) == ("getblockstats", dialect.statistics.values)
    assert [value for _, value in source.call.arguments] == ["00ab", BLOCK_STATISTICS]


def test_statistics_asked_for_are_those_that_are_read() -> None:
    """The node works out no figure that nothing is made from, and none is missing."""
    said = dict.fromkeys(BLOCK_STATISTICS, 1)
    assert STOCK.statistics is not None
    assert None not in [read(said) for read in STOCK.statistics.values.values()]
    unused = []
    for name in BLOCK_STATISTICS:
        less = {key: value for key, value in said.items() if key != name}
        changed = False
        for read in STOCK.statistics.values.values():
            try:
                changed |= read(less) != read(said)
            except KeyError:
                changed = True
        if not changed:
            unused.append(name)
    assert unused == []


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


@every_dialect
def test_counters_are_not_overwritten(dialect: Dialect) -> None:
    """A counter of the plugin's own is only ever added to: it is pushed, summed over blocks, or over peers."""
    for metric, origin in dialect.origins.items():
        if METRICS[metric].lifetime == "process" and isinstance(origin, Polled):
            assert origin.call.method in ("getblockstats", "getpeerinfo"), metric
