"""Dashboards of other exporters: which panel here replaces each of their panels, or why none does.

Their panels' titles and metrics were read from their files; `parity`'s mapping has the counterparts here.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from dashboards.panels import Panel
from dashboards.queries import metrics_in
from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT, METRICS
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS
from telegraf_bitcoin_ipc.parity.row import Row


class OldDashboard(NamedTuple):
    """Another exporter's dashboard: where it is, and which exporter's metrics it shows.

    `panels` are its panels by title, with the metrics that each shows, by their names in the mapping. `also` are
    panels here that show the same as one there from other metrics than the mapping's, or come nearest to it.
    """

    name: str
    exporter: str
    panels: Mapping[str, str]
    also: Mapping[str, Sequence[str]] = {}


IPC_DASH: Final = OldDashboard(
    "Bitcoin Core (IPC), of bitcoin-dev-tools/ipc-dash",
    "ipc-exporter-rust",
    {
        "Block Height": "bitcoin_block_height",
        "Chain Height": "bitcoin_chain_height",
        "Sync Progress": "bitcoin_verification_progress",
        "IBD": "bitcoin_ibd",
        "Peers": "bitcoin_peers",
        "Mempool TXs": "bitcoin_mempool_size",
        "Mempool Memory": "bitcoin_mempool_bytes bitcoin_mempool_max_bytes",
        "Blocks Connected": "bitcoin_blocks_connected_total",
        "Blocks Disconnected": "bitcoin_blocks_disconnected_total",
        "TX Rate": "bitcoin_mempool_tx_added_total bitcoin_mempool_tx_removed_total",
        "Mempool Transactions": "bitcoin_mempool_size",
        "Peer Count": "bitcoin_peers",
        "Bandwidth": "bitcoin_bytes_recv_total bitcoin_bytes_sent_total",
        "Cumulative Traffic": "bitcoin_bytes_recv_total bitcoin_bytes_sent_total",
        "Tip Updates": "bitcoin_tip_updates_total",
        "Chain State Flushes": "bitcoin_chain_state_flushes_total",
    },
)

RPC: Final = OldDashboard(
    "Bitcoin Core RPC, of bitcoin-dev-tools/usdt-dash",
    "rpc_exporter",
    {
        "Sync Progress": "bitcoind_blockchain_verification_progress",
        "Block Height": "bitcoind_blockchain_blocks bitcoind_blockchain_headers",
        "Difficulty": "bitcoind_blockchain_difficulty",
        "Chain Size on Disk": "bitcoind_blockchain_size_bytes",
        "Mempool Transactions": "bitcoind_mempool_size",
        "Mempool Memory": "bitcoind_mempool_usage_bytes bitcoind_mempool_max_bytes",
        "Mempool Min Fee": "bitcoind_mempool_minfee_per_kb",
        "Connections": "bitcoind_net_connections_in bitcoind_net_connections_out",
        "Bandwidth": "bitcoind_net_bytes_recv_total bitcoind_net_bytes_sent_total",
    },
)

USDT: Final = OldDashboard(
    "Bitcoin Core USDT Tracing, of bitcoin-dev-tools/usdt-dash",
    "usdt_exporter",
    {
        "Block Height": "bitcoind_block_height",
        "Message Rate by Type (top 10)": "bitcoind_p2p_messages_total",
        "Bandwidth": "bitcoind_p2p_bytes_total",
        "Connection Count": "bitcoind_connections_inbound bitcoind_connections_outbound",
        "Connections Opened by Network": "bitcoind_connections_opened_total",
        "Block Connection Time": "bitcoind_block_connected_seconds",
        "Transactions per Block": "bitcoind_block_transactions",
        "Sigops per Block": "bitcoind_block_sigops",
        "Inputs per Block": "bitcoind_block_inputs",
        "Flush Duration": "bitcoind_utxocache_flush_duration_seconds_{part}",
        "Cache Size (coins)": "bitcoind_utxocache_flush_coins",
        "Cache Memory Usage": "bitcoind_utxocache_flush_memory_bytes",
        "Mempool TX Rate": (
            "bitcoind_mempool_added_total bitcoind_mempool_removed_total "
            "bitcoind_mempool_replaced_total bitcoind_mempool_rejected_total"
        ),
        "Mempool Fee Rate (avg sat/vB)": (
            "bitcoind_mempool_added_fees_satoshis_total bitcoind_mempool_added_vbytes_total"
        ),
        "Removal Reasons": "bitcoind_mempool_removed_total",
    },
    also={
        "Message Rate by Type (top 10)": ["Bytes received by message", "Bytes sent by message"],
        "Connections Opened by Network": ["Peers by network"],
        "Flush Duration": ["Flushes per hour"],
        "Mempool Fee Rate (avg sat/vB)": ["Average feerate: mempool and last block"],
    },
)

JVSTEIN: Final = OldDashboard(
    "Bitcoin, of jvstein/bitcoin-prometheus-exporter",
    "bitcoin-prometheus-exporter",
    {
        "Block Creation Rate": "bitcoin_blocks",
        "Difficulty": "bitcoin_difficulty",
        "Network Hash Rate": "bitcoin_hashps bitcoin_hashps_{blocks}",
        "Block value": "bitcoin_latest_block_value",
        "Chain Branches": "bitcoin_num_chaintips",
        "Network traffic": "bitcoin_total_bytes_sent bitcoin_total_bytes_recv",
        "Estimated Fee": "bitcoin_est_smart_fee_{target}",
        "Versions": "bitcoin_protocol_version bitcoin_server_version",
        "Peers": "bitcoin_banned_until bitcoin_peers",
    },
    also={
        "Block Creation Rate": ["Blocks per hour"],
        "Versions": ["Version"],
        "Peers": ["Banned"],
    },
)

OLD_DASHBOARDS: Final = (IPC_DASH, RPC, USDT, JVSTEIN)

_HEAD: Final = """\
# Which panel replaces which?

