"""Where a metric can come from: a call, a subscription, or following the tip."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.ipc.rpc_values import Read

RPC: Final = "rpc"
"""The interface name of all JSON-RPC methods, whichever interface of the dialect carries them."""


@dataclass(frozen=True)
class Call:
    """A call to the node: `method` of a Cap'n Proto interface, or of JSON-RPC.

    `arguments` are names and values; JSON-RPC takes the values in order. If `each` is given the call is repeated
    with each of its values as the only argument, and the results are a mapping by the values as text. With
    `once_per_tip` it is made once after each new tip, and not during initial block download.
    """

    interface: str
    method: str
    arguments: tuple[tuple[str, Any], ...] = ()
    each: tuple[Any, ...] = ()
    once_per_tip: bool = False

    @property
    def name(self) -> str:
        """The call's name, for instance `Chain.getHeight` or `getmempoolinfo`."""
        return self.method if self.interface == RPC else f"{self.interface.capitalize()}.{self.method}"


class Polled(NamedTuple):
    """A value read from the results of a call."""

    call: Call
    read: Read

    def __str__(self) -> str:
        """Return the call's name."""
        return self.call.name


CALLBACKS: Final = {Subscription.CHAIN: "ChainNotifications", Subscription.UTXO_CACHE: "UtxoCacheTrace"}
"""The interface that the node calls for each subscription."""


class Pushed(NamedTuple):
    """A value made from the calls that the node makes for a subscription."""

    subscription: Subscription
    method: str

    def __str__(self) -> str:
        """Return the callback's name, for instance `UtxoCacheTrace.add`."""
        return f"{CALLBACKS[self.subscription]}.{self.method}"


class Followed(Enum):
    """A value made by following the tip of a node without notifications."""

    TIP = "Mining.waitTipChanged"
    HEADERS = "getblockheader"
    """From the headers between the previous tip and the new one: one call per block."""

    def __str__(self) -> str:
        """Return the name of the call that it costs."""
        return self.value


Origin = Polled | Pushed | Followed | None
"""Where a metric comes from, with the name of the call as its text; None if the dialect does not offer it."""
