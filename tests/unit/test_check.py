"""`check`: what it says of each metric, why one is missing or fails, and what could be done about it."""

import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.in_process import Node, session_with

from telegraf_bitcoin_ipc import check
from telegraf_bitcoin_ipc.collect.dialect import NOT_OFFERED, Dialect, Source
from telegraf_bitcoin_ipc.collect.metrics import GROUPS, METRICS
from telegraf_bitcoin_ipc.collect.values import Value
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS, make_config
from telegraf_bitcoin_ipc.errors import CallFailed, DataPruned, NotAllowed, NotAnswered, PartlyFailed
from telegraf_bitcoin_ipc.ipc.connection import Connection
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS, STOCK, STOCK_31, TRACING
from telegraf_bitcoin_ipc.ipc.guard_process import Guarded

GOLDEN = Path(__file__).parents[1] / "golden" / "check"

ALL_GROUPS = ",".join(CHOOSABLE_GROUPS)


class Checked:
    """A stock node, or one of another dialect, and what `check` says of it; it fails to answer `failing` calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.node, self.dialect = Node(), STOCK
        self.guard: Guarded | None = None
        self.failing: dict[str, CallFailed] = {}
        self.asked: list[str] = []
        self.fine = False
        monkeypatch.setattr(check, "look_at", self._look_at)

    @asynccontextmanager
    async def _look_at(self, node_socket: object, *, unguarded: bool) -> AsyncIterator[Connection]:
        async with session_with(self.node, self.dialect.name) as session:
            read = session.read

            async def read_or_fail(source: Source) -> dict[str, Value]:
                self.asked.append(source.name)
                if source.name in self.failing:
                    raise self.failing[source.name]
                return await read(source)

            self._monkeypatch.setattr(session, "read", read_or_fail)
            yield Connection(session, self.guard, may_subscribe=True)

    def report(self, **options: Any) -> str:
        """Return the text of a check, without the times that calls took."""
        lines, self.fine = check.report(make_config({"socket": "/run/node.sock", **options}))
        return re.sub(r"[0-9.]+ ms", "N ms", "\n".join(lines))

    def line(self, metric: str, **options: Any) -> str:
        """Return what is said of a metric."""
        (line,) = re.findall(rf"^  (.*\bbitcoin_{metric}\b.*)$", self.report(**options), re.MULTILINE)
        return str(line)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Return the check of a stock node with three blocks."""
    return Checked(monkeypatch)


@pytest.mark.parametrize("dialect", [STOCK, STOCK_31], ids=lambda dialect: dialect.name)
def test_whole_report(checked: Checked, dialect: Dialect, golden: Callable[[Path, str], None]) -> None:
    """What the node is, in words an operator knows, and each metric on exactly one line.

    What works shows its value, its call and how long that took; what is counted has no value yet, and what is
    pushed names where it comes from. What has no value is no failure, and says why there is none, as does what
    the kind of node does not give.
    """
    checked.dialect = dialect
    text = checked.report(metrics=ALL_GROUPS)
    golden(GOLDEN / f"{dialect.name}.txt", re.sub(r"(?<=uptime_seconds = )\d+", "N", text) + "\n")
    assert sorted(re.findall(r"^  .*?\bbitcoin_(\w+)", text, re.MULTILINE)) == sorted(dialect.origins)
    assert checked.fine


@pytest.mark.parametrize(("standing", "said"), [(True, " (a standing guard)"), (False, "")])
def test_a_standing_guard_is_mentioned(checked: Checked, standing: bool, said: str) -> None:
    """Whose socket it is, is said with its path, where it is not the node's own."""
    with socket.socket() as connection:
        checked.guard = Guarded(connection, dict, standing=standing)
        assert checked.report().splitlines()[0] == f"socket   /run/node.sock{said}"


