"""How the kinds of node differ beyond their schema: their version, and the rules of their IPC library."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Dialect(NamedTuple):
    """One kind of node, and the version of its libmultiprocess."""

    subversion: str
    library: int

    @property
    def is_recent(self) -> bool:
        """Whether its libmultiprocess is 8 or later.

        Then a call on a busy server thread is queued, and outlives its client. The node survives a subscriber
        that disconnects while no callback is under way, and one that is there at its stop; Handler.disconnect
        returns before a callback that is under way, and so before `destroy`. makeMining waits until the chain is
        loaded; on older nodes each method of Mining needs the chain.
        """
        return self.library >= 8

    @property
    def aborts_at_second_call(self) -> bool:
        """Whether a second call on a server thread fails an assertion; 7 answers `thread busy`."""
        return self.library < 7


DIALECTS: Final[Mapping[str, Dialect]] = {
    "tracing": Dialect("/Satoshi:30.99.0/", 7),
    "chain": Dialect("/Satoshi:30.99.0/", 7),
    "stock-chain": Dialect("/Satoshi:31.99.0/", 13),
    "stock": Dialect("/Satoshi:31.99.0/", 13),
    "stock-31": Dialect("/Satoshi:31.0.0/", 8),
    "stock-30": Dialect("/Satoshi:30.0.0/", 6),
}
"""Every dialect by its name."""
