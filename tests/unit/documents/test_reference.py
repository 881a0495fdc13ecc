"""The generated parts of the documents: they say what the catalogue, the dialects and the mapping say."""

import re
from pathlib import Path

import pytest
from reference import (
    MIGRATION,
    all_metrics,
    cost_table,
    delay_table,
    execd_block,
    group_table,
    method_list,
    migration_table,
    module_table,
    with_part,
)

from telegraf_bitcoin_ipc.cli import main
from telegraf_bitcoin_ipc.collect.dialect import Followed, Origin, Polled, Pushed
from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, GROUPS
from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.ipc.dialects import STOCK, STOCK_30, STOCK_31, STOCK_CHAIN, TRACING

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "telegraf_bitcoin_ipc"

COSTS = {
    "core": (
        "10 per poll (`Chain.getHeight`, `Chain.isInitialBlockDownload`, `Node.getHeaderTip`, "
        "`Node.getVerificationProgress`, `Node.getMempoolSize`, `Node.getMempoolDynamicUsage`, "
        "`Node.getMempoolMaxUsage`, `Node.getNodeCount`, `Node.getTotalBytesRecv`, `Node.getTotalBytesSent`)",
        "5 per poll (`getblockchaininfo`, `Mining.isInitialBlockDownload`, `getmempoolinfo`, `getnetworkinfo`, "
        "`getnettotals`); 1 per new block (`getblockheader`)",
    ),
    "mempool": ("1 per poll (`getmempoolinfo`)", "no additional calls"),
    "chain": (
        "4 per poll (`getblockchaininfo`, `uptime`, `getnetworkhashps`, `getindexinfo`); "
        "1 per new block (`getchaintips`)",
        "3 per poll (`uptime`, `getnetworkhashps`, `getindexinfo`); 1 per new block (`getchaintips`)",
    ),
    "network": ("1 per poll (`getnetworkinfo`)", "no additional calls"),
    "peers": ("2 per poll (`getpeerinfo`, `listbanned`)",) * 2,
    "fees": ("3 per poll (`estimatesmartfee`)",) * 2,
    "blocks": ("1 per new block (`getblockstats`)",) * 2,
}
"""What each group costs a node with the Chain and Node interfaces, and a stock node: a promise to operators."""


def cells(row: str) -> list[str]:
    """Return the cells of a table's row."""
    return [cell.strip() for cell in row.split("|")[1:-1]]


