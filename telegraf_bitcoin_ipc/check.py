"""The command `check`: reports what a node is, which metrics work, which do not, why, and what would help."""

import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.collect.dialect import NOT_OFFERED, Dialect, Polled, Reason, Source, why
from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, GROUPS, MEASUREMENT, METRICS
from telegraf_bitcoin_ipc.config import Config
from telegraf_bitcoin_ipc.errors import CallFailed, DataPruned, NotAllowed, NotAnswered, PartlyFailed
from telegraf_bitcoin_ipc.ipc.connection import Connection, look_at, run
from telegraf_bitcoin_ipc.ipc.jsonrpc import METHOD_NOT_FOUND
from telegraf_bitcoin_ipc.ipc.node_socket import NodeSocket
from telegraf_bitcoin_ipc.ipc.session import Session

KINDS: Final = {
    "tracing": "Chain, Node, Mining and Tracing interfaces",
    "chain": "Chain, Node and Mining interfaces",
    "stock-chain": "Mining, Rpc and Chain interfaces",
    "stock": "Bitcoin Core 32 or later: Mining and Rpc interfaces",
    "stock-31": "Bitcoin Core 31: Mining interface only",
    "stock-30": "Bitcoin Core 30: Mining interface only",
}

LACKING: Final = {
    Reason.NO_TRACING: "this node has no Tracing interface; a node built with one offers them",
    Reason.NO_CHAIN: "this node has no Chain interface, so it reports no mempool events and no flushes; "
    "a node built with one offers them",
    Reason.NO_RPC: "this node has no JSON-RPC on its IPC socket; Bitcoin Core 32 or later offers them",
}

NO_VALUE: Final = {
    "chain_prune_height": "the node does not prune",
    "fee_estimate_sat_per_vb": "the node does not have enough data to estimate fees yet",
    "index_height": "the node has no optional index; -txindex=1, for instance, creates one",
    "index_synced": "the node has no optional index; -txindex=1, for instance, creates one",
    "peer_ping_seconds": "no peer has answered a ping yet",
}
"""Why there is no value although the call works."""


class State(StrEnum):
    """The status of a metric."""

    WORKS = "works"
    ABSENT = "absent"
    FAILS = "FAILS"
    LATER = "later"
    OFF = "off"


class Finding(NamedTuple):
    """The result for one metric: its value, or why there is none, what would help, and what the call cost."""

    state: State
    value: str
    remedy: str = ""
    cost: str = ""

    def __str__(self) -> str:
        text = f"{self.value}; {self.remedy}" if self.remedy else self.value
        return f"{text}  ({self.cost})" if self.cost else text


def report(config: Config) -> tuple[list[str], bool]:
    """Return the lines to print, and whether every call succeeded. Raises NodeUnavailable or UnsupportedNode."""
    return run(_report(config))


async def _report(config: Config) -> tuple[list[str], bool]:
    async with look_at(NodeSocket(config.socket), unguarded=config.no_guard) as connection:
        session = connection.session
        findings = _events(session.dialect, config) | await _polled(session, config)
    lines = [
        *_identity(config.socket, connection),
        *_by_group(session.dialect, findings),
        *_not_offered(session.dialect, config),
        *_off(session.dialect, config),
    ]
    return lines, all(finding.state is not State.FAILS for finding in findings.values())


def _events(dialect: Dialect, config: Config) -> dict[str, Finding]:
    """Return the findings about the metrics that are made from events."""
    findings = {}
    for metric, origin in dialect.origins.items():
        reason = why(metric, dialect, config.metrics, no_utxo_trace=config.no_utxo_trace)
        if reason is Reason.TRACE_OFF:
            findings[metric] = Finding(State.OFF, "(--no-utxo-trace)")
        elif reason is Reason.NO_VALUE and not isinstance(origin, Polled):
            findings[metric] = Finding(State.WORKS, "counted as it happens", cost=str(origin))
    return findings


async def _polled(session: Session, config: Config) -> dict[str, Finding]:
    """Make every call of a poll once, and return the findings about its metrics."""
    findings: dict[str, Finding] = {}
    known: dict[str, object] = {}
    for source in session.dialect.polled(config.fee_targets):
        findings |= await _of_source(session, source, config, known)
    statistics, height = session.dialect.statistics, known.get("chain_height")
    if statistics is not None and isinstance(height, int):
        findings |= await _of_source(session, statistics.of_block(height), config, known)
    return findings


