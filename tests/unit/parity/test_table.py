"""What `parity` prints: the table, and the structure for JSON."""

import pytest
from support.looks import ABOUT, labels, record

from telegraf_bitcoin_ipc.parity.compare import compare, not_mapped, only_here
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS, RPC_EXPORTER, USDT_EXPORTER
from telegraf_bitcoin_ipc.parity.row import Exporter
from telegraf_bitcoin_ipc.parity.table import WIDTH, document, table

EXAMPLE = record(
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
        "OLD_URL is rpc_exporter. Values are in this plugin's units;",
        "+ is the increase over 1000 s.",
        "",
        "status                 there             here  metric",
        "equal                    110              110  bitcoind_blockchain_blocks",
        "missing              4.6e-10                   bitcoind_blockchain_difficulty",
        "            bitcoin_difficulty: the group chain is off (--metrics) or has no values yet",
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
    seen = record("", ABOUT, old, ABOUT + "".join(f"bitcoin_{row.new} 1\n" for row in exporter.rows if row.new))
    assert max(map(len, table(exporter, seen, compare(exporter, seen)).splitlines())) <= WIDTH


def test_counters_that_stand_still_are_told() -> None:
    """Two counters that did not move agree, but prove little: the summary says how many those are."""
    seen = record("bitcoind_mempool_added_total 5", "bitcoin_mempool_tx_added_total 9")
    text = table(USDT_EXPORTER, seen, compare(USDT_EXPORTER, seen))
    assert "equal                     +0               +0  bitcoind_mempool_added_total" in text
    assert "Counters that did not change on either side: 1 (a longer window may show more)" in text


def test_document() -> None:
    """The same as a structure, for a program."""
    found = document(RPC_EXPORTER, EXAMPLE, compare(RPC_EXPORTER, EXAMPLE))
    assert found["from"] == "rpc_exporter"
    assert found["not_mapped"] == not_mapped(RPC_EXPORTER, EXAMPLE.last.old) == ["bitcoind_something_new"]
    assert found["only_here"] == only_here(RPC_EXPORTER, EXAMPLE.last.new) == 4
    assert found["findings"][0] == {
        "old": "bitcoind_blockchain_blocks",
        "new": "bitcoin_chain_height",
        "status": "equal",
        "there": 110,
        "here": 110,
        "increase": False,
        "remark": "",
    }
