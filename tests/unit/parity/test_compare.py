"""Comparing two pages through the mapping: units, labels, gauges, and each verdict."""

import pytest
from support.looks import ABOUT, labels, looks, polled, record, verdict

from telegraf_bitcoin_ipc.parity.compare import Finding, Verdict, compare
from telegraf_bitcoin_ipc.parity.looks import Record
from telegraf_bitcoin_ipc.parity.mapping import (
    BITCOIN_PROMETHEUS_EXPORTER,
    EXPORTERS,
    IPC_EXPORTER_RUST,
    RPC_EXPORTER,
    USDT_EXPORTER,
)
from telegraf_bitcoin_ipc.parity.row import Exporter, Row

COMPARED = [(exporter, row) for exporter in EXPORTERS.values() for row in exporter.rows if row.new]


@pytest.mark.parametrize(
    ("exporter", "row"),
    COMPARED,
    ids=[f"{each.name}-{row.old}{list(row.where.values())}" for each, row in COMPARED],
)
def test_every_row(exporter: Exporter, row: Row) -> None:
    """The same quantity in the units of both is equal; a thousandth of it is not."""
    kept = {row.by: "6"} if row.by else {}
    old = row.old.replace("{target}", "6") + labels(dict(row.where)) + " "
    new = f"bitcoin_{row.new}" + labels({**row.new_where, **kept}) + " "
    here = 4_000_000.0
    there = (here - row.offset) / row.factor

    def seen(figure: float) -> Record:
        if row.compares_increases:
            return record(f"{old}7", f"{new}70", f"{old}{figure + 7}", f"{new}{here + 70}")
        return record(f"{old}{figure}", f"{new}{here}")

    (equal,) = compare(exporter, seen(there))
    assert equal.verdict.status == "equal"
    assert equal.verdict.there == pytest.approx(here)
    assert equal.old + " " == old
    assert equal.new + " " == new
    (differs,) = compare(exporter, seen(there / 1000))
    assert differs.verdict.status == "differs"
    assert differs.verdict.here == here


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))
def test_what_ipc_does_not_offer(exporter: Exporter) -> None:
    """Each metric without a counterpart is named with its reason, and is no difference."""
    rows = [row for row in exporter.rows if not row.new]
    old = "".join(f"{row.old.format(part='sum', blocks='neg1', what='chunks_used')} 3\n" for row in rows)
    findings = compare(exporter, record(old, ABOUT))
    assert findings == [Finding(row.old, "", Verdict("not offered", remark=row.note)) for row in rows]


SIZE, SIZE_HERE = "bitcoind_mempool_size ", "bitcoin_mempool_size "


def test_gauge_is_equal_where_both_ranges_touch() -> None:
    """A gauge that moves is equal if both sides showed the same at any time of the window."""
    seen = looks(
        (0, SIZE + "5000", polled(100, SIZE_HERE + "4000")),
        (5, SIZE + "5100", polled(105, SIZE_HERE + "5050")),
        (10, SIZE + "5200", polled(105, SIZE_HERE + "5050")),
        (20, SIZE + "5200", polled(115, SIZE_HERE + "60")),
    )
    remark = "range 5000 to 5200 there, 60 to 5050 here"
    assert verdict(RPC_EXPORTER, seen) == Verdict("equal", 5200, 60, remark=remark)


def test_gauge_differs_where_the_ranges_are_apart() -> None:
    """If the ranges do not overlap, the remark has the gap and both ranges."""
    seen = looks(
        (0, SIZE + "5000", polled(100, SIZE_HERE + "1000")),
        (10, SIZE + "4000", polled(105, SIZE_HERE + "1500")),
        (30, SIZE + "5000", polled(115, SIZE_HERE + "1200")),
    )
    remark = "by 2500 (62.500%); range 4000 to 5000 there, 1000 to 1500 here"
    assert verdict(RPC_EXPORTER, seen) == Verdict("differs", 5000, 1200, remark=remark)


def test_what_was_before_the_window_does_not_count() -> None:
    """Values from before the window are ignored."""
    seen = looks(
        (0, SIZE + "900", polled(100, SIZE_HERE + "100")),
        (3, SIZE + "900", polled(103, SIZE_HERE + "100")),
        (9, SIZE + "100", polled(109, SIZE_HERE + "900")),
        (99, SIZE + "100", polled(150, SIZE_HERE + "900")),
        begin=2,
    )
    assert verdict(RPC_EXPORTER, seen).status == "differs"


