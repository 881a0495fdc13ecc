"""Comparing two pages through the mapping: units, counters, labels, and each verdict."""

import pytest

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.exposition import EndpointUnavailable, Page, read
from telegraf_bitcoin_ipc.parity import (
    WIDTH,
    Finding,
    Readings,
    Verdict,
    compare,
    document,
    find_exporter,
    not_mapped,
    of_one_node,
    only_here,
    table,
)
from telegraf_bitcoin_ipc.parity_map import (
    BITCOIN_PROMETHEUS_EXPORTER,
    EXPORTERS,
    IPC_EXPORTER_RUST,
    RPC_EXPORTER,
    USDT_EXPORTER,
    Exporter,
    Row,
)

LONG = 1000.0
"""Seconds of a window in which even polled counters can be compared."""

ABOUT = """\
bitcoin_plugin_info{version="0.1.0"} 1
bitcoin_node_info{version="/Satoshi:30.99.0/",chain="regtest",dialect="tracing"} 1
bitcoin_up 1
bitcoin_ibd 0
"""


def page(text: str) -> Page:
    """A page with those lines."""
    return read("".join(f"{line.strip()}\n" for line in text.splitlines()))


def readings(
    old: str, new: str, old_end: str | None = None, new_end: str | None = None, seconds: float = LONG
) -> Readings:
    """Two pages at both ends of a window; without another end nothing has moved."""
    ends = [
        page(text) for text in (old, old if old_end is None else old_end, new, new if new_end is None else new_end)
    ]
    return Readings((ends[0], ends[1]), (ends[2], ends[3]), seconds)


def verdict(exporter: Exporter, seen: Readings, tolerance: float = 0) -> Verdict:
    """What came of the only comparison."""
    (finding,) = compare(exporter, seen, tolerance)
    return finding.verdict


def labels(pairs: dict[str, str]) -> str:
    """Labels as they stand on a page."""
    return "{" + ",".join(f'{key}="{text}"' for key, text in pairs.items()) + "}" if pairs else ""


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

    def seen(figure: float) -> Readings:
        if row.compare == "increase":
            return readings(f"{old}7", f"{new}70", f"{old}{figure + 7}", f"{new}{here + 70}")
        return readings(f"{old}{figure}", f"{new}{here}")

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
    findings = compare(exporter, readings(old, ABOUT))
    assert findings == [Finding(row.old, "", Verdict("not offered", remark=row.note)) for row in rows]


def test_gauge_may_move_within_the_window() -> None:
    """A gauge is equal if its last value there lies within what was shown here, and only then."""
    old, new = "bitcoind_mempool_max_bytes ", "bitcoin_mempool_max_bytes "
    assert verdict(RPC_EXPORTER, readings(old + "9", new + "4", old + "5", new + "6")).status == "equal"
    assert verdict(RPC_EXPORTER, readings(old + "9", new + "6", old + "4", new + "4")).status == "equal"
    assert verdict(RPC_EXPORTER, readings(old + "0", new + "0", old + "9000", new + "9")).status == "differs"
    assert verdict(RPC_EXPORTER, readings(old + "5", new + "4", old + "3", new + "6")).status == "differs"


def test_tolerance_of_the_mapping() -> None:
    """A block between two polls is no difference, two are."""
    assert (
        verdict(RPC_EXPORTER, readings("bitcoind_blockchain_blocks 9", "bitcoin_chain_height 8")).status == "equal"
    )
    seen = readings("bitcoind_blockchain_blocks 9", "bitcoin_chain_height 7")
    assert verdict(RPC_EXPORTER, seen).status == "differs"


def test_tolerance_of_the_user() -> None:
    """A wider tolerance is the user's to give; a narrower one does not undo the mapping's."""
    seen = readings("bitcoind_mempool_size 100", "bitcoin_mempool_size 80")
    assert verdict(RPC_EXPORTER, seen, 0.01).status == "differs"
    assert verdict(RPC_EXPORTER, seen, 0.25).status == "equal"
    assert verdict(
        RPC_EXPORTER, readings("bitcoind_mempool_size 100", "bitcoin_mempool_size 95"), 0.01
    ).status == ("equal")


ADDED, ADDED_HERE = "bitcoind_mempool_added_total ", "bitcoin_mempool_tx_added_total "


