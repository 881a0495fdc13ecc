"""Comparing two pages through the mapping: units, counters, labels, and each verdict."""

import pytest
from support.looks import ABOUT, labels, looks, page, record

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.parity.compare import Finding, Verdict, compare, find_exporter, of_one_node
from telegraf_bitcoin_ipc.parity.exposition import EndpointUnavailable
from telegraf_bitcoin_ipc.parity.looks import Record
from telegraf_bitcoin_ipc.parity.mapping import (
    BITCOIN_PROMETHEUS_EXPORTER,
    EXPORTERS,
    IPC_EXPORTER_RUST,
    RPC_EXPORTER,
    USDT_EXPORTER,
)
from telegraf_bitcoin_ipc.parity.row import Exporter, Row


def verdict(exporter: Exporter, seen: Record, tolerance: float = 0) -> Verdict:
    """Return the verdict of the only finding."""
    (finding,) = compare(exporter, seen, tolerance)
    return finding.verdict


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


def polled(second: int, line: str = "") -> str:
    """A page of the plugin's whose last poll was at that time."""
    return f"bitcoin_last_poll_timestamp_seconds {second}\n{line}"


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


ADDED, ADDED_HERE = "bitcoind_mempool_added_total ", "bitcoin_mempool_tx_added_total "


def test_counters_are_compared_by_their_increase() -> None:
    """Counters that began at other times agree if they rise alike."""
    seen = record(ADDED + "1000", ADDED_HERE + "5", ADDED + "1500", ADDED_HERE + "504")
    assert verdict(USDT_EXPORTER, seen) == Verdict("equal", 500, 499, increase=True)


def test_counter_that_stands_still() -> None:
    """A counter that counts nothing while the other does differs, and the row says by how much."""
    seen = record(ADDED + "1000", ADDED_HERE + "5", ADDED + "1500", ADDED_HERE + "5")
    assert verdict(USDT_EXPORTER, seen) == Verdict("differs", 500, 0, True, "by 500 (100.000%)")


def test_what_is_under_way_between_two_pages() -> None:
    """The shorter the window, the more of an increase may not have arrived yet."""
    pages = ADDED + "0", ADDED_HERE + "0", ADDED + "100", ADDED_HERE + "85"
    assert verdict(USDT_EXPORTER, record(*pages, seconds=10)).status == "equal"
    assert verdict(USDT_EXPORTER, record(*pages, seconds=100)).status == "differs"


def test_burst_at_the_end_of_the_window() -> None:
    """Events of the last seconds, which Telegraf's page does not have yet, are no difference."""
    seen = looks(
        (0, ADDED + "0", ADDED_HERE + "0"),
        (97.5, ADDED + "100", ADDED_HERE + "90"),
        (99, ADDED + "5000", ADDED_HERE + "100"),
        (100, ADDED + "5100", ADDED_HERE + "100"),
    )
    assert verdict(USDT_EXPORTER, seen).status == "equal"


def test_burst_before_the_begin_of_the_window() -> None:
    """Events just before the window that arrive here within it are no difference."""
    seen = looks(
        (0, ADDED + "0", ADDED_HERE + "0"),
        (1.5, ADDED + "5000", ADDED_HERE + "0"),
        (3, ADDED + "5000", ADDED_HERE + "0"),
        (100, ADDED + "5100", ADDED_HERE + "5100"),
        begin=2,
    )
    assert verdict(USDT_EXPORTER, seen) == Verdict("equal", 100, 5100, increase=True)


def test_burst_in_the_middle_has_to_be_seen() -> None:
    """Events in the middle of the window have had the time to arrive: those that are missing are a difference."""
    seen = looks(
        (0, ADDED + "0", ADDED_HERE + "0"),
        (50, ADDED + "5000", ADDED_HERE + "100"),
        (97, ADDED + "5000", ADDED_HERE + "100"),
        (100, ADDED + "5000", ADDED_HERE + "100"),
    )
    assert verdict(USDT_EXPORTER, seen).status == "differs"


COINS = "bitcoin_utxo_cache_add_total "
SATOSHI = "bitcoin_utxo_cache_add_value_total "


def coins(there: tuple[int, int], here: tuple[int, int]) -> list[str]:
    """What becomes of coins and their value, each as counted there and here over a long window."""
    old = f"{COINS}{there[0]}\n{SATOSHI}{there[1]}"
    new = f"{COINS}{here[0]}\n{SATOSHI}{here[1]}"
    seen = record(f"{COINS}0\n{SATOSHI}0", f"{COINS}0\n{SATOSHI}0", old, new)
    return [each.verdict.status for each in compare(IPC_EXPORTER_RUST, seen)]


