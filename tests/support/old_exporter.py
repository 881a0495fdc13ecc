"""What people run today, in small: names and units of other exporters, from what a node tells; in one process.

It asks the node itself, with nothing of the plugin's but the schema, over a connection of its own.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import capnp
from bitcoin.core import CBlock, CTransaction
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from support.processes import OURS, Process, module_command

from telegraf_bitcoin_ipc.ipc import schema

INTERFACES = ("node", "chain", "tracing")
REASONS = ("expiry", "sizelimit", "reorg", "block", "conflict", "replaced")


class OldExporters(Process):
    """All exporters that the mapping has, each with its own page; they poll once, and when they are told to."""

    def __init__(self, socket: Path, directory: Path) -> None:
        super().__init__(module_command("old_exporter", socket), directory, name="old-exporters", environment=OURS)

    @property
    def addresses(self) -> dict[str, str]:
        """HOST:PORT of each, as soon as they have polled the node once and are subscribed."""
        self.wait_until(lambda: "polled" in self.stdout, "they polled")
        addresses: dict[str, str] = json.loads(self.stdout.partition("\n")[0])
        return addresses

    def poll(self) -> None:
        """Have them poll now, and wait until that is on their pages."""
        done = self.stdout.count("polled")
        self.send(signal.SIGUSR1)
        self.wait_until(lambda: self.stdout.count("polled") > done, "they polled")


class Asked(NamedTuple):
    """A JSON-RPC method, the field of its result (none: all of it; a list counts), and what makes the old unit."""

    method: str
    field: str = ""
    params: tuple[Any, ...] = ()
    divisor: int = 1


class Called(NamedTuple):
    """A method of Chain or Node over IPC."""

    interface: str
    method: str
    arguments: Mapping[str, int] = {}


def _of_tip(field: str, divisor: int = 1) -> Asked:
    return Asked("getblockstats", field, divisor=divisor)


COIN = 100_000_000

GAUGES: dict[str, dict[str, Asked | Called]] = {
    "rpc_exporter": {
        "bitcoind_blockchain_blocks": Asked("getblockchaininfo", "blocks"),
        "bitcoind_blockchain_headers": Asked("getblockchaininfo", "headers"),
        "bitcoind_blockchain_verification_progress": Asked("getblockchaininfo", "verificationprogress"),
        "bitcoind_blockchain_difficulty": Asked("getblockchaininfo", "difficulty"),
        "bitcoind_blockchain_size_bytes": Asked("getblockchaininfo", "size_on_disk"),
        "bitcoind_mempool_size": Asked("getmempoolinfo", "size"),
        "bitcoind_mempool_bytes": Asked("getmempoolinfo", "bytes"),
        "bitcoind_mempool_usage_bytes": Asked("getmempoolinfo", "usage"),
        "bitcoind_mempool_max_bytes": Asked("getmempoolinfo", "maxmempool"),
        "bitcoind_mempool_minfee_per_kb": Asked("getmempoolinfo", "mempoolminfee"),
        "bitcoind_net_bytes_recv_total": Asked("getnettotals", "totalbytesrecv"),
        "bitcoind_net_bytes_sent_total": Asked("getnettotals", "totalbytessent"),
        "bitcoind_net_connections_in": Asked("getnetworkinfo", "connections_in"),
        "bitcoind_net_connections_out": Asked("getnetworkinfo", "connections_out"),
    },
    "bitcoin-prometheus-exporter": {
        "bitcoin_blocks": Asked("getblockchaininfo", "blocks"),
        "bitcoin_difficulty": Asked("getblockchaininfo", "difficulty"),
        "bitcoin_size_on_disk": Asked("getblockchaininfo", "size_on_disk"),
        "bitcoin_verification_progress": Asked("getblockchaininfo", "verificationprogress"),
        "bitcoin_num_chaintips": Asked("getchaintips"),
        "bitcoin_peers": Asked("getnetworkinfo", "connections"),
        "bitcoin_conn_in": Asked("getnetworkinfo", "connections_in"),
        "bitcoin_conn_out": Asked("getnetworkinfo", "connections_out"),
        "bitcoin_uptime": Asked("uptime"),
        "bitcoin_mempool_bytes": Asked("getmempoolinfo", "bytes"),
        "bitcoin_mempool_size": Asked("getmempoolinfo", "size"),
        "bitcoin_mempool_usage": Asked("getmempoolinfo", "usage"),
        "bitcoin_mempool_minfee": Asked("getmempoolinfo", "mempoolminfee"),
        "bitcoin_mempool_unbroadcast": Asked("getmempoolinfo", "unbroadcastcount"),
        "bitcoin_latest_block_height": Asked("getblockchaininfo", "blocks"),
        "bitcoin_latest_block_txs": _of_tip("txs"),
        "bitcoin_latest_block_inputs": _of_tip("ins"),
        "bitcoin_latest_block_outputs": _of_tip("outs"),
        "bitcoin_latest_block_size": _of_tip("total_size"),
        "bitcoin_latest_block_weight": _of_tip("total_weight"),
        "bitcoin_latest_block_value": _of_tip("total_out", COIN),
        "bitcoin_latest_block_fee": _of_tip("totalfee", COIN),
        "bitcoin_total_bytes_recv": Asked("getnettotals", "totalbytesrecv"),
        "bitcoin_total_bytes_sent": Asked("getnettotals", "totalbytessent"),
        "bitcoin_hashps": Asked("getnetworkhashps"),
        "bitcoin_est_smart_fee_6": Asked("estimatesmartfee", "feerate", (6,)),
    },
    "usdt_exporter": {
        "bitcoind_connections_inbound": Asked("getnetworkinfo", "connections_in"),
        "bitcoind_connections_outbound": Asked("getnetworkinfo", "connections_out"),
    },
    "ipc-exporter-rust": {
        "bitcoin_header_height": Called("node", "getHeaderTip"),
        "bitcoin_ibd": Called("chain", "isInitialBlockDownload"),
        "bitcoin_verification_progress": Called("node", "getVerificationProgress"),
        "bitcoin_mempool_size": Called("node", "getMempoolSize"),
        "bitcoin_mempool_bytes": Called("node", "getMempoolDynamicUsage"),
        "bitcoin_mempool_max_bytes": Called("node", "getMempoolMaxUsage"),
        "bitcoin_peers": Called("node", "getNodeCount", {"flags": 3}),
        "bitcoin_bytes_recv_total": Called("node", "getTotalBytesRecv"),
        "bitcoin_bytes_sent_total": Called("node", "getTotalBytesSent"),
    },
}
"""What is polled."""

EVENTS = {
    "transactionAddedToMempool": ("bitcoin_mempool_tx_added_total", "bitcoind_mempool_added_total"),
    "transactionRemovedFromMempool": ("bitcoin_mempool_tx_removed_total",),
    "blockConnected": ("bitcoin_blocks_connected_total",),
    "blockDisconnected": ("bitcoin_blocks_disconnected_total",),
    "updatedBlockTip": ("bitcoin_tip_updates_total",),
    "chainStateFlushed": ("bitcoin_chain_state_flushes_total",),
    "add": ("bitcoin_utxo_cache_add_total", "bitcoind_utxocache_coins_added_total"),
    "spend": ("bitcoin_utxo_cache_spend_total", "bitcoind_utxocache_coins_spent_total"),
    "uncache": ("bitcoin_utxo_cache_uncache_total", "bitcoind_utxocache_coins_uncached_total"),
}
"""What each event adds 1 to, under the names of each exporter."""

Count = Callable[..., None]
"""Adds to a metric, or (`to`) sets it."""


def happened(count: Count, event: str, arguments: Mapping[str, Any]) -> None:
    """Count one of the node's events, and what it says."""
    count(*EVENTS[event])
    if event == "transactionAddedToMempool":
        vbytes = _vbytes(CTransaction.deserialize(bytes(arguments["tx"])))
        count("bitcoind_mempool_added_vbytes_total", by=vbytes)
    elif event == "transactionRemovedFromMempool":
        count("bitcoind_mempool_removed_total", reason=REASONS[arguments["reason"]])
    elif event == "blockConnected":
        block = arguments["block"]
        transactions = CBlock.deserialize(bytes(block.data)).vtx
        count("bitcoin_block_height", "bitcoind_block_height", to=block.height)
        count("bitcoind_mempool_removed_total", by=len(transactions) - 1, reason="block")
        count("bitcoind_block_transactions", to=len(transactions))
        count("bitcoind_block_inputs", to=sum(len(each.vin) for each in transactions))
    elif "utxoInfo" in arguments:
        count(f"bitcoin_utxo_cache_{event}_value_total", by=arguments["utxoInfo"].value)


