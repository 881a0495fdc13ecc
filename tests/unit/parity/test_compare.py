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


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))
def test_every_row(exporter: Exporter) -> None:
    """The same quantity in the units of both is equal; a thousandth of it is not."""
    for row in exporter.rows:
        if row.new:
            check_row(exporter, row)


def check_row(exporter: Exporter, row: Row) -> None:
    """Compare one row of the mapping."""
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
    assert (equal.verdict.status, equal.old + " ", equal.new + " ") == ("equal", old, new)
    assert equal.verdict.there == pytest.approx(here)
    (differs,) = compare(exporter, seen(there / 1000))
    assert (differs.verdict.status, differs.verdict.here) == ("differs", here), row


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))
def test_what_ipc_does_not_offer(exporter: Exporter) -> None:
    """Each metric without a counterpart is named with its reason, and is no difference."""
    rows = [row for row in exporter.rows if not row.new]
    old = "".join(f"{row.old.format(part='sum', blocks='neg1', what='chunks_used')} 3\n" for row in rows)
    findings = compare(exporter, record(old, ABOUT))
    assert findings == [Finding(row.old, "", Verdict("not offered", remark=row.note)) for row in rows]


SIZE, SIZE_HERE = "bitcoind_mempool_size ", "bitcoin_mempool_size "


def sizes(*moments: tuple[float, int, int, int], begin: int = 0, old: str = SIZE) -> Record:
    """Looks at a gauge: the time, its value there, the time of the plugin's last poll, and its value here."""
    rows = ((at, f"{old}{there}", polled(poll, f"{SIZE_HERE}{here}")) for at, there, poll, here in moments)
    return looks(*rows, begin=begin)


def test_gauge_is_equal_where_both_ranges_touch() -> None:
    """A gauge that moves is equal if both sides showed the same at any time of the window."""
    seen = sizes((0, 5000, 100, 4000), (5, 5100, 105, 5050), (10, 5200, 105, 5050), (20, 5200, 115, 60))
    remark = "range 5000 to 5200 there, 60 to 5050 here"
    assert verdict(RPC_EXPORTER, seen) == Verdict("equal", 5200, 60, remark=remark)


def test_gauge_differs_where_the_ranges_are_apart() -> None:
    """If the ranges do not overlap, the remark has the gap and both ranges; what was before does not count."""
    seen = sizes((0, 5000, 100, 1000), (10, 4000, 105, 1500), (30, 5000, 115, 1200))
    remark = "by 2500 (62.500%); range 4000 to 5000 there, 1000 to 1500 here"
    assert verdict(RPC_EXPORTER, seen) == Verdict("differs", 5000, 1200, remark=remark)
    seen = sizes((0, 900, 100, 100), (3, 900, 103, 100), (9, 100, 109, 900), (99, 100, 150, 900), begin=2)
    assert verdict(RPC_EXPORTER, seen).status == "differs"


@pytest.mark.parametrize(
    ("exporter", "seconds", "poll", "remark"),
    [
        (RPC_EXPORTER, 20, 100, "every 15 s there and every 60 s here; use --window 75, or run the plugin with"),
        (RPC_EXPORTER, 40, 130, "every 15 s there and every 30 s here; use --window 45, or run the plugin with"),
        (RPC_EXPORTER, 20, 105, "every 15 s there and every 5 s here; use --window 20"),
        (IPC_EXPORTER_RUST, 59, 105, "every 60 s there and every 5 s here; use --window 65"),
        (RPC_EXPORTER, 200, 100, "every 15 s there and every 200 s here; use --window 215, or run "),
    ],
)
def test_gauges_take_a_poll_within_the_window(exporter: Exporter, seconds: float, poll: int, remark: str) -> None:
    """A change since the last poll of one exporter is no difference: the window must contain a poll of each."""
    old = SIZE if exporter is RPC_EXPORTER else SIZE_HERE
    found = verdict(exporter, sizes((0, 5000, 100, 60), (seconds, 5000, poll, 60), old=old))
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


TIPS = 'bitcoin_chain_tips{status="active"} 1\nbitcoin_chain_tips{status="valid-fork"} 4'


