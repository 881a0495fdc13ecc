"""How the kinds of node differ beyond their schema: their version, and the rules of their IPC library."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of node.

    `second_call` is what happens to a call on a busy server thread. `survives_lost_calls` says whether the node
    survives a client that disconnects during a call. `mining_waits` says whether makeMining waits until the
    chain is loaded; if not, each method of Mining needs the chain.
    """

    subversion: str
    second_call: Literal["thread busy", "abort", "queued"]
    survives_lost_calls: bool
    mining_waits: bool


DIALECTS: Final[Mapping[str, Dialect]] = {
    "tracing": Dialect("/Satoshi:30.99.0/", "thread busy", survives_lost_calls=False, mining_waits=False),
    "chain": Dialect("/Satoshi:30.99.0/", "thread busy", survives_lost_calls=False, mining_waits=False),
    "stock": Dialect("/Satoshi:31.99.0/", "queued", survives_lost_calls=True, mining_waits=True),
    "stock-31": Dialect("/Satoshi:31.0.0/", "queued", survives_lost_calls=True, mining_waits=True),
    "stock-30": Dialect("/Satoshi:30.0.0/", "abort", survives_lost_calls=False, mining_waits=False),
}
"""Every dialect by its name. libmultiprocess is 7 (tracing, chain), 13 (stock), 8 (31) and 6 (30.0): before 7
a second call on a thread fails an assertion; from 8 on calls are queued and outlive their client."""
