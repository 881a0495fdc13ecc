"""The simulated node's JSON-RPC answers have the fields and types of real nodes, 30.99 and 31.99 (measured)."""

import json
import random
from typing import Any

import pytest

from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.methods import METHODS, answer

NOW = 1_700_000_000

TRACING, STOCK = "/Satoshi:30.99.0/", "/Satoshi:31.99.0/"

number = (int, float)

BLOCKCHAIN = {
    "chain": str, "blocks": int, "headers": int, "bestblockhash": str, "bits": str, "target": str,
    "difficulty": float, "time": int, "mediantime": int, "verificationprogress": number,
    "initialblockdownload": bool, "chainwork": str, "size_on_disk": int, "pruned": bool, "warnings": [str],
}  # fmt: skip

PRUNED = {**BLOCKCHAIN, "pruneheight": int, "automatic_pruning": bool, "prune_target_size": int}

HEADER = {
    "hash": str, "confirmations": int, "height": int, "version": int, "versionHex": str, "merkleroot": str,
    "time": int, "mediantime": int, "nonce": int, "bits": str, "target": str, "difficulty": float,
    "chainwork": str, "nTx": int, "previousblockhash": str, "nextblockhash": str,
}  # fmt: skip

STATS = {
    "avgfee": int, "avgfeerate": int, "avgtxsize": int, "blockhash": str, "feerate_percentiles": [int],
    "height": int, "ins": int, "maxfee": int, "maxfeerate": int, "maxtxsize": int, "medianfee": int,
    "mediantime": int, "mediantxsize": int, "minfee": int, "minfeerate": int, "mintxsize": int, "outs": int,
    "subsidy": int, "swtotal_size": int, "swtotal_weight": int, "swtxs": int, "time": int, "total_out": int,
    "total_size": int, "total_weight": int, "totalfee": int, "txs": int, "utxo_increase": int,
    "utxo_size_inc": int, "utxo_increase_actual": int, "utxo_size_inc_actual": int,
}  # fmt: skip

NETWORK = {
    "version": int, "subversion": str, "protocolversion": int, "localservices": str,
    "localservicesnames": [str], "localrelay": bool, "timeoffset": int, "networkactive": bool,
    "connections": int, "connections_in": int, "connections_out": int,
    "networks": [{"name": str, "limited": bool, "reachable": bool, "proxy": str,
                  "proxy_randomize_credentials": bool}],
    "relayfee": float, "incrementalfee": float, "localaddresses": [str], "warnings": [str],
}  # fmt: skip

BUCKET = {"backlog": int, "count_tok": int, "size_tok": float}

NETWORK_32 = {**NETWORK, "tx_send_rate": int, "inv_buckets": {"inbound": BUCKET, "outbound": BUCKET}}

PEER = {
    "id": int, "addr": str, "addrbind": str, "network": str, "services": str, "servicesnames": [str],
    "relaytxes": bool, "last_inv_sequence": int, "inv_to_send": int, "lastsend": int, "lastrecv": int,
    "last_transaction": int, "last_block": int, "bytessent": int, "bytesrecv": int, "conntime": int,
    "timeoffset": int, "pingtime": float, "minping": float, "version": int, "subver": str, "inbound": bool,
    "bip152_hb_to": bool, "bip152_hb_from": bool, "presynced_headers": int, "synced_headers": int,
    "synced_blocks": int, "inflight": [int], "addr_relay_enabled": bool, "addr_processed": int,
    "addr_rate_limited": int, "permissions": [str], "minfeefilter": float, "bytessent_per_msg": {"tx": int},
    "bytesrecv_per_msg": {"tx": int}, "connection_type": str, "transport_protocol_type": str,
    "session_id": str,
}  # fmt: skip

MEMPOOL_32 = {
    "loaded": bool, "size": int, "bytes": int, "usage": int, "total_fee": float, "maxmempool": int,
    "mempoolminfee": float, "minrelaytxfee": float, "incrementalrelayfee": float, "unbroadcastcount": int,
    "permitbaremultisig": bool, "maxdatacarriersize": int, "limitclustercount": int, "limitclustersize": int,
    "optimal": bool,
}  # fmt: skip

TOTALS = {
    "totalbytesrecv": int, "totalbytessent": int, "timemillis": int,
    "uploadtarget": {"timeframe": int, "target": int, "target_reached": bool, "serve_historical_blocks": bool,
                     "bytes_left_in_cycle": int, "time_left_in_cycle": int},
}  # fmt: skip

BAN = {"address": str, "ban_created": int, "banned_until": int, "ban_duration": int, "time_remaining": int}

TIP = {"height": int, "hash": str, "branchlen": int, "status": str}

