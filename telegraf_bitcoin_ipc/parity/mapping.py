"""The mapping: for each metric of another exporter its counterpart, or the reason why there is none.

The migration tables and the command `parity` are made from it. Source of the facts: each exporter's code (names,
types, units, polled methods) and Bitcoin Core's.
"""

from typing import Any, Final

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT
from telegraf_bitcoin_ipc.collect.tags import REMOVAL_REASONS
from telegraf_bitcoin_ipc.parity.row import POLL_INTERVAL, PUSHED_LAG, Exporter, Row

SAT_PER_VB: Final = 100_000.0
"""Satoshi per virtual byte in a bitcoin per 1,000 virtual bytes."""

SATOSHI: Final = 100_000_000.0
"""Satoshi in a bitcoin."""


def _same(name: str, **compared: Any) -> Row:
    """Return the row of a metric that has the same name in the plugin."""
    return Row(f"{MEASUREMENT}_{name}", name, **compared)


def _peers_by(direction: str, old: str, note: str = "", **compared: Any) -> Row:
    return Row(old, "peers_by_direction", note, new_where={"direction": direction}, slack=_PEERS, **compared)


def _per_kvb(old: str, new: str, note: str = "", **compared: Any) -> Row:
    return Row(old, new, _PER_KVB + note, factor=SAT_PER_VB, tolerance=_MOVES, **compared)


def _p2p_bytes(direction: str, new: str) -> Row:
    return Row(
        "bitcoind_p2p_bytes_total", new, _P2P_NOTE, where={"direction": direction},
        plus=("bitcoind_p2p_messages_total", _FRAMING), tolerance=_MOVES, polled=True,
    )  # fmt: skip


def _none(old: str, why: str) -> Row:
    return Row(old, note=why)


_TX: Final = 2.0  # transactions that only one page has counted yet
_COINS: Final = 20.0
_MOVES: Final = 0.1  # of a gauge that changes all the time and is polled once a minute
_TOTAL: Final = 0.05  # of a total since the node's start
_PEERS: Final = 2.0
_NEXT_BLOCK: Final = 1.0
_PROGRESS: Final = 0.001
_UPTIME: Final = POLL_INTERVAL + PUSHED_LAG

_PER_KVB: Final = "bitcoin per 1,000 virtual bytes there"
_NO_EVENT: Final = "no IPC interface reports it"

IPC_EXPORTER_RUST: Final = Exporter(
    "ipc-exporter-rust",
    mark="bitcoin_blocks_connected_total",
    poll_interval=60,
    rows=(
        _same("blocks_connected_total"),
        _same("blocks_disconnected_total"),
        _same("mempool_tx_added_total", slack=_TX),
        _same("mempool_tx_removed_total", slack=_TX),
        _same("tip_updates_total"),
        _same("chain_state_flushes_total"),
        Row(
            "bitcoin_block_height", "block_height", "-1 there until a block is connected, absent here",
            slack=_NEXT_BLOCK, nothing=-1, event=True,
        ),
        _same("header_height", slack=_NEXT_BLOCK, nothing=-1),
        _same("ibd"),
        _same("verification_progress", slack=_PROGRESS),
        _same("mempool_size", tolerance=_MOVES),
        _same("mempool_bytes", tolerance=_MOVES),
        _same("mempool_max_bytes"),
        _same("peers", slack=_PEERS),
        _same("bytes_recv_total", tolerance=_TOTAL),
        _same("bytes_sent_total", tolerance=_TOTAL),
        _same("utxo_cache_add_total", slack=_COINS),
        _same("utxo_cache_spend_total", slack=_COINS),
        _same("utxo_cache_uncache_total", slack=_COINS),
        _same("utxo_cache_add_value_total", counted="utxo_cache_add_total"),
        _same("utxo_cache_spend_value_total", counted="utxo_cache_spend_total"),
        _same("utxo_cache_uncache_value_total", counted="utxo_cache_uncache_total"),
    ),
)  # fmt: skip

