"""Comparing counters: by their increase, in a window in which both sides may be behind or begin anew."""

import pytest
from support.looks import looks, polled, record, verdict

from telegraf_bitcoin_ipc.parity.compare import Verdict, compare
from telegraf_bitcoin_ipc.parity.mapping import (
    IPC_EXPORTER_RUST,
    RPC_EXPORTER,
    USDT_EXPORTER,
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