@pytest.mark.parametrize(
    ("exporter", "seconds", "polls", "remark"),
    [
        (
            RPC_EXPORTER,
            20,
            (100, 100),
            "every 15 s there and every 60 s here; use --window 75, or run the plugin with",
        ),
        (
            RPC_EXPORTER,
            40,
            (100, 130),
            "every 15 s there and every 30 s here; use --window 45, or run the plugin with",
        ),
        (RPC_EXPORTER, 20, (100, 105), "every 15 s there and every 5 s here; use --window 20"),
        (IPC_EXPORTER_RUST, 59, (100, 105), "every 60 s there and every 5 s here; use --window 65"),
        (
            RPC_EXPORTER,
            200,
            (100, 100),
            "every 15 s there and every 200 s here; use --window 215, or run ",
        ),
    ],
)
def test_gauges_take_a_poll_within_the_window(
    exporter: Exporter, seconds: float, polls: tuple[int, int], remark: str
) -> None:
    """A change since the last poll of one exporter is no difference: the window must contain a poll of each."""
    old = SIZE if exporter is RPC_EXPORTER else "bitcoin_mempool_size "
    seen = looks(
        (0, old + "5000", polled(polls[0], SIZE_HERE + "60")),
        (seconds, old + "5000", polled(polls[1], SIZE_HERE + "60")),
    )
    found = verdict(exporter, seen)
    assert found.status == "undecided"
    assert found.remark.startswith(f"polled {remark}")


@pytest.mark.parametrize(
    ("exporter", "name"),
    [(RPC_EXPORTER, "bitcoind_mempool_max_bytes"), (IPC_EXPORTER_RUST, "bitcoin_block_height")],
)
def test_what_does_not_wait_for_a_poll_is_judged_at_once(exporter: Exporter, name: str) -> None:
    """A constant, and what an event sets on both sides, differ without a poll within the window."""
    (row,) = (row for row in exporter.rows if row.old == name)
    seen = looks(
        (0, f"{name} 900", polled(100, f"bitcoin_{row.new} 300")),
        (10, f"{name} 900", polled(100, f"bitcoin_{row.new} 300")),
    )
    assert verdict(exporter, seen).status == "differs"


def test_tolerance_of_the_mapping() -> None:
    """A block between two polls is no difference, two are."""
    assert (
        verdict(RPC_EXPORTER, record("bitcoind_blockchain_blocks 9", "bitcoin_chain_height 8")).status == "equal"
    )
    seen = record("bitcoind_blockchain_blocks 9", "bitcoin_chain_height 7")
    assert verdict(RPC_EXPORTER, seen).status == "differs"


def test_tolerance_of_the_user() -> None:
    """A wider tolerance is the user's to give; a narrower one does not undo the mapping's."""
    seen = record("bitcoind_mempool_size 100", "bitcoin_mempool_size 80")
    assert verdict(RPC_EXPORTER, seen, 0.01).status == "differs"
    assert verdict(RPC_EXPORTER, seen, 0.25).status == "equal"
    assert verdict(RPC_EXPORTER, record("bitcoind_mempool_size 100", "bitcoin_mempool_size 95"), 0.01).status == (
        "equal"
    )


def test_series_are_summed_over_other_labels() -> None:
    """A metric that has a tag here and none there is compared as a sum."""
    new = 'bitcoin_chain_tips{status="active"} 1\nbitcoin_chain_tips{status="valid-fork"} 4'
    found = verdict(BITCOIN_PROMETHEUS_EXPORTER, record("bitcoin_num_chaintips 5", new))
    assert found == Verdict("equal", 5, 5)


def test_virtual_bytes_and_memory_are_kept_apart() -> None:
    """The name bitcoin_mempool_bytes, which is something else on either side, is not compared with itself."""
    new = "bitcoin_mempool_bytes 900000\nbitcoin_mempool_vbytes 300000"
    old = "bitcoin_mempool_bytes 300000\nbitcoin_mempool_usage 900000"
    findings = compare(BITCOIN_PROMETHEUS_EXPORTER, record(old, new))
    assert [(each.old, each.new, each.verdict.status) for each in findings] == [
        ("bitcoin_mempool_bytes", "bitcoin_mempool_vbytes", "equal"),
        ("bitcoin_mempool_usage", "bitcoin_mempool_bytes", "equal"),
    ]
    assert findings[0].verdict.remark.startswith("virtual bytes there; here, bitcoin_mempool_bytes is memory")


