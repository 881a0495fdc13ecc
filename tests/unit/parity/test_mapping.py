"""The mapping of other exporters' metrics: every row leads to a metric, or says why not."""

import re
from collections import Counter

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, METRICS
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS, IPC_EXPORTER_RUST
from telegraf_bitcoin_ipc.parity.row import POLL_INTERVAL, Row

ROWS = [(exporter, row) for exporter in EXPORTERS.values() for row in exporter.rows]


def test_row_leads_to_a_metric_or_says_why_not() -> None:
    """Who moves finds the metric in the catalogue, with the tags that the mapping names, or a reason."""
    for exporter, row in ROWS:
        if not row.new:
            assert row.note, (exporter.name, row)
            continue
        metric = METRICS[row.new]
        assert {*row.new_where, *filter(None, [row.by])} <= set(metric.tags), (exporter.name, row)
        assert not metric.values or set(row.new_where.values()) <= set(metric.values), (exporter.name, row)


def test_series_are_compared_once() -> None:
    """No metric is compared twice, but with other labels."""
    count = Counter((exporter.name, row.old, frozenset(row.where.items())) for exporter, row in ROWS)
    assert set(count.values()) == {1}


def test_sum_names_the_counter_of_its_events() -> None:
    """What a sum may differ by follows from a counter that the same exporter has."""
    for exporter, row in ROWS:
        events = [each for each in exporter.rows if each.new == row.counted]
        assert not row.counted or [each.compares_increases for each in events] == [True], (exporter.name, row)


def test_default_of_the_poll_interval() -> None:
    """Where the page does not show how often the plugin polls it is the option's default."""
    assert Config.model_fields["poll_interval"].default == POLL_INTERVAL


def test_every_metric_of_the_ipc_exporter_has_its_name_here() -> None:
    """Dashboards made for ipc-exporter-rust go on: 22 metrics, name for name."""
    assert len(IPC_EXPORTER_RUST.rows) == 22
    core = {metric.name for metric in CATALOGUE if metric.group == "core"}
    new = core - {row.new for row in IPC_EXPORTER_RUST.rows}
    assert new == {"chain_height", "utxo_cache_add_unconfirmed_total"}
    assert all(row.old == f"bitcoin_{row.new}" for row in IPC_EXPORTER_RUST.rows)


def test_metrics_named_in_notes_exist() -> None:
    """Every metric that a note mentions exists."""
    old = {row.old for _, row in ROWS}
    for _, row in ROWS:
        for name in re.findall(r"\bbitcoin_(\w+)", row.note):
            assert name in METRICS or f"bitcoin_{name}" in old, row


def test_parts_in_braces() -> None:
    """A name that contains a setting matches for every setting."""
    row = Row("bitcoin_est_smart_fee_{target}", "fee_estimate_sat_per_vb", by="target")
    assert row.labels_in("bitcoin_est_smart_fee_20") == {"target": "20"}
    assert row.labels_in("bitcoin_est_smart_fee_") is None
    assert Row("bitcoin_blocks").labels_in("bitcoin_blocks") == {}
    assert Row("bitcoin_blocks").labels_in("bitcoin_blocks_total") is None


def test_names_that_mislead() -> None:
    """The one name that means something else in the plugin has a note that warns of it."""
    misleading = [row for _, row in ROWS if row.misleads]
    assert [row.old for row in misleading] == ["bitcoin_mempool_bytes"]
    assert all(row.note for row in misleading)