def test_nothing_is_without_words() -> None:
    """Every dialect, and whatever one may lack, is explained; reasons are given for metrics that there are."""
    assert check.KINDS.keys() == {dialect.name for dialect in DIALECTS}
    assert check.LACKING.keys() == NOT_OFFERED
    assert set(check.NO_VALUE) <= set(METRICS)


def test_labelled_values(checked: Checked) -> None:
    """Of values by tag those that are not 0 are shown."""
    checked.node.model.peers.change(2, 1)
    assert "inbound 2, outbound 1" in checked.line("peers_by_direction")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (CallFailed("no method", -32601), "this version of the node does not have the method"),
        (DataPruned("no block", -1), "-prune=0 keeps all of them"),
        (NotAllowed("no"), "-rpcwhitelist=telegraf-bitcoin-ipc:"),
        (NotAnswered("nothing"), "its debug.log may show why"),
        (CallFailed("uptime: no luck (error -1)", -1), ""),  # where nothing is known to help, nothing is advised
    ],
)
def test_failure(checked: Checked, error: CallFailed, remedy: str) -> None:
    """A call that fails marks its metrics with the node's words and what to do, and makes the check fail.

    The other calls are made all the same.
    """
    checked.failing["uptime"] = error
    text, _, advice = checked.line("uptime_seconds").partition("; ")
    assert text == f"FAILS   bitcoin_uptime_seconds {error}"
    assert remedy in advice
    assert bool(remedy) == bool(advice)
    assert not checked.fine
    assert checked.line("mempool_size").startswith("works   bitcoin_mempool_size = 0")


def test_failure_in_part(checked: Checked) -> None:
    """The remedy for a call that failed in part is the one for what failed; the other values are shown."""
    partly = PartlyFailed("getnetworkinfo: no", {"peers": 8})
    partly.__cause__ = NotAllowed("getnetworkinfo: no")
    checked.failing["getnetworkinfo"] = partly
    assert checked.line("peers").startswith("works   bitcoin_peers = 8  (")
    assert "; -rpcwhitelist=" in checked.line("network_active")
    assert not checked.fine


def test_initial_block_download(checked: Checked) -> None:
    """In the download nothing is asked that is not asked then, and it is said so."""
    checked.node.model.ibd = True
    line = checked.line("last_block_inputs")
    assert line == "later   bitcoin_last_block_inputs (getblockstats is not called during initial block download)"
    assert checked.line("chain_tips").startswith("later   bitcoin_chain_tips (getchaintips is not called during")
    assert {"getblockstats", "getchaintips"}.isdisjoint(checked.asked)
    assert checked.fine


def test_groups_that_are_off(checked: Checked) -> None:
    """A group that is off is not asked for; it says what it would hold, and what it would cost.

    A call that serves several groups is made for the one that is on, and shows nothing of the other.
    """
    text = checked.report(metrics="none")
    assert not set(checked.asked) & {"getpeerinfo", "getblockstats", "uptime", "estimatesmartfee"}
    off = re.findall(r"^off: group (\w+), (.*); --metrics adds it(.*)$", text, re.MULTILINE)
    assert [(group, held) for group, held, _ in off] == [(group, GROUPS[group]) for group in CHOOSABLE_GROUPS]
    assert ("peers", GROUPS["peers"], " (with getpeerinfo, listbanned)") in off
    assert "bitcoin_peers =" in text
    assert "bitcoin_network_active" not in text
    checked.dialect = STOCK_31
    assert f"off: group peers, {GROUPS['peers']}; this node does not offer it" in checked.report()


def test_no_utxo_trace(checked: Checked) -> None:
    """What was switched off is said to be so, and not to be missing."""
    checked.dialect = TRACING
    line = checked.line("utxo_cache_add_total", no_utxo_trace=True)
    assert line == "off     bitcoin_utxo_cache_add_total (--no-utxo-trace)"
    line = checked.line("utxo_cache_add_total")
    assert line == "works   bitcoin_utxo_cache_add_total counted as it happens  (UtxoCacheTrace.add)"