def tables(document: str) -> dict[str, list[list[str]]]:
    """Return the cells of each group's table, by group."""
    sections = re.split(r"^## (\w+) .*$", document, flags=re.MULTILINE)[1:]
    return {
        group: [cells(row) for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
        for group, text in zip(sections[::2], sections[1::2], strict=True)
    }


def shown(origin: Origin) -> str:
    """Return how a table tells where a value comes from."""
    match origin:
        case Polled(call):
            return f"`{call.name}`"
        case Pushed(Subscription.CHAIN, method):
            return f"`ChainNotifications.{method}`"
        case Pushed(Subscription.UTXO_CACHE, method):
            return f"`UtxoCacheTrace.{method}`"
        case Followed():
            return f"`{origin.value}`"
    return ""


def test_the_command_prints_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    """`metrics` prints the tables that METRICS.md has."""
    assert main(["metrics"]) == 0
    assert capsys.readouterr().out == all_metrics()


def test_every_metric_is_in_it() -> None:
    """Each metric has one row in its group's table: its type, its tags, its source by dialect, its help."""
    found = tables(all_metrics())
    assert list(found) == list(GROUPS)
    origins = ["tracing, chain", "stock-chain", "stock", "stock-31, stock-30"]
    for group, (head, line, *rows) in found.items():
        of_node = [] if group == "plugin" else origins
        assert head == ["metric", "type", "tags", *of_node, "meaning"]
        assert line == ["---"] * len(head)
        metrics = [metric for metric in CATALOGUE if metric.group == group]
        for metric, (name, kind, tags, *sources, meaning) in zip(metrics, rows, strict=True):
            assert (name, kind, meaning) == (f"`bitcoin_{metric.name}`", metric.type, metric.help)
            assert re.findall(r"`(\w+)`", tags) == list(metric.tags)
            assert tags.partition(": ")[2] == ", ".join(metric.values)
            if of_node:
                dialects = (TRACING, STOCK_CHAIN, STOCK, STOCK_31)
                assert sources == [shown(dialect.origins[metric.name]) for dialect in dialects]


def test_dialects_that_share_a_column_are_alike() -> None:
    """What a column says of Bitcoin Core 31 holds for 30."""
    assert STOCK_31.origins == STOCK_30.origins


def test_it_says_which_groups_are_on() -> None:
    """The reader learns which groups there are without being asked for."""
    assert re.findall(r"^## (.*)$", all_metrics(), re.MULTILINE) == [
        "core (always on)",
        "plugin (always on)",
        "mempool (on by default)",
        "chain (on by default)",
        "network (on by default)",
        "peers (off by default)",
        "fees (on by default)",
        "blocks (on by default)",
    ]


def test_what_each_group_costs() -> None:
    """A group costs the node the calls that its row names, and a call that another row names is made once."""
    _, _, *rows = map(cells, cost_table().splitlines())
    assert {name: (full, stock) for name, full, stock in rows} == COSTS


def test_every_group_is_listed() -> None:
    """The README's table has every group, with whether it is on."""
    _, _, *rows = map(cells, group_table().splitlines())
    assert [(name.strip("`"), contents) for name, _, contents in rows] == list(GROUPS.items())
    assert [name for name, state, _ in rows if state == "off by default"] == ["`peers`"]


def test_the_block_for_telegraf_is_whole() -> None:
    """The block in the README has every setting that execd needs, and none of the output's."""
    settings = re.findall(r"^  (\w+) = ", execd_block(), re.MULTILINE)
    assert settings == ["command", "signal", "restart_delay", "data_format"]


def test_every_module_has_its_one_responsibility() -> None:
    """The table of modules has a row for each module, with the first words of its docstring."""
    rows = dict(re.findall(r"^\| `(\S+\.py)` \| (.*) \|$", module_table(), re.MULTILINE))
    paths = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    assert set(rows) == paths
    assert [module for module, text in rows.items() if not text] == []


@pytest.mark.parametrize("text", ["no markers", "<!-- a -->\n<!-- /a -->\n<!-- a -->\n<!-- /a -->"])
def test_a_page_without_its_markers_is_not_written(text: str) -> None:
    """A page that has lost its markers, or has them twice, is left alone."""
    with pytest.raises(ValueError, match="not once"):
        with_part(text, "a", "part")


def test_method_list() -> None:
    """The methods that an operator has to allow (-rpcwhitelist) are named, and no other."""
    assert method_list() == (
        "`estimatesmartfee`, `getblockchaininfo`, `getblockheader`, `getblockstats`, `getchaintips`, "
        "`getindexinfo`, `getmempoolinfo`, `getnettotals`, `getnetworkhashps`, `getnetworkinfo`, `getpeerinfo`, "
        "`listbanned`, `uptime`"
    )


def test_tables_for_moving() -> None:
    """Who moves reads for every metric what it is here, with its tags and its unit, or why it is nothing."""
    assert MIGRATION == ("rpc_exporter", "usdt_exporter", "bitcoin-prometheus-exporter")
    rows = {tuple(cells(row)) for name in MIGRATION for row in migration_table(name).splitlines()}
    assert {
        ("`bitcoind_blockchain_blocks`", "`bitcoin_chain_height`", ""),
        (
            "`bitcoind_mempool_minfee_per_kb`",
            "`bitcoin_mempool_min_fee_sat_per_vb`",
            "times 100,000; bitcoin per 1,000 virtual bytes there",
        ),
        (
            '`bitcoind_mempool_removed_total{reason="expiry"}`',
            '`bitcoin_mempool_tx_removed_by_reason_total{reason="expiry"}`',
            "",
        ),
        (
            "`bitcoind_mempool_rejected_total`",
            "not offered",
            "a node does not report transactions that it refuses",
        ),
        (
            "`bitcoin_est_smart_fee_{target}`",
            "`bitcoin_fee_estimate_sat_per_vb` by `target`",
            "times 100,000; bitcoin per 1,000 virtual bytes there; --fee-targets chooses the targets here",
        ),
    } <= rows


def test_each_alert_has_its_delay() -> None:
    """Who reads how soon the alerts fire finds each, measured by every way to Prometheus, or said not to be."""
    alerts = set(re.findall(r"- alert: (\w+)", (ROOT / "prometheus" / "alerts.yml").read_text()))
    text, _, others = delay_table().partition("Not measured: ")
    measured = re.findall(r"^\| `(\w+)` \| [^|]+ \| \d+ s \| \d+ s \| \d+ s \|$", text, re.MULTILINE)
    not_measured = set(re.findall(r"`(\w+)`", others))
    assert not_measured | set(measured) == alerts
    assert not not_measured & set(measured)
