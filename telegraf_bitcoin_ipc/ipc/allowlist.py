"""Every call that this program ever makes: what a guard allows is made from it."""

from collections import defaultdict
from typing import Any, Final

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
    always = {(interface, method) for interface, methods in ALWAYS.items() for method in methods}
    found: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for dialect in DIALECTS:
        interfaces = _interfaces(schema.load(dialect.name))
        for name, method in always | {(source.call.interface, source.call.method) for source in dialect.polled()}:
            if name in interfaces:
                node = interfaces[name].schema.node
                for ordinal, offered in enumerate(node.interface.methods):
                    if offered.name == method:
                        found[node.id, ordinal].add(f"{name[0].upper()}{name[1:]}.{method}")
    named = {call: " or ".join(sorted(names)) for call, names in found.items()}
    return dict(sorted(named.items(), key=lambda item: (item[1], item[0])))


def _interfaces(loaded: Any) -> dict[str, Any]:
    """Return a dialect's interfaces by name."""
    interfaces = {"init": loaded.init.Init, "threadMap": loaded.proxy.ThreadMap, "thread": loaded.proxy.Thread}
    for name in ALWAYS:
        if hasattr(loaded, name):
            interfaces.setdefault(name, getattr(getattr(loaded, name), name.capitalize()))
    return interfaces