This lists the panels of other exporters' dashboards with their replacements in the dashboard here. The last column
has the metrics that IPC does not offer, with the reason. Made by `make dashboards`.

The dashboard Node Exporter of bitcoin-dev-tools/usdt-dash shows the machine, not the node: keep it as it is.
"""


def markdown(panels: Sequence[Panel]) -> str:
    """Return what replaces each panel of those dashboards, as Markdown."""
    shown: dict[str, list[str]] = {name: [] for name in METRICS}
    for panel in (each.build() for each in panels):
        for metric in metrics_in(*(target.expr for target in panel.targets or [])):  # type: ignore[attr-defined]
            shown[metric.name].append(str(panel.title))
    return "\n".join([_HEAD, *(_section(each, shown) for each in OLD_DASHBOARDS)])


def rows_of(old: OldDashboard, metric: str) -> list[Row]:
    """Return the mapping's rows for a metric of another exporter; raises KeyError if there is none."""
    if metric == f"{MEASUREMENT}_chain_height" and old is IPC_DASH:  # newer than the exporter that was mapped
        return [Row(metric, "chain_height")]
    if found := [row for row in EXPORTERS[old.exporter].rows if row.old == metric]:
        return found
    raise KeyError(metric)


def _section(old: OldDashboard, shown: dict[str, list[str]]) -> str:
    rows = ["| panel there | panel here | not offered |", "| --- | --- | --- |"]
    for panel, metrics in old.panels.items():
        mapped = [row for metric in metrics.split() for row in rows_of(old, metric)]
        here = [title for row in mapped if row.new for title in shown[row.new]] + [*old.also.get(panel, ())]
        reasons = [f"`{row.old}`: {row.note}" for row in mapped if not row.new]
        rows.append(f"| {panel} | {'; '.join(dict.fromkeys(here))} | {'; '.join(reasons)} |")
    return "\n".join([f"## {old.name}", "", *rows, ""])