@pytest.mark.parametrize(
    ("exporter", "old", "new", "tolerance", "status"),
    [
        (RPC_EXPORTER, "bitcoind_blockchain_blocks 9", "bitcoin_chain_height 8", 0, "equal"),
        (RPC_EXPORTER, "bitcoind_blockchain_blocks 9", "bitcoin_chain_height 7", 0, "differs"),
        (RPC_EXPORTER, SIZE + "100", SIZE_HERE + "80", 0.01, "differs"),
        (RPC_EXPORTER, SIZE + "100", SIZE_HERE + "80", 0.25, "equal"),
        (RPC_EXPORTER, SIZE + "100", SIZE_HERE + "95", 0.01, "equal"),
        (IPC_EXPORTER_RUST, "bitcoin_ibd 0", "bitcoin_ibd 1", 0, "differs"),
        (BITCOIN_PROMETHEUS_EXPORTER, "bitcoin_num_chaintips 5", TIPS, 0, "equal"),
    ],
)
def test_tolerance(exporter: Exporter, old: str, new: str, tolerance: float, status: str) -> None:
    """The user's, or the mapping's if that is wider; a tag that is only here is summed over."""
    assert verdict(exporter, record(old, new), tolerance).status == status


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


def test_blocks_are_compared_while_both_show_the_same() -> None:
    """A block that one side shows first is no difference: another look decides, if both showed the same one."""
    old = "bitcoin_latest_block_height {}\nbitcoin_latest_block_txs {}"
    new = "bitcoin_chain_height 8\nbitcoin_block_height {}\nbitcoin_last_block_transactions {}"
    for here_before, expected in (
        ((9, 70), Verdict("undecided", 3, 70, remark="the pages show different blocks; run it again")),
        ((8, 3), Verdict("equal", 3, 3)),
        ((8, 4), Verdict("differs", 3, 4, remark="by 1 (25.000%)")),
    ):
        seen = looks((0, old.format(8, 3), new.format(*here_before)), (10, old.format(8, 3), new.format(9, 70)))
        height, transactions = compare(BITCOIN_PROMETHEUS_EXPORTER, seen)
        assert (height.verdict.status, transactions.verdict) == ("equal", expected)


def test_value_that_says_that_there_is_none() -> None:
    """The -1 that ipc-exporter-rust begins with is no height."""
    found = verdict(IPC_EXPORTER_RUST, record("bitcoin_block_height -1", ABOUT))
    assert found == Verdict("undecided", -1, remark="no value there yet")


SIZE_1, DIFFICULTY_1 = SIZE + "1", "bitcoind_blockchain_difficulty 1"
ADDED_1, COINS_1 = "bitcoind_mempool_added_total 1", "bitcoind_utxocache_coins_added_total 1"
NOT_TRACED = 'bitcoin_subscription_active{subscription="utxo_cache"} 0'


@pytest.mark.parametrize(
    ("exporter", "old", "new", "reason"),
    [
        (RPC_EXPORTER, SIZE_1, ABOUT.replace("up 1", "up 0"), "no session with the node"),
        (RPC_EXPORTER, DIFFICULTY_1, ABOUT, "the group chain is off (--metrics)"),
        (RPC_EXPORTER, DIFFICULTY_1, ABOUT + "bitcoin_uptime_seconds 3", "no value yet"),
        (USDT_EXPORTER, COINS_1, ABOUT + NOT_TRACED, "--no-utxo-trace"),
        (USDT_EXPORTER, COINS_1, ABOUT.replace("tracing", "chain") + NOT_TRACED, "no Tracing interface"),
        (USDT_EXPORTER, COINS_1, ABOUT.replace("ibd 0", "ibd 1") + NOT_TRACED, "during initial block download"),
        (USDT_EXPORTER, ADDED_1, ABOUT.replace("tracing", "stock"), "no Chain interface"),
        (RPC_EXPORTER, DIFFICULTY_1, ABOUT.replace("tracing", "stock-31"), "no JSON-RPC"),
        (RPC_EXPORTER, SIZE_1, ABOUT.replace("tracing", "new"), "the dialect new is unknown"),
    ],
)
def test_missing_has_a_likely_reason(exporter: Exporter, old: str, new: str, reason: str) -> None:
    """Who misses a metric learns what to look at."""
    found = verdict(exporter, record(old, new))
    assert (found.status, found.there, found.here) == ("missing", 1, None)
    assert reason in found.remark