async def _of_source(
    session: Session, source: Source, config: Config, known: dict[str, object]
) -> dict[str, Finding]:
    """Make a call and return the findings about its metrics; add their values to `known`."""
    downloading = known.get("ibd") != 0
    reasons = {
        metric: why(metric, session.dialect, config.metrics, downloading=downloading) for metric in source.values
    }
    if Reason.NO_VALUE not in reasons.values():
        later = Finding(State.LATER, f"({source.name} is not called during initial block download)")
        return {metric: later for metric, reason in reasons.items() if reason is Reason.DOWNLOADING}
    began = time.perf_counter()
    values: dict[str, object] = {}
    problem = None
    try:
        values |= await session.read(source)
    except CallFailed as error:
        problem = error
        if isinstance(error, PartlyFailed):
            values |= error.values
    known.update(values)
    cost = f"{source.name}, {(time.perf_counter() - began) * 1000:.1f} ms"
    failed = Finding(State.FAILS, str(problem), _remedy(problem))
    return {
        metric: _value(metric, values[metric], cost) if metric in values else failed
        for metric, reason in reasons.items()
        if reason is Reason.NO_VALUE
    }


def _remedy(error: BaseException | None) -> str:
    """Return what a node's operator can do about a failed call; empty if nothing is known to help."""
    match error:
        case PartlyFailed():
            return _remedy(error.__cause__)
        case NotAnswered():
            return "the node is very busy, or hangs: its debug.log may show why"
        case NotAllowed():
            return "-rpcwhitelist=telegraf-bitcoin-ipc:METHOD,... allows it"
        case DataPruned():
            return "the node has pruned the block; -prune=0 keeps all of them"
        case CallFailed(code=code) if code == METHOD_NOT_FOUND:
            return "this version of the node does not have the method; a newer one does"
    return ""


def _value(metric: str, value: object, cost: str) -> Finding:
    if METRICS[metric].lifetime == "process":
        return Finding(State.WORKS, "counted from now on", cost=cost)
    if value is None or value == {}:
        return Finding(State.ABSENT, NO_VALUE.get(metric, "the node has no value"), cost=cost)
    if isinstance(value, Mapping):
        value = ", ".join(f"{label} {number}" for label, number in value.items() if number) or "0"
    return Finding(State.WORKS, f"= {value}", cost=cost)


def _identity(socket: str, connection: Connection) -> Iterator[str]:
    session, guard = connection.session, connection.guard
    yield f"socket   {socket}{' (a standing guard)' if guard is not None and guard.standing else ''}"
    yield f"version  {session.version or 'unknown'}"
    yield f"chain    {session.chain or 'unknown'}"
    yield f"dialect  {session.dialect.name} ({KINDS[session.dialect.name]})"


def _by_group(dialect: Dialect, findings: Mapping[str, Finding]) -> Iterator[str]:
    for group in GROUPS:
        found = [metric for metric in dialect.origins if metric in findings and METRICS[metric].group == group]
        if found:
            yield from ("", f"{group}:")
        for metric in found:
            yield f"  {findings[metric].state:<7} {MEASUREMENT}_{metric} {findings[metric]}"


def _not_offered(dialect: Dialect, config: Config) -> Iterator[str]:
    """Yield the metrics of the chosen groups that the dialect does not offer, by reason."""
    lacking: dict[Reason, list[str]] = {}
    for metric in dialect.origins:
        reason = why(metric, dialect, config.metrics)
        if reason in NOT_OFFERED:
            lacking.setdefault(reason, []).append(f"{MEASUREMENT}_{metric}")
    for reason, metrics in lacking.items():
        yield from ("", f"absent because {LACKING[reason]}:", *(f"  {metric}" for metric in metrics))


def _off(dialect: Dialect, config: Config) -> Iterator[str]:
    """Yield the groups that are off, with the calls that each would add."""
    off = [group for group in GROUPS if group not in ALWAYS_ON | set(config.metrics)]
    if off:
        yield ""
    for group in off:
        calls = ", ".join(call.name for call in dialect.calls(group))
        remedy = f"--metrics adds it (with {calls})" if calls else "this node does not offer it"
        yield f"off: group {group}, {GROUPS[group]}; {remedy}"