def test_value_may_differ_as_the_coins_do() -> None:
    """A sum of satoshi has the slack that the number of coins has used, in proportion."""
    assert coins((1000, 5_000_000), (990, 4_955_000)) == ["equal", "equal"]
    assert coins((1000, 5_000_000), (1000, 4_955_000)) == ["equal", "differs"]
    assert coins((1000, 5_000_000), (990, 4_000_000)) == ["equal", "differs"]


def test_value_has_no_slack_where_the_coins_differ() -> None:
    """Coins that are missing are no excuse for the satoshi that are missing with them."""
    assert coins((1000, 5_000_000), (500, 2_500_000)) == ["differs", "differs"]


def test_restart_between_two_looks() -> None:
    """A counter that fell and rose again past its begin was reset all the same."""
    seen = looks(
        (0, ADDED + "500", ADDED_HERE + "5"),
        (50, ADDED + "3", ADDED_HERE + "100"),
        (100, ADDED + "900", ADDED_HERE + "405"),
    )
    assert verdict(USDT_EXPORTER, seen).remark == "the counter was reset there during the window; run it again"


def test_counter_that_appears_within_the_window() -> None:
    """A series that comes with its first event began at 0."""
    old, new = 'bitcoind_mempool_removed_total{reason="expiry"} ', "bitcoin_mempool_tx_removed_by_reason_total"
    seen = record("", f'{new}{{reason="expiry"}} 0', old + "40", f'{new}{{reason="expiry"}} 40')
    assert verdict(USDT_EXPORTER, seen) == Verdict("equal", 40, 40, increase=True)


@pytest.mark.parametrize(
    ("old_end", "new_end", "side"), [("2", "9", "there"), ("9", "2", "here"), ("2", "2", "there and here")]
)
def test_reset_within_the_window(old_end: str, new_end: str, side: str) -> None:
    """A restart within the window is reported as undecided, not as a difference."""
    seen = record(ADDED + "5", ADDED_HERE + "5", ADDED + old_end, ADDED_HERE + new_end)
    found = verdict(USDT_EXPORTER, seen)
    assert (found.status, found.remark) == (
        "undecided",
        f"the counter was reset {side} during the window; run it again",
    )


def test_total_of_the_node_that_is_reset() -> None:
    """A node that restarts within the window resets its own totals: undecided, not a difference."""
    old, new = "bitcoind_net_bytes_recv_total ", "bitcoin_bytes_recv_total "
    seen = record(old + "900", new + "900", old + "3", new + "900")
    assert verdict(RPC_EXPORTER, seen).remark == "the counter was reset there during the window; run it again"


def test_polled_counter_takes_a_long_window() -> None:
    """A counter that is made from polls is not judged by a window between two of them."""
    old, new = (
        'bitcoind_p2p_bytes_total{direction="inbound",msg_type="tx"} ',
        'bitcoin_p2p_bytes_recv_total{message="tx"} ',
    )
    found = verdict(USDT_EXPORTER, record(old + "1", new + "1", old + "9999", new + "1", seconds=20))
    assert (found.status, found.remark) == (
        "undecided",
        "the page here may lag by up to 62 s; use --window 248 or more",
    )


@pytest.mark.parametrize(("interval", "window"), [(5, 28), (30, 128)])
def test_interval_of_polls_is_read_from_the_page(interval: int, window: int) -> None:
    """The recommended window follows from the poll interval that the plugin's page shows."""
    old, new = 'bitcoind_p2p_bytes_total{direction="inbound"} ', 'bitcoin_p2p_bytes_recv_total{message="tx"} '
    seen = looks(*((10 * number, old + "1", polled(number * interval, new + "1")) for number in range(3)))
    short = looks(*((number, old + "1", polled(number * interval, new + "1")) for number in range(3)))
    assert verdict(USDT_EXPORTER, seen).status == ("equal" if 2 * (interval + 2) <= 20 else "undecided")
    assert verdict(USDT_EXPORTER, short).remark.endswith(f"use --window {window} or more")


