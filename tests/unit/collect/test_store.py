"""The store: what is known, what is absent, and what a session's end leaves."""

import pytest

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, GROUPS
from telegraf_bitcoin_ipc.collect.store import Sample, Store


def values(store: Store) -> dict[str, float]:
    """Return the values of the metrics without tags."""
    return {name: value for name, tags, value in store.samples() if not tags}


def test_nothing_is_known_at_first() -> None:
    """A value that nobody told is absent, not 0."""
    assert list(Store().samples()) == []


def test_gauge_shows_the_last_value() -> None:
    """A height that changed shows as it is now."""
    store = Store()
    store.set("chain_height", 1)
    store.set("chain_height", 2)
    assert values(store) == {"chain_height": 2}


def test_counter_adds_up() -> None:
    """Each event counts, from 0 on."""
    store = Store()
    store.add("utxo_cache_add_value_total", 5)
    store.add("utxo_cache_add_value_total", 7)
    assert values(store) == {"utxo_cache_add_value_total": 12}


def test_started_counter_shows_zero() -> None:
    """A counter that runs but has counted nothing shows 0, so that the first event is seen as a rise."""
    store = Store(["mempool"])
    store.start("tip_updates_total", "mempool_tx_removed_by_reason_total")
    assert [(sample.name, dict(sample.tags), sample.value) for sample in store.samples()] == [
        ("tip_updates_total", {}, 0),
        *(
            ("mempool_tx_removed_by_reason_total", {"reason": reason}, 0)
            for reason in ("expiry", "sizelimit", "reorg", "block", "conflict", "replaced", "unknown")
        ),
    ]


def test_start_again_keeps_the_count() -> None:
    """A new subscription to the same node does not reset what was counted before."""
    store = Store()
    store.add("tip_updates_total", 3)
    store.start("tip_updates_total")
    assert values(store) == {"tip_updates_total": 3}


def test_forgotten_value_is_absent() -> None:
    """A value that the node can no longer tell is not shown at its last state."""
    store = Store()
    store.set("peers", 8)
    store.forget("peers")
    store.forget("ibd")
    assert list(store.samples()) == []


def test_what_the_plugin_counts_is_not_forgotten() -> None:
    """A value that the node cannot tell any more takes nothing away that was counted."""
    store = Store(["peers"])
    store.add("p2p_bytes_recv_total", 5, "tx")
    store.forget("p2p_bytes_recv_total")
    assert [sample.value for sample in store.samples()] == [5]


def test_replaced_values() -> None:
    """Of values by tag only those of the last answer are shown: a gone index has no stale height."""
    store = Store(["chain"])
    store.replace("index_height", {"txindex": 100, "coinstatsindex": 90})
    store.replace("index_height", {"txindex": 101})
    assert list(store.samples()) == [Sample("index_height", (("index", "txindex"),), 101)]
    store.replace("index_height", {})
    assert list(store.samples()) == []


def test_replaced_unknown_values_are_added_up() -> None:
    """Networks that are new in later nodes are counted together as unknown, none of them in place of another."""
    store = Store(["peers"])
    store.replace("connections_by_network", {"ipv4": 1, "quantum": 2, "": 3, "unknown": 4})
    assert [(dict(tags)["network"], value) for _, tags, value in store.samples()] == [("ipv4", 1), ("unknown", 9)]


def test_replace_of_a_group_that_is_off() -> None:
    """Values of a group that was not asked for are not kept."""
    store = Store()
    store.replace("connections_by_network", {"ipv4": 1})
    assert list(store.samples()) == []


def test_end_of_session() -> None:
    """A node that is gone leaves the plugin's counters, and no stale height, version or byte count."""
    store = Store()
    store.add("blocks_connected_total", 2)
    store.set("up", 1)
    store.set("plugin_info", 1, "1.0")
    for gone in ("chain_height", "block_height", "bytes_recv_total", "poll_duration_seconds"):
        store.set(gone, 800_000)
    store.set("node_info", 1, "/Satoshi:30.0.0/", "main", "tracing")
    store.end_session()
    assert {name for name, _, _ in store.samples()} == {"blocks_connected_total", "up", "plugin_info"}


def test_tags_come_in_the_catalogues_order() -> None:
    """Version, chain and dialect are not mixed up."""
    store = Store()
    store.set("node_info", 1, "/Satoshi:30.0.0/", "main", "tracing")
    tags = (("version", "/Satoshi:30.0.0/"), ("chain", "main"), ("dialect", "tracing"))
    assert list(store.samples()) == [Sample("node_info", tags, 1)]


def test_values_of_different_tags_stand_apart() -> None:
    """The errors of one method are not those of another."""
    store = Store()
    store.add("poll_errors_total", 1, "Chain.getHeight")
    store.add("poll_errors_total", 2, "Node.getMempoolSize")
    store.add("poll_errors_total", 3, "Chain.getHeight")
    assert [(tags, value) for _, tags, value in store.samples()] == [
        ((("method", "Chain.getHeight"),), 4),
        ((("method", "Node.getMempoolSize"),), 2),
    ]


def test_unknown_tag_value() -> None:
    """A reason that is new in a later node is counted, but makes no new series."""
    store = Store(["mempool"])
    store.add("mempool_tx_removed_by_reason_total", 1, "a reason of the future")
    store.add("mempool_tx_removed_by_reason_total", 1, "")
    assert list(store.samples()) == [Sample("mempool_tx_removed_by_reason_total", (("reason", "unknown"),), 2)]


def test_empty_tag_value() -> None:
    """A node that does not tell its version is of version `unknown`."""
    store = Store()
    store.set("node_info", 1, "", "main", "chain")
    assert dict(next(store.samples()).tags)["version"] == "unknown"


@pytest.mark.parametrize("tag_values", [(), ("a", "b"), ("a", "b", "c", "d")])
def test_wrong_number_of_tags(tag_values: tuple[str, ...]) -> None:
    """A mistake in the program is seen at once, not on a dashboard."""
    with pytest.raises(ValueError, match="node_info has the tags"):
        Store().set("node_info", 1, *tag_values)


def test_group_that_is_off() -> None:
    """A group that was not asked for sends nothing, whatever happens."""
    store = Store()
    store.start("mempool_tx_added_vbytes_total")
    store.add("mempool_tx_confirmed_total", 1)
    store.set("mempool_tx_confirmed_total", 1)
    store.forget("mempool_tx_confirmed_total")
    assert not store.wants("mempool_tx_confirmed_total")
    assert list(store.samples()) == []
    assert Store(["mempool"]).wants("mempool_tx_confirmed_total")


def test_metric_outside_the_catalogue() -> None:
    """A name with a typing error fails loudly instead of being ignored as of a group that is off."""
    store = Store()
    for call in (store.wants, store.forget, store.start):
        with pytest.raises(KeyError):
            call("blocks_conected_total")
    for change in (store.add, store.set):
        with pytest.raises(KeyError):
            change("blocks_conected_total", 1)


def test_samples_come_in_the_catalogues_order() -> None:
    """Two emissions can be compared line by line, in whatever order the values came."""
    store = Store(GROUPS)
    for metric in reversed(CATALOGUE):
        store.set(metric.name, 1, *(metric.values[:1] or ["a"] * len(metric.tags)))
    assert [sample.name for sample in store.samples()] == [metric.name for metric in CATALOGUE]
