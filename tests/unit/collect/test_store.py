"""The store: what is known, what is absent, and what a session's end leaves."""

import pytest

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, GROUPS
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Number


def values(store: Store) -> dict[str, Number]:
    """Return the values by name, with the tag values after a space, in the store's order."""
    return {" ".join([name, *(text for _, text in tags)]): value for name, tags, value in store.samples()}


def test_gauge() -> None:
    """A gauge is absent at first, shows its last value, and is absent once the node can no longer tell it."""
    store = Store()
    assert values(store) == {}
    store.set("chain_height", 1)
    store.set("chain_height", 2)
    assert values(store) == {"chain_height": 2}
    store.forget("ibd", "chain_height")
    assert values(store) == {}


def test_counter() -> None:
    """Each event counts, by tag; neither a new subscription nor a poll that fails takes anything away."""
    store = Store()
    for method, amount in (("Chain.getHeight", 1), ("Node.getMempoolSize", 2), ("Chain.getHeight", 3)):
        store.add("poll_errors_total", amount, method)
    store.add("tip_updates_total", 3)
    store.start("tip_updates_total")
    store.forget("poll_errors_total", "tip_updates_total")
    assert values(store) == {
        "tip_updates_total": 3,
        "poll_errors_total Chain.getHeight": 4,
        "poll_errors_total Node.getMempoolSize": 2,
    }


def test_started_counter_shows_zero() -> None:
    """A counter that runs but has counted nothing shows 0, so that the first event is seen as a rise.

    A reason that is new in a later node is counted, but makes no new series.
    """
    store = Store(["mempool"])
    store.start("tip_updates_total", "mempool_tx_removed_by_reason_total")
    reasons = ("expiry", "sizelimit", "reorg", "block", "conflict", "replaced", "unknown")
    assert values(store) == {
        "tip_updates_total": 0,
        **{f"mempool_tx_removed_by_reason_total {reason}": 0 for reason in reasons},
    }
    store.add("mempool_tx_removed_by_reason_total", 1, "a reason of the future")
    store.add("mempool_tx_removed_by_reason_total", 1, "")
    assert {name: value for name, value in values(store).items() if value} == {
        "mempool_tx_removed_by_reason_total unknown": 2
    }


def test_replaced_values() -> None:
    """Of values by tag only those of the last answer are shown: a gone index has no stale height.

    Networks that are new in later nodes are counted together as unknown, none of them in place of another.
    """
    store = Store(["chain", "peers"])
    store.replace("index_height", {"txindex": 100, "coinstatsindex": 90})
    store.replace("index_height", {"txindex": 101})
    store.replace("connections_by_network", {"ipv4": 1, "quantum": 2, "": 3, "unknown": 4})
    assert values(store) == {
        "index_height txindex": 101,
        "connections_by_network ipv4": 1,
        "connections_by_network unknown": 9,
    }
    store.replace("index_height", {})
    assert "index_height txindex" not in values(store)


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
    assert values(store).keys() == {"blocks_connected_total", "up", "plugin_info 1.0"}


def test_tags_come_in_the_catalogues_order() -> None:
    """Version, chain and dialect are not mixed up; a node that does not tell its version is `unknown`."""
    store = Store()
    store.set("node_info", 1, "", "main", "tracing")
    (sample,) = store.samples()
    assert sample.tags == (("version", "unknown"), ("chain", "main"), ("dialect", "tracing"))


def test_group_that_is_off() -> None:
    """A group that was not asked for sends nothing, whatever happens."""
    store = Store()
    store.start("mempool_tx_added_vbytes_total")
    store.add("mempool_tx_confirmed_total", 1)
    store.set("mempool_tx_confirmed_total", 1)
    store.forget("mempool_tx_confirmed_total")
    store.replace("connections_by_network", {"ipv4": 1})
    assert not store.wants("mempool_tx_confirmed_total")
    assert values(store) == {}
    assert Store(["mempool"]).wants("mempool_tx_confirmed_total")


def test_mistakes_of_the_program() -> None:
    """A name with a typing error, or a wrong number of tags, fails loudly, and is not ignored like a group off."""
    store = Store()
    for call in (store.wants, store.forget, store.start):
        with pytest.raises(KeyError):
            call("blocks_conected_total")
    for change in (store.add, store.set):
        with pytest.raises(KeyError):
            change("blocks_conected_total", 1)
    for tag_values in ((), ("a", "b"), ("a", "b", "c", "d")):
        with pytest.raises(ValueError, match="node_info has the tags"):
            store.set("node_info", 1, *tag_values)


def test_samples_come_in_the_catalogues_order() -> None:
    """Two emissions can be compared line by line, in whatever order the values came."""
    store = Store(GROUPS)
    for metric in reversed(CATALOGUE):
        store.set(metric.name, 1, *(metric.values[:1] or ["a"] * len(metric.tags)))
    assert [sample.name for sample in store.samples()] == [metric.name for metric in CATALOGUE]
