"""JSON-RPC: the mempool and the fees."""

from telegraf_bitcoin_ipc.simnode.rpc.errors import INVALID_PARAMETER, RpcError
from telegraf_bitcoin_ipc.simnode.rpc.parameters import integer
from telegraf_bitcoin_ipc.simnode.rpc.request import Request, btc

RELAY_FEE = 100  # satoshi per 1,000 virtual bytes: Core 30's default of the minimum and the incremental one
MAX_TARGET = 1008  # blocks
MIN_TARGET = 2  # blocks: an estimate for the next block cannot be made, and is one for two
MODES = ("unset", "economical", "conservative")


def getmempoolinfo(request: Request) -> dict[str, object]:
    """Return the state of the mempool."""
    model = request.model
    return {
        "loaded": model.mempool_loaded,
        "size": model.mempool_size,
        "bytes": model.mempool_vbytes,
        "usage": model.mempool_usage_bytes,
        "total_fee": btc(model.mempool_total_fee),
        "maxmempool": model.mempool_max_bytes,
        "mempoolminfee": btc(RELAY_FEE),
        "minrelaytxfee": btc(RELAY_FEE),
        "incrementalrelayfee": btc(RELAY_FEE),
        "unbroadcastcount": 0,
        **({} if request.since_32 else {"fullrbf": True}),
        "permitbaremultisig": True,
        "maxdatacarriersize": 100_000,
        "limitclustercount": 64,
        "limitclustersize": 101_000,
        "optimal": True,
    }


def estimatesmartfee(request: Request) -> dict[str, object]:
    """Return the estimate for a target: that of the highest target known which is not above it."""
    value, mode = request.params
    target = integer(value)
    if not 1 <= target <= MAX_TARGET:
        raise RpcError(INVALID_PARAMETER, f"Invalid conf_target, must be between 1 and {MAX_TARGET}")
    if mode.lower() not in MODES:
        names = ", ".join(f'"{name}"' for name in MODES)
        raise RpcError(INVALID_PARAMETER, f"Invalid estimate_mode parameter, must be one of: {names}")
    target = max(target, MIN_TARGET)
    estimates = request.model.fee_estimates
    known = max((each for each in estimates if each <= target), default=None)
    if known is None:
        return {"errors": ["Insufficient data or no feerate found"], "blocks": 0}
    return {"feerate": btc(max(1_000 * estimates[known], RELAY_FEE)), "blocks": target}
