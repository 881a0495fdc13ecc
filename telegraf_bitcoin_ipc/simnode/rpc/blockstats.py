"""JSON-RPC: getblockstats, computed from a block's transactions and the coins that they spent."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from telegraf_bitcoin_ipc.simnode.chain import Block, subsidy
from telegraf_bitcoin_ipc.simnode.rpc.chain import known_block
from telegraf_bitcoin_ipc.simnode.rpc.errors import (
    INVALID_PARAMETER,
    MISC_ERROR,
    RpcError,
)
from telegraf_bitcoin_ipc.simnode.rpc.parameters import integer, text
from telegraf_bitcoin_ipc.simnode.rpc.request import Request, displayed
from telegraf_bitcoin_ipc.simnode.transactions import P2WPKH_OUTPUT_SIZE, WITNESS_SCALE_FACTOR

COIN_OVERHEAD = 40  # bytes that Core counts for a coin beside its output: the outpoint, height and coinbase flag
COIN_OVERHEAD_BEFORE_32 = 41
PERCENTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the block's weight


class _Payment(NamedTuple):
    """What is counted of a transaction that is no coinbase: fees in satoshi, sizes in bytes."""

    fee: int
    feerate: int
    size: int
    weight: int


def getblockstats(request: Request) -> dict[str, object]:
    """Return the statistics of a block, given by hash or height; all of them, or those asked for."""
    wanted, names = request.params
    chain = request.model.chain
    block = _at_height(request, wanted) if _is_number(wanted) else known_block(request, wanted, "hash_or_height")
    selected = sorted({text(name) for name in names or ()})
    if block.height < chain.pruned_below:
        raise RpcError(MISC_ERROR, "Block not available (pruned data)")
    stats = {
        **_of_block(block, chain.median_time_at(block)),
        **_of_coins(block, COIN_OVERHEAD if request.since_32 else COIN_OVERHEAD_BEFORE_32),
        **_of_payments(block),
    }
    for name in selected:
        if name not in stats:
            raise RpcError(INVALID_PARAMETER, f"Invalid selected statistic '{name}'")
    return {name: stats[name] for name in selected or sorted(stats)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at_height(request: Request, value: float) -> Block:
    height = integer(value)
    if height < 0:
        raise RpcError(INVALID_PARAMETER, f"Target block height {height} is negative")
    if height > (tip := request.model.height):
        raise RpcError(INVALID_PARAMETER, f"Target block height {height} after current tip {tip}")
    return request.model.block(height)


def _of_block(block: Block, median_time: int) -> dict[str, object]:
    return {
        "blockhash": displayed(block.hash),
        "height": block.height,
        "mediantime": median_time,
        "subsidy": subsidy(block.height),
        "time": block.time,
        "txs": len(block.transactions),
    }


def _of_coins(block: Block, overhead: int) -> dict[str, object]:
    """Return what the block did to the UTXO set. An output without a coin comes last in its transaction."""
    transactions = block.transactions
    ins = sum(len(tx.inputs) for tx in transactions)
    sizes = [size + overhead for tx in transactions for size in tx.output_sizes]
    coins = [size + overhead for tx in transactions for size in tx.output_sizes[: len(tx.outputs)]]
    spent = ins * (P2WPKH_OUTPUT_SIZE + overhead)  # the wallet spends nothing else
    return {
        "ins": ins,
        "outs": len(sizes),
        "total_out": sum(sum(tx.outputs) for tx in transactions[1:]),
        "utxo_increase": len(sizes) - ins,
        "utxo_increase_actual": len(coins) - ins,
        "utxo_size_inc": sum(sizes) - spent,
        "utxo_size_inc_actual": sum(coins) - spent,
    }


def _of_payments(block: Block) -> dict[str, object]:
    payments = _payments(block)
    fees, rates = [payment.fee for payment in payments], [payment.feerate for payment in payments]
    sizes, weight = [payment.size for payment in payments], sum(payment.weight for payment in payments)
    segwit = [tx for tx in block.transactions[1:] if tx.segwit]
    return {
        "avgfee": _ratio(sum(fees), len(fees)),
        "avgfeerate": _ratio(sum(fees) * WITNESS_SCALE_FACTOR, weight),
        "avgtxsize": _ratio(sum(sizes), len(sizes)),
        "feerate_percentiles": _percentiles(payments, weight),
        "maxfee": max(fees, default=0),
        "maxfeerate": max(rates, default=0),
        "maxtxsize": max(sizes, default=0),
        "medianfee": _median(fees),
        "mediantxsize": _median(sizes),
        "minfee": min(fees, default=0),
        "minfeerate": min(rates, default=0),
        "mintxsize": min(sizes, default=0),
        "swtotal_size": sum(len(tx.data) for tx in segwit),
        "swtotal_weight": sum(tx.weight for tx in segwit),
        "swtxs": len(segwit),
        "total_size": sum(sizes),
        "total_weight": weight,
        "totalfee": sum(fees),
    }


def _payments(block: Block) -> list[_Payment]:
    payments = []
    for tx, undo in zip(block.transactions[1:], block.undo, strict=True):
        fee = sum(coin.value for coin in undo) - sum(tx.outputs)
        feerate = fee * WITNESS_SCALE_FACTOR // tx.weight
        payments.append(_Payment(fee, feerate, len(tx.data), tx.weight))
    return payments


def _ratio(total: int, count: int) -> int:
    return total // count if count else 0


def _median(numbers: Sequence[int]) -> int:
    """Return the median, truncated."""
    if not numbers:
        return 0
    ordered, middle = sorted(numbers), len(numbers) // 2
    return ordered[middle] if len(numbers) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def _percentiles(payments: Sequence[_Payment], weight: int) -> list[int]:
    """Return the fee rates at which the cheapest transactions make up each share of the weight."""
    if not payments:
        return [0] * len(PERCENTILES)
    ordered = sorted((payment.feerate, payment.weight) for payment in payments)
    reached = list(accumulate(weight for _, weight in ordered))
    return [ordered[bisect_left(reached, share * weight)][0] for share in PERCENTILES]