def test_counters_are_compared_by_their_increase() -> None:
    """Counters that began at other times agree if they rise alike."""
    seen = readings(ADDED + "1000", ADDED_HERE + "5", ADDED + "1500", ADDED_HERE + "504")
    assert verdict(USDT_EXPORTER, seen) == Verdict("equal", 500, 499, increase=True)


def test_counter_that_stands_still() -> None:
    """A counter that counts nothing while the other does differs, and the row says by how much."""
    seen = readings(ADDED + "1000", ADDED_HERE + "5", ADDED + "1500", ADDED_HERE + "5")
    assert verdict(USDT_EXPORTER, seen) == Verdict("differs", 500, 0, True, "by 500 (100.000%)")


def test_what_is_under_way_between_two_pages() -> None:
    """The shorter the window, the more of an increase may not have arrived yet."""
    pages = ADDED + "0", ADDED_HERE + "0", ADDED + "100", ADDED_HERE + "85"
    assert verdict(USDT_EXPORTER, readings(*pages, seconds=10)).status == "equal"
    assert verdict(USDT_EXPORTER, readings(*pages, seconds=100)).status == "differs"


def test_counter_that_appears_within_the_window() -> None:
    """A series that comes with its first event began at 0."""
    old, new = 'bitcoind_mempool_removed_total{reason="expiry"} ', "bitcoin_mempool_tx_removed_by_reason_total"
    seen = readings("", f'{new}{{reason="expiry"}} 0', old + "40", f'{new}{{reason="expiry"}} 40')
    assert verdict(USDT_EXPORTER, seen) == Verdict("equal", 40, 40, increase=True)


@pytest.mark.parametrize(
    ("old_end", "new_end", "side"), [("2", "9", "there"), ("9", "2", "here"), ("2", "2", "there and here")]
)
def test_reset_within_the_window(old_end: str, new_end: str, side: str) -> None:
    """A restart within the window is told, and is no difference."""
    seen = readings(ADDED + "5", ADDED_HERE + "5", ADDED + old_end, ADDED_HERE + new_end)
    found = verdict(USDT_EXPORTER, seen)
    assert (found.status, found.remark) == ("undecided", f"reset {side} within the window: run it again")


def test_total_of_the_node_that_is_reset() -> None:
    """A node that restarts within the window begins its own totals again: told, and no difference."""
    old, new = "bitcoind_net_bytes_recv_total ", "bitcoin_bytes_recv_total "
    seen = readings(old + "900", new + "900", old + "3", new + "900")
    assert verdict(RPC_EXPORTER, seen).remark == "reset there within the window: run it again"


def test_polled_counter_takes_a_long_window() -> None:
    """A counter that is made from polls is not judged by a window between two of them."""
    old, new = (
        'bitcoind_p2p_bytes_total{direction="inbound",msg_type="tx"} ',
        'bitcoin_p2p_bytes_recv_total{message="tx"} ',
    )
    found = verdict(USDT_EXPORTER, readings(old + "1", new + "1", old + "9999", new + "1", seconds=20))
    assert (found.status, found.remark) == ("undecided", "behind by up to 62 s here: takes --window 248 or more")


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
    received, sent = [each for each in compare(USDT_EXPORTER, readings("", "", old, new)) if each.new]
    assert received.verdict == Verdict("equal", 93_000, 93_000, increase=True)
    assert sent.verdict == Verdict("equal", 193_000, 193_000, increase=True)


def test_series_are_summed_over_other_labels() -> None:
    """A metric that has a tag here and none there is compared as a sum."""
    new = 'bitcoin_chain_tips{status="active"} 1\nbitcoin_chain_tips{status="valid-fork"} 4'
    found = verdict(BITCOIN_PROMETHEUS_EXPORTER, readings("bitcoin_num_chaintips 5", new))
    assert found == Verdict("equal", 5, 5)


def test_virtual_bytes_and_memory_are_kept_apart() -> None:
    """The name bitcoin_mempool_bytes, which is something else on either side, is not compared with itself."""
    new = "bitcoin_mempool_bytes 900000\nbitcoin_mempool_vbytes 300000"
    old = "bitcoin_mempool_bytes 300000\nbitcoin_mempool_usage 900000"
    findings = compare(BITCOIN_PROMETHEUS_EXPORTER, readings(old, new))
    assert [(each.old, each.new, each.verdict.status) for each in findings] == [
        ("bitcoin_mempool_bytes", "bitcoin_mempool_vbytes", "equal"),
        ("bitcoin_mempool_usage", "bitcoin_mempool_bytes", "equal"),
    ]
    text = table(BITCOIN_PROMETHEUS_EXPORTER, readings(old, new), findings)
    assert "bitcoin_mempool_vbytes: virtual bytes there; here bitcoin_mempool_bytes is memory" in text