COUNTED = {
    "bitcoind_mempool_added_vbytes_total", "bitcoind_mempool_removed_total", "bitcoind_mempool_rejected_total",
    *(f"bitcoin_utxo_cache_{name}_value_total" for name in ("add", "spend", "uncache")),
    *(name for names in EVENTS.values() for name in names),
}  # fmt: skip

COUNTERS = {
    "usdt_exporter": [name for name in COUNTED if name.startswith("bitcoind_")],
    "ipc-exporter-rust": [name for name in COUNTED if name.startswith("bitcoin_")],
}
"""What is counted from events."""

LABELS = {"bitcoind_mempool_removed_total": ["reason"]}

SET_BY_EVENTS: dict[str, dict[str, int]] = {
    "usdt_exporter": {"bitcoind_block_height": 0, "bitcoind_block_transactions": 0, "bitcoind_block_inputs": 0},
    "ipc-exporter-rust": {"bitcoin_block_height": -1},
}
"""What the last event says, and what is shown before there is one."""


def _vbytes(transaction: Any) -> int:
    stripped = CTransaction(transaction.vin, transaction.vout, transaction.nLockTime, transaction.nVersion)
    return (3 * len(stripped.serialize()) + len(transaction.serialize()) + 3) // 4


class Metrics:
    """The metrics of one exporter, on a page of their own."""

    def __init__(self, exporter: str) -> None:
        self.registry = CollectorRegistry()
        self._polled = GAUGES[exporter]
        self._gauges: dict[str, Gauge] = {}
        self._counters = {
            name: Counter(name, name, LABELS.get(name, []), registry=self.registry)
            for name in COUNTERS.get(exporter, ())
        }
        for name, value in SET_BY_EVENTS.get(exporter, {}).items():
            self.set(name, value)

    def set(self, name: str, value: float) -> None:
        """Set a gauge; it is on the page from the first time on."""
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, name, registry=self.registry)
        self._gauges[name].set(value)

    async def poll(self, node: Node) -> None:
        """Ask the node for everything that is polled."""
        for name, source in self._polled.items():
            value = await node.figure(source)
            if value is not None:
                self.set(name, value)

    def count(self, *names: str, by: float = 1, to: float | None = None, **labels: str) -> None:
        """Add to those of the names that this exporter has, or set them."""
        for name in names:
            if name in self._gauges and to is not None:
                self.set(name, to)
            elif name in self._counters:
                counter = self._counters[name]
                (counter.labels(**labels) if labels else counter).inc(by)