def test_message_headers_are_counted_in() -> None:
    """Payloads and messages there are the bytes here, by direction and over all messages."""
    old = "".join(
        f'bitcoind_p2p_{what}_total{{direction="{direction}",msg_type="{name}"}} {figure}\n'
        for direction, more in (("inbound", 0), ("outbound", 50_000))
        for name, size in (("inv", 37), ("ping", 8))
        for what, figure in (("bytes", 1000 * size + more), ("messages", 1000))
    )
    new = """
        bitcoin_p2p_bytes_recv_total{message="inv"} 61000
        bitcoin_p2p_bytes_recv_total{message="ping"} 32000
        bitcoin_p2p_bytes_sent_total{message="other"} 193000
    """
    received, sent = [each for each in compare(USDT_EXPORTER, record("", "", old, new)) if each.new]
    assert received.verdict == Verdict("equal", 93_000, 93_000, increase=True)
    assert sent.verdict == Verdict("equal", 193_000, 193_000, increase=True)


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


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))
def test_exporter_is_known_by_its_page(exporter: Exporter) -> None:
    """The user does not have to say what runs at OLD_URL."""
    old = "".join(f"{row.old} 1\n" for row in exporter.rows if "{" not in row.old)
    assert find_exporter(page(old)) is exporter


@pytest.mark.parametrize(
    ("old", "complaint"),
    [
        ("node_load1 3", "no known exporter"),
        ("bitcoin_blocks 3\nbitcoind_blockchain_blocks 3", "rpc_exporter and bitcoin-prometheus-exporter"),
        (ABOUT, "page of this plugin"),
    ],
)
def test_unclear_exporter_is_a_mistake(old: str, complaint: str) -> None:
    """Nothing is guessed; --from decides."""
    with pytest.raises(ConfigError, match=complaint) as error:
        find_exporter(page(old))
    assert "--from" in str(error.value)


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))
@pytest.mark.parametrize("named", EXPORTERS)
def test_named_exporter_has_to_be_there(exporter: Exporter, named: str) -> None:
    """--from decides where it can be, and is a mistake where nothing of that exporter's own is on the page."""
    old = page("".join(f"{row.old} 1\n" for row in exporter.rows if "{" not in row.old))
    if named == exporter.name:
        assert find_exporter(old, named) is exporter
        return
    with pytest.raises(ConfigError, match=f"OLD_URL has no metrics of {named}; it has metrics of {exporter.name}"):
        find_exporter(old, named)


def test_named_exporter_beside_another() -> None:
    """Where a page is of two exporters, --from chooses."""
    both = page("bitcoin_blocks 3\nbitcoind_blockchain_blocks 3")
    assert find_exporter(both, "rpc_exporter") is RPC_EXPORTER


def test_one_node_among_several() -> None:
    """With several nodes on one page the tag that the user gives chooses; without it nothing is compared."""
    both = page(
        """
        bitcoin_plugin_info{version="1",node="alpha",site="home"} 1
        bitcoin_plugin_info{version="1",node="beta",site="home"} 1
        bitcoin_mempool_size{node="alpha",site="home"} 11
        bitcoin_mempool_size{node="beta",site="home"} 22
        go_goroutines 5
        """
    )
    assert {each.value for each in of_one_node(both, {"node": "beta"})} == {1, 22}
    assert all("node" not in each.labels for each in of_one_node(both, {"node": "beta"}))
    for match in ({}, {"site": "home"}, {"node": "gamma"}):
        with pytest.raises(ConfigError, match="--match must select one node") as error:
            of_one_node(both, match)
        assert "node=alpha,site=home; node=beta,site=home" in str(error.value)


def test_one_node_needs_no_choice() -> None:
    """Tags that every series has, such as the host, do not get into the comparison."""
    one = page('bitcoin_plugin_info{version="1",host="a"} 1\nbitcoin_chain_tips{status="active",host="a"} 2')
    assert [dict(each.labels) for each in of_one_node(one, {})] == [{"version": "1"}, {"status": "active"}]


def test_list_of_nodes_is_not_endless() -> None:
    """Of hundreds of nodes the sentence names the first ones."""
    many = page("".join(f'bitcoin_plugin_info{{version="1",node="n{number}"}} 1\n' for number in range(300)))
    with pytest.raises(ConfigError, match=r"node=n19; 280 more$"):
        of_one_node(many, {})


@pytest.mark.parametrize("text", ["", "go_goroutines 5", "bitcoin_mempool_bytes 3\nbitcoin_blocks 1"])
def test_page_without_the_plugin(text: str) -> None:
    """A page without the plugin is an error, even if another exporter on it has the same names."""
    with pytest.raises(EndpointUnavailable, match="bitcoin_plugin_info"):
        of_one_node(page(text), {})