def test_fee_targets_are_compared_one_by_one() -> None:
    """Each target is a metric there and a tag here; for one that is missing those that are here are named."""
    old = "bitcoin_est_smart_fee_2 0.00020000\nbitcoin_est_smart_fee_3 0.00019000"
    new = ABOUT + 'bitcoin_fee_estimate_sat_per_vb{target="2"} 20\nbitcoin_fee_estimate_sat_per_vb{target="6"} 12'
    two, three = compare(BITCOIN_PROMETHEUS_EXPORTER, readings(old, new))
    assert two == Finding(
        "bitcoin_est_smart_fee_2", 'bitcoin_fee_estimate_sat_per_vb{target="2"}', Verdict("equal", 20, 20)
    )
    assert (three.old, three.verdict.status) == ("bitcoin_est_smart_fee_3", "missing")
    assert three.verdict.remark.startswith("not among the series here, target=2, target=6; ")
    assert "--fee-targets" in three.verdict.remark


def test_blocks_of_another_height_are_not_compared() -> None:
    """A side that does not have the newest block yet is no difference."""
    old = "bitcoin_latest_block_height 8\nbitcoin_latest_block_txs 3"
    new = "bitcoin_chain_height 8\nbitcoin_block_height 9\nbitcoin_last_block_transactions 70"
    height, transactions = compare(BITCOIN_PROMETHEUS_EXPORTER, readings(old, new))
    assert height.verdict.status == "equal"
    assert transactions.verdict == Verdict("undecided", 3, 70, remark="each shows another block: run it again")


def test_value_that_says_that_there_is_none() -> None:
    """The -1 that ipc-exporter-rust begins with is no height."""
    found = verdict(IPC_EXPORTER_RUST, readings("bitcoin_block_height -1", ABOUT))
    assert found == Verdict("undecided", -1, remark="there is no value there yet")
    assert verdict(IPC_EXPORTER_RUST, readings("bitcoin_ibd 0", "bitcoin_ibd 1")).status == "differs"


@pytest.mark.parametrize(
    ("exporter", "old", "new", "reason"),
    [
        (RPC_EXPORTER, "bitcoind_mempool_size 1", ABOUT.replace("up 1", "up 0"), "no session with the node"),
        (RPC_EXPORTER, "bitcoind_blockchain_difficulty 1", ABOUT, "the group chain is off (--metrics)"),
        (
            RPC_EXPORTER,
            "bitcoind_blockchain_difficulty 1",
            ABOUT + "bitcoin_uptime_seconds 3",
            "not offered in the dialect tracing, or not known yet",
        ),
        (USDT_EXPORTER, "bitcoind_utxocache_coins_added_total 1", ABOUT, "--no-utxo-trace"),
        (
            USDT_EXPORTER,
            "bitcoind_utxocache_coins_added_total 1",
            ABOUT.replace("ibd 0", "ibd 1"),
            "before initial block download is over",
        ),
        (
            USDT_EXPORTER,
            "bitcoind_mempool_added_total 1",
            ABOUT.replace("tracing", "stock"),
            "in the dialect stock",
        ),
    ],
)
def test_missing_has_a_likely_reason(exporter: Exporter, old: str, new: str, reason: str) -> None:
    """Who misses a metric learns what to look at."""
    found = verdict(exporter, readings(old, new))
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
        ("node_load1 3", "no exporter that is known"),
        ("bitcoin_blocks 3\nbitcoind_blockchain_blocks 3", "rpc_exporter and bitcoin-prometheus-exporter"),
        (ABOUT, "page of this plugin's"),
    ],
)
def test_unclear_exporter_is_a_mistake(old: str, complaint: str) -> None:
    """Nothing is guessed; --from decides."""
    with pytest.raises(ConfigError, match=complaint) as error:
        find_exporter(page(old))
    assert "--from" in str(error.value)
    assert find_exporter(page(old), "rpc_exporter") is RPC_EXPORTER


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
        with pytest.raises(ConfigError, match="--match has to choose one node") as error:
            of_one_node(both, match)
        assert "node=alpha,site=home; node=beta,site=home" in str(error.value)


