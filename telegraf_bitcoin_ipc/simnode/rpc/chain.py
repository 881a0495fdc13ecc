"""JSON-RPC: the chain, its headers and branches, and the statistics of its blocks."""

from collections.abc import Sequence
from typing import Final

from bitcoin.core import CBlockHeader

from telegraf_bitcoin_ipc.simnode.chain import BITS, TARGET, Block, subsidy
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.errors import (
    INVALID_ADDRESS_OR_KEY,
    INVALID_PARAMETER,
    MISC_ERROR,
    RpcError,
)

WORK: Final = 2**256 // (TARGET + 1)
"""Of each block, in hashes."""

DIFFICULTY: Final[float] = CBlockHeader.calc_difficulty(BITS)
HASHPS_BLOCKS: Final = 120
"""Blocks that getnetworkhashps looks back on by default."""


def getblockchaininfo(model: Model) -> dict[str, object]:
    """Return the state of the chain."""
    return {
        "chain": "regtest",
        "blocks": model.height,
        "headers": model.header_height,
        "difficulty": DIFFICULTY,
        "time": model.chain.tip.time,
        "mediantime": model.chain.median_time,
        "verificationprogress": model.verification_progress,
        "size_on_disk": model.chain.size_on_disk,
        "pruned": model.pruned,
        **({"pruneheight": model.chain.pruned_below} if model.pruned else {}),
        "warnings": model.warnings,
    }


def getblockheader(model: Model, block_hash: str) -> dict[str, object]:
    """Return a header by its hash, on the active chain or not."""
    block = _known(model, block_hash)
    return {
        "height": block.height,
        "nTx": len(block.transactions),
        **({"previousblockhash": _displayed(block.prev_hash)} if block.height else {}),
    }


def getchaintips(model: Model) -> list[dict[str, object]]:
    """Return the tip, and the tips of the branches that reorganisations left behind."""
    branches: list[dict[str, object]] = [{"status": "valid-fork"} for _ in model.chain.stale_tips()]
    return [{"status": "active"}, *branches]


def getnetworkhashps(model: Model) -> float:
    """Return the hashes per second, estimated from the times of the last blocks."""
    blocks = model.chain.blocks[-HASHPS_BLOCKS - 1 :]
    times = [block.time for block in blocks]
    seconds = max(times) - min(times)
    return (len(blocks) - 1) * WORK / seconds if seconds else 0


def getblockstats(model: Model, wanted: str | int, names: Sequence[str]) -> dict[str, int]:
    """Return the requested statistics of a block, given by its hash or height."""
    if isinstance(wanted, int) and wanted > model.height:  # a reorganisation may have made the chain shorter
        raise RpcError(INVALID_PARAMETER, f"Target block height {wanted} after current tip {model.height}")
    block = model.chain.blocks[wanted] if isinstance(wanted, int) else _known(model, wanted)
    if block.height < model.chain.pruned_below:
        raise RpcError(MISC_ERROR, "Block not available (pruned data)")
    stats = _statistics(block)
    return {name: stats[name] for name in names}


def _statistics(block: Block) -> dict[str, int]:
    """Return the block's changes to the UTXO set, and the totals of its transactions except the coinbase."""
    payments = block.transactions[1:]
    ins = sum(len(tx.inputs) for tx in payments)
    coins = sum(len(tx.outputs) for tx in block.transactions)
    total_out = sum(sum(tx.outputs) for tx in payments)
    return {
        "ins": ins,
        "outs": sum(tx.output_count for tx in block.transactions),
        "subsidy": subsidy(block.height),
        "time": block.time,
        "total_out": total_out,
        "total_size": sum(len(tx.data) for tx in payments),
        "total_weight": sum(tx.weight for tx in payments),
        "totalfee": sum(coin.value for undo in block.undo for coin in undo) - total_out,
        "txs": len(block.transactions),
        "utxo_increase_actual": coins - ins,
    }


def _known(model: Model, block_hash: str) -> Block:
    block = model.chain.known.get(bytes.fromhex(block_hash)[::-1])
    if block is None:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Block not found")
    return block


def _displayed(block_hash: bytes) -> str:
    """Return a hash as Bitcoin displays it."""
    return block_hash[::-1].hex()