@dataclass
class Node:
    """The node's interfaces, over a connection of its own."""

    client: Any
    """The connection lasts as long as this."""
    interfaces: Mapping[str, Any]
    context: Mapping[str, Any]
    loaded: Any

    @classmethod
    async def connect(cls, socket: str) -> Node:
        """Connect, as a tracing node's client does."""
        loaded = schema.load("tracing")
        client = capnp.TwoPartyClient(await capnp.AsyncIoStream.create_unix_connection(socket))
        init = client.bootstrap().cast_as(loaded.init.Init)
        context = {"thread": (await (await init.construct()).threadMap.makeThread("old exporter")).result}
        made = {name: await getattr(init, f"make{name.title()}")(context=context) for name in INTERFACES}
        return cls(client, {name: each.result for name, each in made.items()}, context, loaded)

    async def rpc(self, method: str, *params: Any) -> Any:
        """The result of a JSON-RPC method."""
        answer = await self.interfaces["node"].executeRpc(
            context=self.context, command=method, params=json.dumps(params), uri=""
        )
        return json.loads(answer.result)

    async def figure(self, source: Asked | Called) -> float | None:
        """What it says now, if it says anything."""
        if isinstance(source, Called):
            call = getattr(self.interfaces[source.interface], source.method)
            answer = await call(context=self.context, **source.arguments)
            return float(answer.height if source.method == "getHeaderTip" else answer.result)
        params = source.params
        if source.method == "getblockstats":
            params = ((await self.rpc("getblockchaininfo"))["blocks"], [source.field])
        result = await self.rpc(source.method, *params)
        value = result.get(source.field) if source.field else len(result) if isinstance(result, list) else result
        return None if value is None else value / source.divisor

    async def subscribe(self, count: Count) -> list[Any]:
        """Have it tell of its events; returns the handlers."""
        chain, tracing = self.interfaces["chain"], self.interfaces["tracing"]
        notifications = _server(self.loaded.chain.ChainNotifications, count)
        trace = _server(self.loaded.tracing.UtxoCacheTrace, count)
        return [
            (await chain.handleNotifications(context=self.context, notifications=notifications)).result,
            (await tracing.traceUtxoCache(context=self.context, callback=trace)).result,
        ]


def _server(interface: Any, count: Count) -> Any:
    """A server of every method of an interface."""

    def method(name: str) -> Callable[..., Any]:
        async def answer(self: Any, **arguments: Any) -> None:
            if name != "destroy":
                happened(count, name, arguments)

        return answer

    return type("Callback", (interface.Server,), {name: method(name) for name in interface.schema.methods})()


async def main(socket: str) -> None:
    """Serve until SIGTERM, and leave the node as it wants to be left."""
    told = asyncio.Queue[bool]()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, told.put_nowait, True)
    loop.add_signal_handler(signal.SIGTERM, told.put_nowait, False)
    pages = {exporter: Metrics(exporter) for exporter in GAUGES}

    def count(*names: str, **how: Any) -> None:
        for page in pages.values():
            page.count(*names, **how)

    node = await Node.connect(socket)
    handlers = await node.subscribe(count)
    ports = {name: start_http_server(0, "127.0.0.1", page.registry)[0].server_port for name, page in pages.items()}
    print(json.dumps({name: f"127.0.0.1:{port}" for name, port in ports.items()}), flush=True)
    while True:
        for page in pages.values():
            await page.poll(node)
        print("polled", flush=True)
        if not await told.get():
            break
    for handler in handlers:
        await handler.disconnect(context=node.context)


if __name__ == "__main__":
    asyncio.run(capnp.run(main(*sys.argv[1:])))