def test_one_node_needs_no_choice() -> None:
    """Tags that every series has, such as the host, do not get into the comparison."""
    one = page('bitcoin_plugin_info{version="1",host="a"} 1\nbitcoin_chain_tips{status="active",host="a"} 2')
    assert [dict(each.labels) for each in of_one_node(one, {})] == [{"version": "1"}, {"status": "active"}]


@pytest.mark.parametrize("text", ["", "go_goroutines 5", "bitcoin_mempool_bytes 3\nbitcoin_blocks 1"])
def test_page_without_the_plugin(text: str) -> None:
    """A page that is not the plugin's is told at once, also where another exporter has the same names."""
    with pytest.raises(EndpointUnavailable, match="bitcoin_plugin_info"):
        of_one_node(page(text), {})


EXAMPLE = readings(
    """
    bitcoind_blockchain_blocks 110
    bitcoind_mempool_minfee_per_kb 0.00001
    bitcoind_blockchain_difficulty 4.6e-10
    bitcoind_something_new 1
    bitcoind_something_new_created 1
    """,
    ABOUT + "bitcoin_chain_height 110\nbitcoin_mempool_min_fee_sat_per_vb 1000",
)


def test_table() -> None:
    """Every verdict is a row, with the reason below it, and the totals at the end."""
    text = table(RPC_EXPORTER, EXAMPLE, compare(RPC_EXPORTER, EXAMPLE))
    assert text.splitlines() == [
        "OLD_URL is taken for rpc_exporter. Figures are in the unit that the metric has here;",
        "+ is the increase within 1000 s.",
        "",
        "status                 there             here  metric",
        "equal                    110              110  bitcoind_blockchain_blocks",
        "missing              4.6e-10                   bitcoind_blockchain_difficulty",
        "            bitcoin_difficulty: the group chain is off (--metrics), or not offered in the dialect",
        "            tracing",
        "differs                    1             1000  bitcoind_mempool_minfee_per_kb",
        "            bitcoin_mempool_min_fee_sat_per_vb: by 999 (99.900%); bitcoin per 1,000 virtual bytes",
        "            there",
        "",
        "1 equal, 1 missing, 1 differs",
        "Metrics that only this plugin has: 4",
        "Not in the mapping: bitcoind_something_new",
    ]


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))
def test_table_is_no_wider_than_a_terminal(exporter: Exporter) -> None:
    """The table of everything that an exporter has is readable in 100 columns."""
    old = "".join(
        f"{row.old.format(part='sum', blocks='neg1', what='chunks_used', target='2')}{labels(dict(row.where))} "
        "1234567890123456.5\n"
        for row in exporter.rows
    )
    seen = readings("", ABOUT, old, ABOUT + "".join(f"bitcoin_{row.new} 1\n" for row in exporter.rows if row.new))
    assert max(map(len, table(exporter, seen, compare(exporter, seen)).splitlines())) <= WIDTH


def test_counters_that_stand_still_are_told() -> None:
    """Two counters that did not move agree, but prove little: the summary says how many those are."""
    seen = readings(ADDED + "5", ADDED_HERE + "9")
    text = table(USDT_EXPORTER, seen, compare(USDT_EXPORTER, seen))
    assert "equal                     +0               +0  bitcoind_mempool_added_total" in text
    assert "Counters that did not move on either side: 1 (a longer window says more)" in text


def test_document() -> None:
    """The same as a structure, for a program."""
    found = document(RPC_EXPORTER, EXAMPLE, compare(RPC_EXPORTER, EXAMPLE))
    assert found["from"] == "rpc_exporter"
    assert found["not_mapped"] == not_mapped(RPC_EXPORTER, EXAMPLE.old[1]) == ["bitcoind_something_new"]
    assert found["only_here"] == only_here(RPC_EXPORTER, EXAMPLE.new[1]) == 4
    assert found["findings"][0] == {
        "old": "bitcoind_blockchain_blocks",
        "new": "bitcoin_chain_height",
        "status": "equal",
        "there": 110,
        "here": 110,
        "increase": False,
        "remark": "",
    }
