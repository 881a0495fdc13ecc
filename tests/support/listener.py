"""A listener to the chain that remembers which blocks were connected."""

from telegraf_bitcoin_ipc.collect.events import ChainListener
from telegraf_bitcoin_ipc.collect.values import Block


class Connected(ChainListener):
    """Keeps the hashes of the blocks that were connected."""

    def __init__(self) -> None:
        self.hashes: list[str] = []

    def connected(self, block: Block) -> None:
        self.hashes.append(block.hash)
