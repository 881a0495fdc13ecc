"""JSON-RPC: the chain, its headers and its branches."""

from typing import Any

from bitcoin.core import CBlockHeader

from telegraf_bitcoin_ipc.simnode.chain import BITS, TARGET, Block
from telegraf_bitcoin_ipc.simnode.rpc.errors import INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.parameters import block_hash, integer
from telegraf_bitcoin_ipc.simnode.rpc.request import Request, displayed

HEADER_SIZE = 80  # bytes
WORK = 2**256 // (TARGET + 1)  # of each block
DIFFICULTY: float = CBlockHeader.calc_difficulty(BITS)
RETARGET_INTERVAL = 144  # blocks, on regtest
PRUNE_TARGET = 550 * 1024 * 1024  # bytes, the least that -prune takes


def getblockchaininfo(request: Request) -> dict[str, object]:
    """Return the state of the chain."""
    model = request.model
    return {
        "chain": request.chain,
        "blocks": model.height,
        "headers": model.header_height,
        "bestblockhash": displayed(model.tip_hash),
        "bits": f"{BITS:08x}",
        "target": f"{TARGET:064x}",
        "difficulty": DIFFICULTY,
        "time": model.tip_time,
        "mediantime": model.median_time,
        "verificationprogress": model.verification_progress,
        "initialblockdownload": model.ibd,
        "chainwork": _chainwork(model.height),
        "size_on_disk": model.size_on_disk,
        "pruned": model.pruned,
        **(_pruning(request) if model.pruned else {}),
        "warnings": model.warnings,
    }


def getblockcount(request: Request) -> int:
    """Return the height of the tip."""
    return request.model.height


def getbestblockhash(request: Request) -> str:
    """Return the hash of the tip."""
    return displayed(request.model.tip_hash)


def getblockhash(request: Request) -> str:
    """Return the hash of the block at a height."""
    height = integer(request.params[0])
    if not 0 <= height <= request.model.height:
        raise RpcError(INVALID_PARAMETER, "Block height out of range")
    return displayed(request.model.block_hash(height))


def getblockheader(request: Request) -> dict[str, object] | str:
    """Return a header by its hash, decoded or, without `verbose`, as its serialisation."""
    value, verbose = request.params
    block = known_block(request, value, "hash")
    return _header(request, block) if verbose else block.data[:HEADER_SIZE].hex()


def getchaintips(request: Request) -> list[dict[str, object]]:
    """Return the tip, and the tips of the branches that reorganisations left behind, the highest first."""
    chain = request.model.chain
    tips = sorted([chain.tip, *chain.stale_tips()], key=lambda block: block.height, reverse=True)
    return [
        {
            "height": block.height,
            "hash": displayed(block.hash),
            "branchlen": chain.branch_length(block),
            "status": "active" if block is chain.tip else "valid-fork",
        }
        for block in tips
    ]


def getnetworkhashps(request: Request) -> float:
    """Return the hashes a second that the times of the last `nblocks` blocks up to `height` stand for."""
    lookup, height = map(integer, request.params)
    if lookup < -1 or lookup == 0:
        raise RpcError(INVALID_PARAMETER, "Invalid nblocks. Must be a positive number or -1.")
    if not -1 <= height <= request.model.height:
        raise RpcError(INVALID_PARAMETER, "Block does not exist at specified height")
    last = request.model.height if height == -1 else height
    if lookup == -1:
        lookup = last % RETARGET_INTERVAL + 1
    lookup = min(lookup, last)
    times = [block.time for block in request.model.chain.blocks[last - lookup : last + 1]]
    seconds = max(times) - min(times)
    return lookup * WORK / seconds if seconds else 0


def known_block(request: Request, value: object, name: str) -> Block:
    """Return the block of a hash, on the active chain or not; `name` is the parameter's."""
    block = request.model.chain.known.get(block_hash(value, name))
    if block is None:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Block not found")
    return block


def _pruning(request: Request) -> dict[str, object]:
    return {
        "pruneheight": request.model.chain.pruned_below,
        "automatic_pruning": True,
        "prune_target_size": PRUNE_TARGET,
    }


def _header(request: Request, block: Block) -> dict[str, object]:
    chain = request.model.chain
    header: Any = CBlockHeader.deserialize(block.data[:HEADER_SIZE])
    active = chain.is_active(block)
    following = chain.blocks[block.height + 1] if active and block.height < chain.height else None
    return {
        "hash": displayed(block.hash),
        "confirmations": chain.height - block.height + 1 if active else -1,
        "height": block.height,
        "version": header.nVersion,
        "versionHex": f"{header.nVersion:08x}",
        "merkleroot": displayed(header.hashMerkleRoot),
        "time": block.time,
        "mediantime": chain.median_time_at(block),
        "nonce": header.nNonce,
        "bits": f"{BITS:08x}",
        "target": f"{TARGET:064x}",
        "difficulty": DIFFICULTY,
        "chainwork": _chainwork(block.height),
        "nTx": len(block.transactions),
        **({"previousblockhash": displayed(block.prev_hash)} if block.height else {}),
        **({"nextblockhash": displayed(following.hash)} if following else {}),
    }


def _chainwork(height: int) -> str:
    return f"{WORK * (height + 1):064x}"
