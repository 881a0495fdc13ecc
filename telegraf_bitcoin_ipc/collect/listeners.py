"""Events on the chain, for listeners: the block statistics, the debug log and `top`."""

import logging

from telegraf_bitcoin_ipc.collect.values import Block

log = logging.getLogger(__name__)


class ChainListener:
    """Receives events on the chain, in order and after they were counted; does nothing unless overridden."""

    def connected(self, block: Block) -> None:
        """Receive a block that was connected to the active chain."""

    def disconnected(self, block: Block) -> None:
        """Receive a block that was disconnected from the active chain."""

    def historical(self, block: Block) -> None:
        """Receive a block that was connected to the background chainstate of an assumeutxo node."""

    def new_tip(self, tip: Block | None) -> None:
        """Receive a new tip; None if the node announces it without saying which block it is."""

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        """Receive a flush of the coins cache to disk; `locator_size` is in bytes."""


class ChainLog(ChainListener):
    """Writes what happens on the chain to the debug log."""

    def connected(self, block: Block) -> None:
        """Log a block."""
        log.debug("block_connected: %s", _described(block))

    def disconnected(self, block: Block) -> None:
        """Log a block."""
        log.debug("block_disconnected: height=%d hash=%s", block.height, block.hash)

    def historical(self, block: Block) -> None:
        """Log a block."""
        log.debug("block_connected: %s (historical chainstate)", _described(block))

    def new_tip(self, tip: Block | None) -> None:
        """Log a tip, with its height and hash if they are known."""
        if tip is None:
            log.debug("tip_updated")
        else:
            log.debug("tip: height=%d hash=%s", tip.height, tip.hash)

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        """Log a flush."""
        role = "historical" if historical else "validated"
        log.debug("chain_state_flushed: role=%s locator_size=%d", role, locator_size)


def _described(block: Block) -> str:
    text = f"height={block.height} hash={block.hash} prev={block.previous}"
    return text if block.chain_time_max is None else f"{text} chain_time_max={block.chain_time_max}"