RPC_EXPORTER: Final = Exporter(
    "rpc_exporter",
    mark="bitcoind_blockchain_blocks",
    poll_interval=15,
    rows=(
        Row("bitcoind_blockchain_blocks", "chain_height", slack=_NEXT_BLOCK),
        Row("bitcoind_blockchain_headers", "header_height", slack=_NEXT_BLOCK),
        Row("bitcoind_blockchain_verification_progress", "verification_progress", slack=_PROGRESS),
        Row("bitcoind_blockchain_difficulty", "difficulty", tolerance=1e-9),
        Row("bitcoind_blockchain_size_bytes", "chain_size_on_disk_bytes", tolerance=0.01),
        Row("bitcoind_mempool_size", "mempool_size", tolerance=_MOVES),
        Row("bitcoind_mempool_bytes", "mempool_vbytes", "virtual bytes there as well", tolerance=_MOVES),
        Row("bitcoind_mempool_usage_bytes", "mempool_bytes", tolerance=_MOVES),
        Row("bitcoind_mempool_max_bytes", "mempool_max_bytes"),
        _per_kvb("bitcoind_mempool_minfee_per_kb", "mempool_min_fee_sat_per_vb"),
        Row("bitcoind_net_bytes_recv_total", "bytes_recv_total", "a gauge by type there", tolerance=_TOTAL),
        Row("bitcoind_net_bytes_sent_total", "bytes_sent_total", "a gauge by type there", tolerance=_TOTAL),
        _peers_by("inbound", "bitcoind_net_connections_in"),
        _peers_by("outbound", "bitcoind_net_connections_out"),
    ),
)  # fmt: skip

_FRAMING: Final = 24.0
"""Bytes of a message's header in the v1 transport; v2 takes 21 to 33."""

_P2P_NOTE: Final = (
    f"payloads only there ({_FRAMING:g} bytes per message are added); bytes exchanged with a peer between the "
    "last poll and its disconnection are missing here"
)
_OPENED_NOTE: Final = "updated there only when a connection is opened, here also when one is closed"

USDT_EXPORTER: Final = Exporter(
    "usdt_exporter",
    mark="bitcoind_utxocache_coins_added_total",
    poll_interval=0,  # everything comes from events
    height="bitcoind_block_height",
    rows=(
        Row("bitcoind_mempool_added_total", "mempool_tx_added_total", slack=_TX),
        _none(
            "bitcoind_mempool_added_fees_satoshis_total",
            "the event has no fee (bitcoin_mempool_total_fee_sat has the fees of the whole mempool)",
        ),
        Row(
            "bitcoind_mempool_added_vbytes_total", "mempool_tx_added_vbytes_total",
            "adjusted for signature operations there, as BIP 141 says here",
            tolerance=0.01, slack=1000 * _TX, counted="mempool_tx_added_total",
        ),
        *(
            Row(
                "bitcoind_mempool_removed_total", "mempool_tx_removed_by_reason_total",
                where={"reason": reason}, new_where={"reason": reason}, slack=_TX,
            )
            for reason in REMOVAL_REASONS if reason != "block"
        ),
        Row(
            "bitcoind_mempool_removed_total", "mempool_tx_confirmed_total",
            "only those from the mempool there; all of the block but the coinbase here",
            where={"reason": "block"}, tolerance=0.05, slack=_TX,
        ),
        _none(
            "bitcoind_mempool_replaced_total",
            "no event of its own; the same transactions are in "
            'bitcoin_mempool_tx_removed_by_reason_total{reason="replaced"}',
        ),
        _none("bitcoind_mempool_rejected_total", "a node does not report transactions that it refuses"),
        _none("bitcoind_p2p_messages_total", "the node reports bytes by message, not the number of messages"),
        _p2p_bytes("inbound", "p2p_bytes_recv_total"),
        _p2p_bytes("outbound", "p2p_bytes_sent_total"),
        _peers_by("inbound", "bitcoind_connections_inbound", _OPENED_NOTE, tolerance=_MOVES, nothing=0),
        _peers_by("outbound", "bitcoind_connections_outbound", _OPENED_NOTE, nothing=0),
        _none("bitcoind_connections_opened_total", _NO_EVENT + ": a poll only sees the peers that are connected"),
        _none("bitcoind_connections_closed_total", _NO_EVENT + ": a poll only sees the peers that are connected"),
        _none("bitcoind_connections_evicted_total", _NO_EVENT),
        _none("bitcoind_connections_misbehaving_total", _NO_EVENT),
        Row(
            "bitcoind_block_height", "block_height", "0 there until a block is connected, absent here",
            slack=_NEXT_BLOCK, nothing=0, event=True,
        ),
        _none("bitcoind_block_connected_seconds", "the event does not say how long the block took"),
        Row("bitcoind_block_transactions", "last_block_transactions", of_block=True, nothing=0),
        _none("bitcoind_block_sigops", "neither JSON-RPC nor an event has the signature operations"),
        Row(
            "bitcoind_block_inputs", "last_block_inputs", "includes the coinbase's input there",
            offset=-1, of_block=True, nothing=0,
        ),
        _none(
            "bitcoind_utxocache_flush_duration_seconds_{part}",
            "the event does not say how long the flush took (bitcoin_chain_state_flushes_total counts flushes)",
        ),
        _none("bitcoind_utxocache_flush_coins", "the event does not have the size of the cache"),
        _none("bitcoind_utxocache_flush_memory_bytes", "the event does not have the size of the cache"),
        Row("bitcoind_utxocache_coins_added_total", "utxo_cache_add_total", slack=_COINS),
        Row("bitcoind_utxocache_coins_spent_total", "utxo_cache_spend_total", slack=_COINS),
        Row("bitcoind_utxocache_coins_uncached_total", "utxo_cache_uncache_total", slack=_COINS),
    ),
)  # fmt: skip

