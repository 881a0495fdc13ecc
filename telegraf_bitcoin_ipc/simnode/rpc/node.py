"""JSON-RPC: the node's process and its indexes."""

from telegraf_bitcoin_ipc.simnode.rpc.request import Request


def uptime(request: Request) -> int:
    """Return the seconds since the start."""
    return request.now - request.started


def getindexinfo(request: Request) -> dict[str, object]:
    """Return how far each index is, or the one that is named."""
    (wanted,) = request.params
    tip = request.model.height
    return {
        name: {"synced": height is None, "best_block_height": tip if height is None else height}
        for name, height in request.model.indexes.items()
        if wanted in ("", name)
    }
