"""`check`: what it says of each metric, why one is missing or fails, and what could be done about it."""

import json
import random
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from telegraf_bitcoin_ipc import check
from telegraf_bitcoin_ipc.collect.absence import NOT_OFFERED, Reason
from telegraf_bitcoin_ipc.collect.metrics import GROUPS, METRICS
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS, make_config
from telegraf_bitcoin_ipc.errors import CallFailed, DataPruned, NotAllowed, NotAnswered, PartlyFailed
from telegraf_bitcoin_ipc.ipc.connection import Connection
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS, STOCK, STOCK_31, Dialect, Source
from telegraf_bitcoin_ipc.ipc.guard_process import Guarded
from telegraf_bitcoin_ipc.ipc.jsonrpc import parameters
from telegraf_bitcoin_ipc.ipc.origins import RPC
from telegraf_bitcoin_ipc.ipc.session import Session
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.methods import answer

NOW = 1_700_000_000
ALL_GROUPS = ",".join(CHOOSABLE_GROUPS)


class FakeSession:
    """A session with a node without a socket: JSON-RPC answers are the simulated node's."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.version, self.chain = ("/Satoshi:31.99.0/", "regtest") if dialect is STOCK else ("", "")
        self.model = Model(rng=random.Random(1), now=NOW, blocks=3)
        self.failing: dict[str, CallFailed] = {}
        self.asked: list[str] = []

    async def read(self, source: Source) -> dict[str, Any]:
        self.asked.append(source.name)
        if source.name in self.failing:
            raise self.failing[source.name]
        call = source.call
        if call.interface != RPC:
            tip = SimpleNamespace(height=self.model.height)
            said: Any = SimpleNamespace(
                result=self.model.ibd if call.method.startswith("is") else tip, hasResult=True
            )
        elif call.each:
            said = {str(value): self._rpc(call.method, value) for value in call.each}
        else:
            said = self._rpc(call.method, *(value for _, value in call.arguments))
        return {metric: read(said) for metric, read in source.values.items()}

    def _rpc(self, method: str, *values: Any) -> Any:
        params = json.loads(parameters(values))
        return answer(self.model, method, params, now=NOW + 60, started=NOW, subversion="/Satoshi:31.99.0/")


class Checked:
    """A node, and what `check` says of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.session = FakeSession(STOCK)
        self.guard: Guarded | None = None
        self.fine = False

    def report(self, **options: Any) -> str:
        """Return the text of a check."""

        @asynccontextmanager
        async def look_at(node_socket: object, *, unguarded: bool) -> AsyncIterator[Any]:
            yield Connection(cast(Session, self.session), self.guard, may_subscribe=True)

        self._monkeypatch.setattr(check, "look_at", look_at)
        lines, self.fine = check.report(make_config({"socket": "/run/node.sock", **options}))
        return "\n".join(lines)

    def line(self, metric: str, **options: Any) -> str:
        """Return what is said of a metric, without the time that it took."""
        (line,) = re.findall(rf"^  (.*\bbitcoin_{metric}\b.*)$", self.report(**options), re.MULTILINE)
        return re.sub(r"[0-9.]+ ms", "N ms", str(line))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Return the check of a stock node with three blocks."""
    return Checked(monkeypatch)


def test_identity(checked: Checked) -> None:
    """The first lines say what the node is, in words an operator knows."""
    assert checked.report().splitlines()[:4] == [
        "socket   /run/node.sock",
        "version  /Satoshi:31.99.0/",
        "chain    regtest",
        "dialect  stock (Bitcoin Core 32 or later: Mining and Rpc interfaces)",
    ]


@pytest.mark.parametrize(("standing", "said"), [(True, " (a standing guard)"), (False, "")])
def test_a_standing_guard_is_mentioned(checked: Checked, standing: bool, said: str) -> None:
    """Whose socket it is, is said with its path, where it is not the node's own."""
    with socket.socket() as connection:
        checked.guard = Guarded(connection, dict, standing=standing)
        assert checked.report().splitlines()[0] == f"socket   /run/node.sock{said}"


