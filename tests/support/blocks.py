"""The simulated node's model as python-bitcoinlib sees it: what its events have to be."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from bitcoin.core import CBlock, CheckBlock, CoreRegTestParams, CTransaction
from bitcoin.core.script import OP_RETURN, CScript

from telegraf_bitcoin_ipc.simnode.chain import TARGET, subsidy
from telegraf_bitcoin_ipc.simnode.coins import UNCONFIRMED_HEIGHT, Coin, utxo_event
from telegraf_bitcoin_ipc.simnode.events import Event
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint

NOW = 1_700_000_000
COINBASE_MATURITY = 100

Coins = dict[OutPoint, Coin]


def made(*, transactions: int = 0, seed: int = 1, blocks: int = 110, check_mempool: bool = False) -> Model:
    """Return a model with that many blocks and transactions in its mempool."""
    model = Model(rng=random.Random(seed), now=NOW, blocks=blocks, check_mempool=check_mempool)
    for _ in range(transactions):
        assert model.accept_transaction(NOW)
    return model


def parsed(data: bytes) -> Any:
    """Return the block as python-bitcoinlib reads it."""
    return CBlock.deserialize(data)


def tx_of(event: Event) -> Any:
    """Return the transaction that an event of the mempool carries."""
    return CTransaction.deserialize(event.parameters["tx"])


def outpoints_of(tx: Any) -> list[OutPoint]:
    """Return what a transaction of python-bitcoinlib spends."""
    return [OutPoint(txin.prevout.hash, txin.prevout.n) for txin in tx.vin]


def coins_of(tx: Any, height: int) -> Coins:
    """Return the coins that a transaction of python-bitcoinlib creates."""
    txid, coinbase = tx.GetTxid(), tx.is_coinbase()
    return {
        OutPoint(txid, n): Coin(out.nValue, height, coinbase)
        for n, out in enumerate(tx.vout)
        if out.scriptPubKey[:1] != bytes([OP_RETURN])
    }


def connected_coins(txs: Iterable[Any], coins: Coins, height: int) -> list[Event]:
    """Return the UTXO events of connecting `txs`, and change `coins` as that does."""
    events = []
    for tx in txs:
        if not tx.is_coinbase():
            events += [utxo_event("spend", spent, coins.pop(spent)) for spent in outpoints_of(tx)]
        created = coins_of(tx, height)
        coins.update(created)
        events += [utxo_event("add", outpoint, coin) for outpoint, coin in created.items()]
    return events


def coin_of(event: Event) -> tuple[OutPoint, Coin]:
    """Return the coin of a UTXO event."""
    txid, n, height, value, coinbase = event.parameters["utxoInfo"].values()
    return OutPoint(txid, n), Coin(value, height, coinbase)


def undone(events: Iterable[Event], txs: Iterable[Any]) -> list[Event]:
    """Return the UTXO events of disconnecting the block of `txs` whose connection was `events`."""
    coins = {(event.method, coin_of(event)[0]): event.parameters for event in events if event.of_coin}
    expected = []
    for tx in reversed(list(txs)):
        expected += [Event("spend", coins["add", outpoint]) for outpoint in coins_of(tx, 0)]
        if not tx.is_coinbase():
            expected += [Event("add", coins["spend", outpoint]) for outpoint in reversed(outpoints_of(tx))]
    return expected


def replay(events: Iterable[Event], coins: Coins) -> None:
    """Apply the UTXO events to `coins`; each has to fit."""
    for event in events:
        if event.of_coin:
            outpoint, coin = coin_of(event)
            if event.method == "add":
                assert outpoint not in coins
                coins[outpoint] = coin
            else:
                assert (coins.pop(outpoint) if event.method == "spend" else coins[outpoint]) == coin


def kinds(events: Iterable[Event]) -> list[str]:
    """Return the events' methods, runs of UTXO events as one name."""
    names: list[str] = []
    for event in events:
        name = "coins" if event.of_coin else event.method
        if name != "coins" or names[-1:] != [name]:
            names.append(name)
    return names


def check_blocks(model: Model) -> None:
    """Check every block as python-bitcoinlib sees it, and that no value appears or gets lost."""
    values: dict[OutPoint, int] = {}
    prev_hash = model.chain.blocks[0].hash
    for height in range(1, model.height + 1):
        block = parsed(model.chain.blocks[height].data)
        CheckBlock(block, fCheckPoW=False)  # that would need the library's global choice of a network
        assert int.from_bytes(block.GetHash(), "little") <= TARGET
        assert block.nBits == CoreRegTestParams.GENESIS_BLOCK.nBits
        assert block.hashPrevBlock == prev_hash
        assert bytes(block.vtx[0].vin[0].scriptSig).startswith(bytes(CScript([height])))
        assert block.GetHash() == model.chain.blocks[height].hash
        prev_hash = block.GetHash()
        fees = 0
        for tx in block.vtx[1:]:
            fee = sum(values.pop(spent) for spent in outpoints_of(tx)) - sum(out.nValue for out in tx.vout)
            assert fee > 0
            fees += fee
            values |= {OutPoint(tx.GetTxid(), n): out.nValue for n, out in enumerate(tx.vout)}
        assert sum(out.nValue for out in block.vtx[0].vout) == subsidy(height) + fees
        values |= {outpoint: coin.value for outpoint, coin in coins_of(block.vtx[0], height).items()}
    assert values == {outpoint: coin.value for outpoint, coin in model.chain.coins.items()}


def check_mempool(model: Model) -> None:
    """Check that the next block can confirm the whole mempool, and that its totals are right."""
    coins = dict(model.chain.coins)
    vbytes = total_fee = 0
    for entry in model.mempool:
        tx = CTransaction.deserialize(entry.tx.data)
        spent = [coins.pop(outpoint) for outpoint in outpoints_of(tx)]
        assert all(not coin.coinbase or model.height + 1 - coin.height >= COINBASE_MATURITY for coin in spent)
        coins |= coins_of(tx, UNCONFIRMED_HEIGHT)
        vbytes += -(-tx.calc_weight() // 4)
        total_fee += sum(coin.value for coin in spent) - sum(out.nValue for out in tx.vout)
    assert (model.mempool.vbytes, model.mempool.total_fee) == (vbytes, total_fee)
    assert model.mempool.usage >= vbytes
    assert bool(model.mempool.usage) == bool(model.mempool)
