"""A node with chain notifications beside JSON-RPC: recognised without harm; its events agree with its polls."""

from __future__ import annotations

import functools
import random
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.frames import CHAIN, INIT, interface_id, method_id, reading
from support.in_process import NOW, Node, relayed_session, session_with
from support.nodes import Plugin, Series, SimulatedNode, StartNode, StartPlugin, value

from telegraf_bitcoin_ipc.collect.events import ActiveChain, ChainEvents
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tags import Subscription
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.ipc import dialects, handshake, schema
from telegraf_bitcoin_ipc.simnode import dialects as simnode_dialects
from telegraf_bitcoin_ipc.simnode.events import RemovalReason

GOLDEN = Path(__file__).parents[1] / "golden"

OF_THE_KIND = {"node_info", "subscription_active", "plugin_info", "poll_errors_total"}
"""What tells which kind of node it is, and how it is asked."""

OF_THE_SOURCE = {"block_height", "tip_updates_total"}
"""What waiting for a tip cannot show as events do: a tip that is replaced at once, and the last block *connected*
rather than the tip after a disconnection."""


def golden(dialect: str) -> dict[str, str]:
    """What the golden file of a dialect shows of each series."""
    lines = (GOLDEN / f"{dialect}.txt").read_text().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines)


def test_the_same_history_gives_the_same_figures() -> None:
    """Whether a counter is made from events or from headers, it says the same after the same life."""
    tracing, chain, stock = (golden(name) for name in ("tracing", "stock-chain", "stock"))
    common = {
        name
        for name in tracing.keys() & chain.keys() & stock.keys()
        if name.partition("{")[0] not in OF_THE_KIND | OF_THE_SOURCE
    }
    assert {"blocks_connected_total", "blocks_disconnected_total", "reorgs_total", "utxo_created_total"} <= common
    assert [name for name in sorted(common) if not tracing[name] == chain[name] == stock[name]] == []
    assert {name: tracing[name] for name in OF_THE_SOURCE} == {name: chain[name] for name in OF_THE_SOURCE}
    lacking = {name for name in tracing.keys() - chain.keys() if name.partition("{")[0] not in OF_THE_KIND}
    assert lacking
    assert all(name.startswith("utxo_cache_") for name in lacking)


async def test_nothing_of_the_chain_is_asked_before_makemining_has_answered() -> None:
    """A node that stops or loads is harmed by methods of Chain: makeMining tells first that it does neither."""
    asked: list[tuple[int, int]] = []

    def heard(is_node: bool, frame: bytes) -> bytes:
        with reading(frame) as message:
            if not is_node and message.which() == "call":
                asked.append((message.call.interfaceId, message.call.methodId))
        return frame

    node = Node()
    async with relayed_session(node, "stock-chain", heard) as session:
        assert session.dialect is dialects.STOCK_CHAIN
    mining = asked.index((interface_id(INIT), method_id(INIT, "makeMining")))
    of_chain = [place for place, (interface, _) in enumerate(asked) if interface == interface_id(CHAIN)]
    assert of_chain
    assert min(of_chain) > mining
    assert (interface_id(INIT), method_id(INIT, "makeTracing")) not in asked, "elsewhere that is makeWalletLoader"


# An upgrade, and back

KINDS = ["stock", "stock-chain", "tracing", "stock-chain", "stock"]


