"""Every call that this program ever makes: what a guard allows is made from it."""

from typing import Any, Final

from telegraf_bitcoin_ipc.collect.dialect import RPC
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS

ALWAYS: Final = {
    "init": ("construct", "makeMining", "makeRpc", "makeChain", "makeNode", "makeTracing"),
    "threadMap": ("makeThread",),
    "thread": ("getName",),
    "node": ("shutdownRequested", "executeRpc"),
    "rpc": ("executeRpc",),
    "mining": ("waitTipChanged",),
    "chain": ("shutdownRequested", "handleNotifications"),
    "tracing": ("traceUtxoCache",),
    "handler": ("disconnect",),
}
"""The methods that handshake and session call, by interface; a poll's calls come from the dialects."""


def calls() -> dict[tuple[int, int], str]:
    """Return the name of each call by (interface id, method's ordinal), sorted by name."""
    found: dict[tuple[int, int], str] = {}
    for dialect in DIALECTS:
        polled = {
            (source.call.interface, source.call.method)
            for source in dialect.polled()
            if source.call.interface != RPC
        }
        wanted = polled | {(interface, method) for interface, methods in ALWAYS.items() for method in methods}
        interfaces = _interfaces(schema.load(dialect.name))
        for interface, method in wanted:
            if interface not in interfaces:
                continue
            node = interfaces[interface].schema.node
            for ordinal, offered in enumerate(node.interface.methods):
                if offered.name == method:
                    name = f"{interface[0].upper()}{interface[1:]}.{method}"
                    known = found.setdefault((node.id, ordinal), name)
                    if name not in known.split(" or "):
                        found[node.id, ordinal] = " or ".join(sorted((*known.split(" or "), name)))
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def _interfaces(loaded: Any) -> dict[str, Any]:
    """Return a dialect's interfaces by name."""
    interfaces = {"init": loaded.init.Init, "threadMap": loaded.proxy.ThreadMap, "thread": loaded.proxy.Thread}
    for name in ALWAYS:
        if hasattr(loaded, name):
            interfaces.setdefault(name, getattr(getattr(loaded, name), name.capitalize()))
    return interfaces
