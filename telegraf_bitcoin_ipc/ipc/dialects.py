"""What each kind of node offers: where every polled value comes from, and what can be subscribed to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Read = Callable[[Any], int | float | None]
"""Takes a call's results; None where the node says that there is no value."""


def _result(results: Any) -> int | float:
    return results.result  # type: ignore[no-any-return]


def _truth(results: Any) -> int:
    return int(results.result)


@dataclass(frozen=True, slots=True)
class Source:
    """One call that gives the values of one metric or more."""

    interface: str
    method: str
    values: Mapping[str, Read]
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """The call as people write it, for instance `Chain.getHeight`."""
        return f"{self.interface.capitalize()}.{self.method}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """A kind of node: its name, the calls that a poll makes, and the subscriptions it takes."""

    name: str
    sources: tuple[Source, ...]
    subscriptions: tuple[str, ...]


_ALL_CONNECTIONS = 3
"""Node.getNodeCount's flags: 1 inbound, 2 outbound."""

_CHAIN_AND_NODE = (
    Source("chain", "getHeight", {"chain_height": lambda r: r.result if r.hasResult else None}),
    Source("chain", "isInitialBlockDownload", {"ibd": _truth}),
    Source("node", "getHeaderTip", {"header_height": lambda r: r.height if r.result else None}),
    Source("node", "getVerificationProgress", {"verification_progress": _result}),
    Source("node", "getMempoolSize", {"mempool_size": _result}),
    Source("node", "getMempoolDynamicUsage", {"mempool_bytes": _result}),
    Source("node", "getMempoolMaxUsage", {"mempool_max_bytes": _result}),
    Source("node", "getNodeCount", {"peers": _result}, MappingProxyType({"flags": _ALL_CONNECTIONS})),
    Source("node", "getTotalBytesRecv", {"bytes_recv_total": _result}),
    Source("node", "getTotalBytesSent", {"bytes_sent_total": _result}),
)

TRACING = Dialect("tracing", _CHAIN_AND_NODE, ("chain", "utxo_cache"))
CHAIN = Dialect("chain", _CHAIN_AND_NODE, ("chain",))

DIALECTS = {dialect.name: dialect for dialect in (TRACING, CHAIN)}
"""The dialects that are served."""