def test_unknown_identity(checked: Checked) -> None:
    """A node that does not tell its version is not given one."""
    checked.session = FakeSession(STOCK_31)
    assert checked.report().splitlines()[1:4] == [
        "version  unknown",
        "chain    unknown",
        "dialect  stock-31 (Bitcoin Core 31: Mining interface only)",
    ]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_is_explained(dialect: Dialect) -> None:
    """No dialect is named without a word on what it is."""
    assert dialect.name in check.KINDS


def test_value(checked: Checked) -> None:
    """What works shows its value, its call and how long that took."""
    assert checked.line("chain_height") == "works   bitcoin_chain_height = 3  (getblockchaininfo, N ms)"
    assert checked.fine


def test_counted_values(checked: Checked) -> None:
    """What is counted has no value yet, and what is pushed names where it comes from."""
    line = checked.line("blocks_connected_total")
    assert line == "works   bitcoin_blocks_connected_total counted as it happens  (getblockheader)"
    line = checked.line("p2p_bytes_recv_total", metrics=ALL_GROUPS)
    assert line == "works   bitcoin_p2p_bytes_recv_total counted from now on  (getpeerinfo, N ms)"


def test_labelled_values(checked: Checked) -> None:
    """Of values by tag those that are not 0 are shown, and 0 where all are."""
    line = checked.line("peers_by_direction")
    assert line == "works   bitcoin_peers_by_direction = 0  (getnetworkinfo, N ms)"
    checked.session.model.peers.change(2, 1)
    assert "inbound 2, outbound 1" in checked.line("peers_by_direction")


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("chain_prune_height", "the node does not prune"),
        ("fee_estimate_sat_per_vb", "the node does not have enough data to estimate fees yet"),
        ("index_height", "the node has no optional index; -txindex=1, for instance, creates one"),
        ("index_synced", "the node has no optional index; -txindex=1, for instance, creates one"),
        ("peer_ping_seconds", "no peer has answered a ping yet"),
    ],
)
def test_no_value(checked: Checked, metric: str, why: str) -> None:
    """A metric that the node has no value for is no failure, and says why there is none."""
    assert checked.line(metric, metrics=ALL_GROUPS).startswith(f"absent  bitcoin_{metric} {why}  (")
    assert checked.fine


def test_reasons_are_of_metrics() -> None:
    """Reasons are given for metrics that there are."""
    assert set(check.NO_VALUE) <= set(METRICS)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (CallFailed("no method", -32601), "this version of the node does not have the method"),
        (DataPruned("no block", -1), "-prune=0 keeps all of them"),
        (NotAllowed("no"), "-rpcwhitelist=telegraf-bitcoin-ipc:"),
        (NotAnswered("nothing"), "its debug.log may show why"),
    ],
)
def test_failure(checked: Checked, error: CallFailed, remedy: str) -> None:
    """A call that fails marks its metrics with the node's words and what to do, and makes the check fail."""
    checked.session.failing["uptime"] = error
    line = checked.line("uptime_seconds")
    assert line.startswith(f"FAILS   bitcoin_uptime_seconds {error}; ")
    assert remedy in line
    assert not checked.fine


def test_failure_without_a_remedy(checked: Checked) -> None:
    """Where nothing is known that would help, nothing is advised."""
    checked.session.failing["uptime"] = CallFailed("uptime: no luck (error -1)", -1)
    assert checked.line("uptime_seconds") == "FAILS   bitcoin_uptime_seconds uptime: no luck (error -1)"


def test_failure_in_part(checked: Checked) -> None:
    """The remedy for a call that failed in part is the one for what failed; the other values are shown."""
    partly = PartlyFailed("getnetworkinfo: no", {"peers": 8})
    partly.__cause__ = NotAllowed("getnetworkinfo: no")
    checked.session.failing["getnetworkinfo"] = partly
    assert checked.line("peers").startswith("works   bitcoin_peers = 8  (")
    assert "; -rpcwhitelist=" in checked.line("network_active")
    assert not checked.fine


def test_failure_costs_its_own_metrics(checked: Checked) -> None:
    """The other calls are made all the same."""
    checked.session.failing["getblockchaininfo"] = CallFailed("no luck", -1)
    text = checked.report()
    assert "FAILS   bitcoin_difficulty" in text
    assert "works   bitcoin_mempool_size" in text