def test_fee_targets_are_compared_one_by_one() -> None:
    """Each target is a metric there and a tag here; for one that is missing those that are here are named."""
    old = "bitcoin_est_smart_fee_2 0.00020000\nbitcoin_est_smart_fee_3 0.00019000"
    new = ABOUT + 'bitcoin_fee_estimate_sat_per_vb{target="2"} 20\nbitcoin_fee_estimate_sat_per_vb{target="6"} 12'
    two, three = compare(BITCOIN_PROMETHEUS_EXPORTER, record(old, new))
    assert two == Finding(
        "bitcoin_est_smart_fee_2", 'bitcoin_fee_estimate_sat_per_vb{target="2"}', Verdict("equal", 20, 20)
    )
    assert (three.old, three.verdict.status) == ("bitcoin_est_smart_fee_3", "missing")
    assert three.verdict.remark.startswith("no such series here, only target=2, target=6; ")
    assert "--fee-targets" in three.verdict.remark


def test_blocks_of_another_height_are_not_compared() -> None:
    """A side that does not have the newest block yet is no difference."""
    old = "bitcoin_latest_block_height 8\nbitcoin_latest_block_txs 3"
    new = "bitcoin_chain_height 8\nbitcoin_block_height 9\nbitcoin_last_block_transactions 70"
    height, transactions = compare(BITCOIN_PROMETHEUS_EXPORTER, record(old, new))
    assert height.verdict.status == "equal"
    assert transactions.verdict == Verdict(
        "undecided", 3, 70, remark="the pages show different blocks; run it again"
    )


def test_blocks_are_compared_while_both_show_the_same() -> None:
    """A block that one side shows first is no difference where both showed the same one at another look."""
    old = "bitcoin_latest_block_height {}\nbitcoin_latest_block_txs {}"
    new = "bitcoin_block_height {}\nbitcoin_last_block_transactions {}"
    seen = looks((0, old.format(8, 3), new.format(8, 3)), (10, old.format(8, 3), new.format(9, 70)))
    _, transactions = compare(BITCOIN_PROMETHEUS_EXPORTER, seen)
    assert transactions.verdict == Verdict("equal", 3, 3)
    wrong = looks((0, old.format(8, 3), new.format(8, 4)), (10, old.format(8, 3), new.format(9, 3)))
    _, transactions = compare(BITCOIN_PROMETHEUS_EXPORTER, wrong)
    assert transactions.verdict.status == "differs"


def test_value_that_says_that_there_is_none() -> None:
    """The -1 that ipc-exporter-rust begins with is no height."""
    found = verdict(IPC_EXPORTER_RUST, record("bitcoin_block_height -1", ABOUT))
    assert found == Verdict("undecided", -1, remark="no value there yet")
    assert verdict(IPC_EXPORTER_RUST, record("bitcoin_ibd 0", "bitcoin_ibd 1")).status == "differs"


@pytest.mark.parametrize(
    ("exporter", "old", "new", "reason"),
    [
        (RPC_EXPORTER, "bitcoind_mempool_size 1", ABOUT.replace("up 1", "up 0"), "no session with the node"),
        (RPC_EXPORTER, "bitcoind_blockchain_difficulty 1", ABOUT, "the group chain is off (--metrics)"),
        (
            RPC_EXPORTER,
            "bitcoind_blockchain_difficulty 1",
            ABOUT + "bitcoin_uptime_seconds 3",
            "no value yet",
        ),
        (
            USDT_EXPORTER,
            "bitcoind_utxocache_coins_added_total 1",
            ABOUT + 'bitcoin_subscription_active{subscription="utxo_cache"} 0',
            "--no-utxo-trace",
        ),
        (
            USDT_EXPORTER,
            "bitcoind_utxocache_coins_added_total 1",
            ABOUT.replace("tracing", "chain") + 'bitcoin_subscription_active{subscription="utxo_cache"} 0',
            "no Tracing interface",
        ),
        (
            USDT_EXPORTER,
            "bitcoind_utxocache_coins_added_total 1",
            ABOUT.replace("ibd 0", "ibd 1") + 'bitcoin_subscription_active{subscription="utxo_cache"} 0',
            "during initial block download",
        ),
        (
            USDT_EXPORTER,
            "bitcoind_mempool_added_total 1",
            ABOUT.replace("tracing", "stock"),
            "no Chain interface",
        ),
        (
            RPC_EXPORTER,
            "bitcoind_blockchain_difficulty 1",
            ABOUT.replace("tracing", "stock-31"),
            "no JSON-RPC",
        ),
        (RPC_EXPORTER, "bitcoind_mempool_size 1", ABOUT.replace("tracing", "new"), "the dialect new is unknown"),
    ],
)
def test_missing_has_a_likely_reason(exporter: Exporter, old: str, new: str, reason: str) -> None:
    """Who misses a metric learns what to look at."""
    found = verdict(exporter, record(old, new))
    assert (found.status, found.there, found.here) == ("missing", 1, None)
    assert reason in found.remark
