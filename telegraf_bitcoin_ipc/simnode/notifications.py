"""Events of the simulated node as the parameters of the calls that report them."""

from typing import Any

from telegraf_bitcoin_ipc.simnode.events import (
    BlockConnected,
    BlockDisconnected,
    Event,
    Flushed,
    TipUpdated,
    TransactionAdded,
    TransactionRemoved,
    UtxoEvent,
)


def utxo_info(event: UtxoEvent) -> dict[str, Any]:
    """Return the UtxoInfo that UtxoCacheTrace's methods carry."""
    return {
        "outpointHash": event.txid,
        "outpointN": event.index,
        "height": event.height,
        "value": event.value,
        "isCoinbase": event.coinbase,
    }


def notification(event: Event) -> tuple[str, dict[str, Any]]:
    """Return the method of ChainNotifications for an event, and its parameters."""
    match event:
        case TransactionAdded(tx):
            return "transactionAddedToMempool", {"tx": tx}
        case TransactionRemoved(tx, reason):
            return "transactionRemovedFromMempool", {"tx": tx, "reason": reason}
        case BlockConnected():
            return "blockConnected", {"role": _role(event.historical), "block": _block(event)}
        case BlockDisconnected():
            return "blockDisconnected", {"block": _block(event)}
        case TipUpdated():
            return "updatedBlockTip", {}
        case Flushed(locator, historical):
            return "chainStateFlushed", {"role": _role(historical), "locator": locator}
        case _:
            raise TypeError(f"not a notification: {event}")


def _role(historical: bool) -> dict[str, bool]:
    return {"validated": True, "historical": historical}


def _block(event: BlockConnected | BlockDisconnected) -> dict[str, Any]:
    return {
        "hash": event.hash,
        "prevHash": event.prev_hash,
        "height": event.height,
        "data": event.data,
        "chainTimeMax": event.chain_time_max,
    }