ANSWERS: list[tuple[str, str, list[Any], Any]] = [
    *[
        row
        for version in (TRACING, STOCK)
        for row in [
            (version, "getblockchaininfo", [], BLOCKCHAIN),
            (version, "getblockcount", [], int),
            (version, "getbestblockhash", [], str),
            (version, "getblockhash", [7], str),
            (version, "getblockstats", [111], STATS),
            (version, "getpeerinfo", [], [PEER]),
            (version, "getnettotals", [], TOTALS),
            (version, "listbanned", [], [BAN]),
            (version, "getchaintips", [], [TIP]),
            (version, "getnetworkhashps", [], number),
            (version, "getindexinfo", [], {"txindex": {"synced": bool, "best_block_height": int}}),
            (version, "estimatesmartfee", [6], {"feerate": float, "blocks": int}),
            (version, "estimatesmartfee", [2], {"errors": [str], "blocks": int}),
            (version, "uptime", [], int),
        ]
    ],
    (TRACING, "getnetworkinfo", [], NETWORK),
    (STOCK, "getnetworkinfo", [], NETWORK_32),
    (TRACING, "getmempoolinfo", [], {**MEMPOOL_32, "fullrbf": bool}),
    (STOCK, "getmempoolinfo", [], MEMPOOL_32),
]
"""Version, method, parameters, and the fields of the answer."""


@pytest.fixture
def model() -> Model:
    """Return a model that has something of everything."""
    model = Model(rng=random.Random(1), now=NOW)
    for _ in range(30):
        model.accept_transaction(NOW)
    model.connect_block(NOW + 600, transactions=20)
    model.peers.join(NOW, ping=0.02)
    model.peers.traffic(NOW, 5_000, 5_000, message="tx")
    model.peers.ban(NOW, 2)
    model.indexes = {"txindex": None}
    model.fee_estimates = {6: 8.5}
    model.warnings = ["one"]
    return model


def ask(model: Model, version: str, method: str, params: list[Any]) -> Any:
    """Return the answer after it went through JSON, as it does on the wire."""
    result = answer(model, method, params, now=NOW + 700, started=NOW, subversion=version)
    return json.loads(json.dumps(result, allow_nan=False))


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value has the fields and types that a table says; 0 and 1 are no booleans."""
    if isinstance(kind, dict):
        return isinstance(value, dict) and value.keys() == kind.keys() and all(
            fits(value[name], kind[name]) for name in kind
        )  # fmt: skip
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(item, kind[0]) for item in value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


@pytest.mark.parametrize(("version", "method", "params", "fields"), ANSWERS)
def test_fields_and_types(model: Model, version: str, method: str, params: list[Any], fields: Any) -> None:
    """An answer has every field of a real node's, no other, each of its type."""
    value = ask(model, version, method, params)
    assert fits(value, fields), value
    if isinstance(fields, list):
        assert value


def test_every_method_is_held_to_a_real_one() -> None:
    """No method is missing in the table, but getblockheader, whose fields depend on the block."""
    assert {method for _, method, _, _ in ANSWERS} | {"getblockheader"} == set(METHODS)


def test_fields_of_headers(model: Model) -> None:
    """A header has no parent at the genesis block, no successor at the tip, and is hex if that is wanted."""

    def header(height: int, *verbose: bool) -> Any:
        (name,) = [ask(model, STOCK, "getblockhash", [height])]
        return ask(model, STOCK, "getblockheader", [name, *verbose])

    def without(field: str) -> dict[str, Any]:
        return {name: kind for name, kind in HEADER.items() if name != field}

    assert fits(header(7), HEADER)
    assert fits(header(0, True), without("previousblockhash"))
    assert fits(header(111), without("nextblockhash"))
    assert bytes.fromhex(header(7, False)) == model.block(7).data[:80]


def test_fields_of_a_pruned_chain(model: Model) -> None:
    """A pruned node tells how, and does not offer old blocks to its peers."""
    model.prune(40)
    info = ask(model, TRACING, "getblockchaininfo", [])
    assert fits(info, PRUNED)
    assert (info["pruned"], info["pruneheight"], info["automatic_pruning"]) == (True, 40, True)
    assert info["prune_target_size"] == 550 * 2**20
    network = ask(model, TRACING, "getnetworkinfo", [])
    assert network["localservices"] == "0000000000000c08"
    assert network["localservicesnames"] == ["WITNESS", "NETWORK_LIMITED", "P2P_V2"]


def test_fields_of_a_peer_that_was_not_pinged(model: Model) -> None:
    """Before the first answer to a ping there is no ping, and without encryption no session."""
    model.peers.join(NOW, "onion", "inbound", "v1")
    *_, peer = ask(model, STOCK, "getpeerinfo", [])
    assert fits(peer, {**{name: PEER[name] for name in PEER.keys() - {"pingtime", "minping"}},
                       "bytessent_per_msg": {}, "bytesrecv_per_msg": {}})  # fmt: skip
    assert (peer["session_id"], peer["services"]) == ("", "0000000000000409")
