"""What `check` says of a node: what it is, which metrics it will give, which not, why, and what could be done."""

import time
from collections.abc import Iterator, Mapping
from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, GROUPS, MEASUREMENT, METRICS, Subscription
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.errors import CallFailed, PartlyFailed
from telegraf_bitcoin_ipc.ipc.connection import look_at, run
from telegraf_bitcoin_ipc.ipc.dialects import STOCK, TRACING, Dialect, Followed, Origin, Polled, Pushed, Source
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.session import Session

KINDS: Final = {
    "tracing": "Chain, Node, Mining and Tracing interfaces",
    "chain": "Chain, Node and Mining interfaces",
    "stock": "Bitcoin Core 32 or later: Mining and Rpc interfaces",
    "stock-31": "Bitcoin Core 31: Mining interface only",
    "stock-30": "Bitcoin Core 30: Mining interface only",
}

WITHOUT_TRACING: Final = "this node has no Tracing interface; a node that is built with one gives them"
WITHOUT_CHAIN: Final = (
    "this node has no Chain interface, so it tells of no mempool event and no flush; "
    "a node that is built with one gives them"
)
WITHOUT_RPC: Final = "this node has no JSON-RPC on its IPC socket; Bitcoin Core 32 or later gives them"

NO_VALUE: Final = {
    "chain_prune_height": "the node does not prune",
    "fee_estimate_sat_per_vb": "the node has seen too little to estimate fees yet",
    "index_height": "the node has no optional index; -txindex=1 and others make one",
    "index_synced": "the node has no optional index; -txindex=1 and others make one",
    "peer_ping_seconds": "no peer has answered a ping yet",
}
"""Why there is no value although the call works."""

REMEDIES: Final = {
    "(error -32601)": "this version of the node does not have the method; a newer one does",
    "pruned": "the node has pruned the block; -prune=0 keeps all of them",
    "-rpcwhitelist": "-rpcwhitelist=telegraf-bitcoin-ipc:METHOD,... allows it",
    "no answer within": "the node is very busy, or hangs: its debug.log may say with what",
    "the call before it": "the node is very busy, or hangs: its debug.log may say with what",
}
"""What a failure's words mean for the node's operator."""


def report(config: Config) -> tuple[list[str], bool]:
    """Return the lines to print, and whether all that the dialect offers works.

    Subscribes to nothing. Raises NodeUnavailable or UnsupportedNode.
    """
    return run(_report(config))


async def _report(config: Config) -> tuple[list[str], bool]:
    async with look_at(NodeSocket(config.socket), unguarded=config.no_guard) as session:
        wanted = ALWAYS_ON | set(config.metrics)
        said = await _asked(session, config, wanted)
        lines = [*_identity(config, session)]
        for group in GROUPS:
            given = [*_group(group, session.dialect, said, config)] if group in wanted else []
            lines += ["", f"{group}:", *given] if given else []
        lines += [*_missing(session.dialect, wanted), *_off(session.dialect, wanted)]
        return lines, not any(text.startswith("FAILS") for text in said.values())


def _identity(config: Config, session: Session) -> Iterator[str]:
    yield f"socket   {config.socket}"
    yield f"version  {session.version or 'not told'}"
    yield f"chain    {session.chain or 'not told'}"
    yield f"dialect  {session.dialect.name} ({KINDS[session.dialect.name]})"


async def _asked(session: Session, config: Config, wanted: set[str] | frozenset[str]) -> dict[str, str]:
    """Make every call once, and return what is to be said about each metric."""
    said: dict[str, str] = {}
    known: dict[str, object] = {}
    sources = [*session.dialect.polled(config.fee_targets)]
    for source in sources:
        if any(METRICS[metric].group in wanted for metric in source.values):
            said |= await _of_source(session, source, known)
    statistics, height = session.dialect.statistics, known.get("chain_height")
    if statistics is not None and isinstance(height, int) and "blocks" in wanted:
        said |= await _of_source(session, statistics.of_block(height), known, per_block=True)
    return said


async def _of_source(
    session: Session, source: Source, known: dict[str, object], *, per_block: bool = False
) -> Mapping[str, str]:
    if (per_block or source.once_per_tip) and known.get("ibd") != 0:
        return dict.fromkeys(source.values, f"later   ({source.name} is not asked in initial block download)")
    began = time.perf_counter()
    problem, values = "", dict[str, object]()
    try:
        values.update(await session.read(source))
    except CallFailed as error:
        problem = f"FAILS   {error}{_remedy(str(error))}"
        if isinstance(error, PartlyFailed):
            values.update(error.values)
    known.update(values)
    how = f"({source.name}, {(time.perf_counter() - began) * 1000:.1f} ms)"
    return {
        metric: _value(metric, values[metric], how) if metric in values else problem for metric in source.values
    }


def _remedy(error: str) -> str:
    return next((f"; {remedy}" for words, remedy in REMEDIES.items() if words in error), "")


def _value(metric: str, value: object, how: str) -> str:
    if METRICS[metric].lifetime == "process":
        return f"works   counted from now on  {how}"
    if value is None or value == {}:
        return f"absent  {NO_VALUE.get(metric, 'the node has no value')}  {how}"
    if isinstance(value, Mapping):
        value = ", ".join(f"{label} {number}" for label, number in value.items() if number) or "0"
    return f"works   = {value}  {how}"


def _group(group: str, dialect: Dialect, said: Mapping[str, str], config: Config) -> Iterator[str]:
    for metric, origin in dialect.origins.items():
        if METRICS[metric].group != group or origin is None:
            continue
        text = said.get(metric, "")
        if isinstance(origin, Pushed | Followed):
            off = config.no_utxo_trace and _is_traced(origin)
            text = "off     (--no-utxo-trace)" if off else f"works   counted as it happens  ({origin})"
        state, _, rest = text.partition(" ")
        yield f"  {state:<7} {MEASUREMENT}_{metric} {rest.strip()}".rstrip()


def _missing(dialect: Dialect, wanted: set[str] | frozenset[str]) -> Iterator[str]:
    """Say which metrics of the groups that are on the dialect does not give, by reason."""
    reasons: dict[str, list[str]] = {}
    for metric, origin in dialect.origins.items():
        if origin is None and METRICS[metric].group in wanted:
            reasons.setdefault(_reason(metric), []).append(f"{MEASUREMENT}_{metric}")
    for reason, metrics in reasons.items():
        yield from ("", f"absent, for {reason}:", *(f"  {metric}" for metric in metrics))


def _reason(metric: str) -> str:
    origin = TRACING.origins[metric]
    if _is_traced(origin):
        return WITHOUT_TRACING
    return WITHOUT_CHAIN if STOCK.origins[metric] is None else WITHOUT_RPC


def _is_traced(origin: Origin) -> bool:
    return isinstance(origin, Pushed) and origin.subscription is Subscription.UTXO_CACHE


def _off(dialect: Dialect, wanted: set[str] | frozenset[str]) -> Iterator[str]:
    off = [group for group in GROUPS if group not in wanted]
    if off:
        yield ""
    for group in off:
        calls = {
            origin.call.name: None
            for metric, origin in dialect.origins.items()
            if METRICS[metric].group == group and isinstance(origin, Polled)
        }
        cost = f" (with {', '.join(calls)})" if calls else ""
        yield f"off: group {group}, {GROUPS[group]}; --metrics adds it{cost}"