_ABOUT_ITSELF: Final = "about the exporter itself"
_BY_ADDRESS: Final = "one series per address there; bitcoin_banned_peers has their number"

BITCOIN_PROMETHEUS_EXPORTER: Final = Exporter(
    "bitcoin-prometheus-exporter",
    mark="bitcoin_blocks",
    poll_interval=5,  # polls when it is scraped, at most this often
    height="bitcoin_latest_block_height",
    rows=(
        Row("bitcoin_blocks", "chain_height", slack=_NEXT_BLOCK),
        _same("difficulty", tolerance=1e-9),
        Row("bitcoin_size_on_disk", "chain_size_on_disk_bytes", tolerance=0.01),
        _same("verification_progress", slack=_PROGRESS),
        _none("bitcoin_txcount", "transactions of the whole chain; not polled (getchaintxstats)"),
        Row("bitcoin_num_chaintips", "chain_tips", "by status here, and polled once after each block", slack=1),
        _same("peers", slack=_PEERS),
        _peers_by("inbound", "bitcoin_conn_in"),
        _peers_by("outbound", "bitcoin_conn_out"),
        Row("bitcoin_uptime", "uptime_seconds", slack=_UPTIME),
        Row(
            "bitcoin_mempool_bytes", "mempool_vbytes",
            "virtual bytes there; here, bitcoin_mempool_bytes is memory (bitcoin_mempool_usage there)",
            tolerance=_MOVES,
        ),
        _same("mempool_size", tolerance=_MOVES),
        Row("bitcoin_mempool_usage", "mempool_bytes", tolerance=_MOVES),
        _per_kvb("bitcoin_mempool_minfee", "mempool_min_fee_sat_per_vb"),
        _same("mempool_unbroadcast", slack=_TX),
        Row("bitcoin_latest_block_height", "chain_height", slack=_NEXT_BLOCK),
        Row("bitcoin_latest_block_txs", "last_block_transactions", of_block=True),
        Row("bitcoin_latest_block_inputs", "last_block_inputs", of_block=True),
        Row("bitcoin_latest_block_outputs", "last_block_outputs", of_block=True),
        Row("bitcoin_latest_block_size", "last_block_size_bytes", of_block=True),
        Row("bitcoin_latest_block_weight", "last_block_weight", of_block=True),
        *(
            Row(
                f"bitcoin_latest_block_{amount}", f"last_block_{amount}_sat", "bitcoin there",
                factor=SATOSHI, tolerance=1e-9, of_block=True,
            )
            for amount in ("value", "fee")
        ),
        Row("bitcoin_total_bytes_recv", "bytes_recv_total", "a gauge by type there", tolerance=_TOTAL),
        Row("bitcoin_total_bytes_sent", "bytes_sent_total", "a gauge by type there", tolerance=_TOTAL),
        Row("bitcoin_hashps", "network_hashrate", "over 120 blocks, as there", tolerance=0.05),
        _none("bitcoin_hashps_{blocks}", "polled over 120 blocks only (bitcoin_network_hashrate)"),
        _per_kvb(
            "bitcoin_est_smart_fee_{target}", "fee_estimate_sat_per_vb",
            "; --fee-targets chooses the targets here", by="target",
        ),
        _none("bitcoin_ban_created", _BY_ADDRESS),
        _none("bitcoin_banned_until", _BY_ADDRESS),
        _none(
            "bitcoin_warnings_total",
            "counts polls with a warning there; bitcoin_node_warnings has the number of warnings",
        ),
        _none("bitcoin_server_version", "not a number here: the tag `version` of bitcoin_node_info"),
        _none("bitcoin_protocol_version", "not polled; follows from the node's version (bitcoin_node_info)"),
        _none("bitcoin_meminfo_{what}", "the node's locked memory; not polled (getmemoryinfo)"),
        _none("bitcoin_rpc_active", "JSON-RPC calls in progress; not polled (getrpcinfo)"),
        _none("bitcoin_exporter_errors_total", _ABOUT_ITSELF),
        _none("bitcoin_exporter_process_time_total", _ABOUT_ITSELF),
    ),
)  # fmt: skip

EXPORTERS: Final = {
    exporter.name: exporter
    for exporter in (IPC_EXPORTER_RUST, RPC_EXPORTER, USDT_EXPORTER, BITCOIN_PROMETHEUS_EXPORTER)
}
"""Every exporter of the mapping, by the name that `--from` takes."""