def test_initial_block_download(checked: Checked) -> None:
    """In the download nothing is asked that is not asked then, and it is said so."""
    checked.session.model.ibd = True
    line = checked.line("last_block_inputs")
    assert line == "later   bitcoin_last_block_inputs (getblockstats is not called during initial block download)"
    assert checked.line("chain_tips").startswith("later   bitcoin_chain_tips (getchaintips is not called during")
    assert {"getblockstats", "getchaintips"}.isdisjoint(checked.session.asked)
    assert checked.fine


def test_last_block(checked: Checked) -> None:
    """Out of the download the tip's statistics are asked for."""
    assert checked.line("last_block_transactions").startswith(
        "works   bitcoin_last_block_transactions = 1  (getblock"
    )


def test_groups_that_are_off(checked: Checked) -> None:
    """A group that is off is not asked for; it says what it would hold, and what it would cost."""
    text = checked.report(metrics="none")
    assert not set(checked.session.asked) & {"getpeerinfo", "getblockstats", "uptime", "estimatesmartfee"}
    off = re.findall(r"^off: group (\w+), (.*); --metrics adds it(.*)$", text, re.MULTILINE)
    assert [(group, held) for group, held, _ in off] == [(group, GROUPS[group]) for group in CHOOSABLE_GROUPS]
    assert ("peers", GROUPS["peers"], " (with getpeerinfo, listbanned)") in off
    checked.session = FakeSession(STOCK_31)
    assert f"off: group peers, {GROUPS['peers']}; this node does not offer it" in checked.report()


def test_a_call_shows_nothing_of_a_group_that_is_off(checked: Checked) -> None:
    """A call that serves several groups is made for the one that is on, and shows nothing of the other."""
    text = checked.report(metrics="none")
    assert "bitcoin_peers =" in text
    assert "bitcoin_network_active" not in text


def test_nothing_is_off(checked: Checked) -> None:
    """With all groups on no line speaks of groups that are off."""
    assert "off:" not in checked.report(metrics=ALL_GROUPS)


@pytest.mark.parametrize(
    ("dialect", "reason", "metric"),
    [
        (STOCK, Reason.NO_TRACING, "utxo_cache_add_total"),
        (STOCK, Reason.NO_CHAIN, "mempool_tx_added_total"),
        (STOCK_31, Reason.NO_TRACING, "utxo_cache_add_total"),
        (STOCK_31, Reason.NO_CHAIN, "chain_state_flushes_total"),
        (STOCK_31, Reason.NO_RPC, "mempool_size"),
    ],
)
def test_what_a_dialect_does_not_give(checked: Checked, dialect: Dialect, reason: Reason, metric: str) -> None:
    """Metrics that the kind of node does not give are listed under the reason, which is no failure."""
    checked.session = FakeSession(dialect)
    listed = checked.report(metrics=ALL_GROUPS).partition(f"absent because {check.LACKING[reason]}:\n")[2]
    assert f"  bitcoin_{metric}" in listed.partition("\n\n")[0].splitlines()
    assert checked.fine


def test_every_lack_is_explained() -> None:
    """Whatever a kind of node may lack, the operator reads what it means."""
    assert check.LACKING.keys() == NOT_OFFERED


@pytest.mark.parametrize("dialect", [STOCK, STOCK_31], ids=lambda dialect: dialect.name)
def test_every_metric_is_spoken_of(checked: Checked, dialect: Dialect) -> None:
    """Each metric of a node has exactly one line."""
    checked.session = FakeSession(dialect)
    named = re.findall(r"^  .*?\bbitcoin_(\w+)", checked.report(metrics=ALL_GROUPS), re.MULTILINE)
    assert sorted(named) == sorted(dialect.origins)


def test_no_utxo_trace(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was switched off is said to be so, and not to be missing."""
    tracing = next(dialect for dialect in DIALECTS if dialect.name == "tracing")
    checked.session = FakeSession(tracing)

    async def read(source: Source) -> dict[str, Any]:
        return dict.fromkeys(source.values)

    monkeypatch.setattr(checked.session, "read", read)
    line = checked.line("utxo_cache_add_total", no_utxo_trace=True)
    assert line == "off     bitcoin_utxo_cache_add_total (--no-utxo-trace)"
    line = checked.line("utxo_cache_add_total")
    assert line == "works   bitcoin_utxo_cache_add_total counted as it happens  (UtxoCacheTrace.add)"