def test_a_node_that_changes_its_kind_goes_on(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """Counters neither jump nor fall when the node comes back as another kind, whatever they are made from."""
    blocks = 0
    plugin: Plugin | None = None
    for kind in KINDS:
        node: SimulatedNode = start_node("--dialect", kind, "--seed", "1")
        plugin = plugin or start_plugin("--poll-interval", "0.1", "--metrics", "blocks,mempool")
        plugin.shows(partial(of_kind, kind=kind), f"a session with {kind}")
        for _ in range(3):
            shows(plugin, "block_height", node.do("block")["height"])
            blocks += 1
        series = shows(plugin, "blocks_connected_total", blocks)
        assert value(series, "blocks_disconnected_total") == 0
        assert node.stop() == 0, node.log
        shows(plugin, "up", 0)
    assert plugin is not None
    counters = [value(series, "blocks_connected_total") for series in plugin.emissions]
    known = [number for number in counters if number is not None]
    assert known == sorted(known)


def shows(plugin: Plugin, field: str, number: int) -> Series:
    """Wait until the plugin shows that value, and return what it shows."""
    return plugin.shows(lambda series: value(series, field) == number, f"{field} {number}")


def of_kind(series: Series, kind: str) -> bool:
    """Whether a node of that kind is watched, with its subscriptions made, or else its first tip known."""
    wanted = dialects.BY_NAME[kind].subscriptions
    if not wanted and value(series, "block_height") is None:
        return False
    return any(field == "node_info" and ("dialect", kind) in tags for field, tags in series) and all(
        value(series, "subscription_active", subscription=each) == int(each in wanted) for each in Subscription
    )


# Two ends of one wire

HOUR, POLL = 3600, 60


async def test_events_agree_with_polls_over_an_hour() -> None:
    """What events add up to is what a poll shows: the mempool's size, and the height."""
    node, store = Node(), Store(CHOOSABLE_GROUPS)
    chain = ActiveChain(store)
    async with session_with(node, "stock-chain") as session:
        await session.subscribe_chain(ChainEvents(store, chain, lambda: None))
        store.start(*session.dialect.event_metrics(Subscription.CHAIN))
        (info,) = (each for each in session.dialect.polled() if each.name == "getmempoolinfo")
        (about,) = (each for each in session.dialect.polled() if each.name == "getblockchaininfo")
        before: dict[str, Any] = await session.read(info) | await session.read(about)
        rng = random.Random(7)
        for second in range(1, HOUR + 1):
            await one_second(node, rng, NOW + second)
            if second % POLL == 0:
                await node.settle("poll")
                polled: dict[str, Any] = await session.read(info) | await session.read(about)
                counted = {sample.name: sample.value for sample in store.samples() if not sample.tags}
                assert polled["mempool_size"] == before["mempool_size"] + (
                    counted["mempool_tx_added_total"]
                    - counted["mempool_tx_removed_total"]
                    - counted["mempool_tx_confirmed_total"]
                )
                assert polled["chain_height"] == before["chain_height"] + (
                    counted["blocks_connected_total"] - counted["blocks_disconnected_total"]
                )
        assert counted["blocks_disconnected_total"] > 0
        assert counted["mempool_tx_removed_total"] > 0


async def one_second(node: Node, rng: random.Random, now: int) -> None:
    """Have a node live for a second: transactions, removals, blocks, reorganisations at random."""
    model = node.model
    await node.perform("accept", model.accept_transaction(now))
    chance = rng.random()
    if chance < 0.05:
        await node.perform("remove", model.remove_transaction(RemovalReason.EXPIRY))
    elif chance < 0.1:
        await node.perform("replace", model.replace_transaction(now))
    elif chance < 0.12:
        await node.perform("block", model.connect_block(now))
    elif chance < 0.125:
        await node.perform("reorg", model.reorg(now, 2))


# The one after


async def test_the_next_dialect_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invented Tracing interface on this Init takes a schema, a row here and one in the simulated node."""
    name, root = "stock-tracing", tmp_path / "schema"
    shutil.copytree(schema.directory(), root)
    init = (root / "init" / "stock-chain.capnp").read_text()
    init = init.replace(
        "makeChain @5 (context :Context) -> (result :Chain);",
        "makeChain @5 (context :Context) -> (result :Chain);\n"
        "  makeTracing @6 (context :Context) -> (result :Tracing);",
    )
    init = init.replace("interface Init", 'using Tracing = import "/tracing.capnp".Tracing;\n\ninterface Init')
    (root / "init" / f"{name}.capnp").write_text(init)
    monkeypatch.setattr(schema, "directory", lambda: root)
    interfaces = (*schema.INTERFACES["stock-chain"], "tracing")
    monkeypatch.setitem(schema.INTERFACES, name, interfaces)
    rows = simnode_dialects.DIALECTS
    monkeypatch.setitem(rows, name, rows["stock-chain"])
    made = dialects.with_events(name, Subscription.CHAIN, Subscription.UTXO_CACHE)
    monkeypatch.setattr(handshake, "WITH_RPC", (*handshake.WITH_RPC, made))
    events: list[str] = []

    class Coins:
        def utxo(self, action: str, **_: Any) -> None:
            events.append(action)

    # With a cache of its own: clearing the other would free schemas of which parts are still in use.
    monkeypatch.setattr(schema, "load", functools.cache(schema.load.__wrapped__))
    node = Node()
    async with session_with(node, name) as session:
        assert session.dialect is made
        await session.subscribe_utxo_cache(Coins())
        await node.connect_block()
    assert events
    for known in ("stock", "stock-chain"):
        async with session_with(Node(), known) as session:
            assert session.dialect.name == known, "and what is known is recognised as before"
