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


def added(*moments: tuple[float, int, int], begin: int = 0) -> Verdict:
    """Return the verdict on a counter with these values there and here."""
    rows = ((at, f"{ADDED}{there}", f"{ADDED_HERE}{here}") for at, there, here in moments)
    return verdict(USDT_EXPORTER, looks(*rows, begin=begin))


def test_counters_are_compared_by_their_increase() -> None:
    """Counters that began at other times agree if they rise alike; one that stands still differs."""
    assert added((0, 1000, 5), (1000, 1500, 504)) == Verdict("equal", 500, 499, increase=True)
    assert added((0, 1000, 5), (1000, 1500, 5)) == Verdict("differs", 500, 0, True, "by 500 (100.000%)")


@pytest.mark.parametrize(
    ("moments", "begin", "status"),
    [
        ([(0, 0, 0), (10, 100, 85)], 0, "equal"),  # much of a short window may be under way
        ([(0, 0, 0), (100, 100, 85)], 0, "differs"),
        ([(0, 0, 0), (97.5, 100, 90), (99, 5000, 100), (100, 5100, 100)], 0, "equal"),  # at the end
        ([(0, 0, 0), (1.5, 5000, 0), (3, 5000, 0), (100, 5100, 5100)], 2, "equal"),  # before the begin
        ([(0, 0, 0), (50, 5000, 100), (97, 5000, 100), (100, 5000, 100)], 0, "differs"),  # in the middle
    ],
)
def test_burst(moments: list[tuple[float, int, int]], begin: int, status: str) -> None:
    """Events just before either end may not have arrived on Telegraf's page; those in the middle have."""
    found = added(*moments, begin=begin)
    there, here = (moments[-1][side] - moments[begin][side] for side in (1, 2))
    assert (found.status, found.there, found.here, found.increase) == (status, there, here, True)


COINS = "bitcoin_utxo_cache_add_total "
SATOSHI = "bitcoin_utxo_cache_add_value_total "


def coins(there: tuple[int, int], here: tuple[int, int]) -> list[str]:
    """What becomes of coins and their value, each as counted there and here over a long window."""
    old = f"{COINS}{there[0]}\n{SATOSHI}{there[1]}"
    new = f"{COINS}{here[0]}\n{SATOSHI}{here[1]}"
    seen = record(f"{COINS}0\n{SATOSHI}0", f"{COINS}0\n{SATOSHI}0", old, new)
    return [each.verdict.status for each in compare(IPC_EXPORTER_RUST, seen)]


def test_value_may_differ_as_the_coins_do() -> None:
    """A sum of satoshi has the slack that the number of coins has used, in proportion; none where that differs."""
    assert coins((1000, 5_000_000), (990, 4_955_000)) == ["equal", "equal"]
    assert coins((1000, 5_000_000), (1000, 4_955_000)) == ["equal", "differs"]
    assert coins((1000, 5_000_000), (990, 4_000_000)) == ["equal", "differs"]
    assert coins((1000, 5_000_000), (500, 2_500_000)) == ["differs", "differs"]


def test_counter_that_appears_within_the_window() -> None:
    """A series that comes with its first event began at 0."""
    old, new = 'bitcoind_mempool_removed_total{reason="expiry"} ', "bitcoin_mempool_tx_removed_by_reason_total"
    seen = record("", f'{new}{{reason="expiry"}} 0', old + "40", f'{new}{{reason="expiry"}} 40')
    assert verdict(USDT_EXPORTER, seen) == Verdict("equal", 40, 40, increase=True)


RESET = "the counter was reset {} during the window; run it again"


@pytest.mark.parametrize(
    ("moments", "side"),
    [
        ([(0, 5, 5), (1000, 2, 9)], "there"),
        ([(0, 5, 5), (1000, 9, 2)], "here"),
        ([(0, 5, 5), (1000, 2, 2)], "there and here"),
        ([(0, 500, 5), (50, 3, 100), (100, 900, 405)], "there"),  # it rose again past its begin
    ],
)
def test_reset_within_the_window(moments: list[tuple[float, int, int]], side: str) -> None:
    """A restart within the window is reported as undecided, not as a difference."""
    found = added(*moments)
    assert (found.status, found.remark) == ("undecided", RESET.format(side))


def test_total_of_the_node_that_is_reset() -> None:
    """A node that restarts within the window resets its own totals: undecided, not a difference."""
    old, new = "bitcoind_net_bytes_recv_total ", "bitcoin_bytes_recv_total "
    seen = record(old + "900", new + "900", old + "3", new + "900")
    assert verdict(RPC_EXPORTER, seen).remark == RESET.format("there")


def test_polled_counter_takes_a_long_window() -> None:
    """A counter that is made from polls is not judged by a window between two of them."""
    old = 'bitcoind_p2p_bytes_total{direction="inbound",msg_type="tx"} '
    new = 'bitcoin_p2p_bytes_recv_total{message="tx"} '
    found = verdict(USDT_EXPORTER, record(old + "1", new + "1", old + "9999", new + "1", seconds=20))
    assert found.status == "undecided"
    assert found.remark == "the page here may lag by up to 62 s; use --window 248 or more"


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
