"""Each kind of node, over a socket pair: recognised, read, and told of its tips."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.in_process import BLOCKS, VERSIONS, WITH_RPC, Node, busy_node, session_with, spoil, until

from telegraf_bitcoin_ipc.collect.dialect import Polled
from telegraf_bitcoin_ipc.collect.values import Block
from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS

ALL = [dialect.name for dialect in DIALECTS]
TIPS_ONLY = ["stock", "stock-31", "stock-30"]


@pytest.mark.parametrize("dialect", ALL)
async def test_node_is_recognised_and_read(dialect: str) -> None:
    """Each kind of node is known by what it offers; every call of its table gives its metrics their values."""
    node = busy_node()
    async with session_with(node, dialect) as session:
        assert session.dialect.name == dialect
        assert session.version == VERSIONS.get(dialect, "")
        assert session.chain == ("regtest" if dialect in WITH_RPC else "")
        assert dialect in str(session)
        known: dict[str, Any] = {}
        for source in session.dialect.polled():
            known |= await session.read(source)
        if session.dialect.statistics is not None:
            known |= await session.read(session.dialect.statistics.of_block(BLOCKS))
        polled = {name for name, origin in session.dialect.origins.items() if isinstance(origin, Polled)}
        assert {name for name, value in known.items() if value not in (None, {})} == polled
        assert (known["chain_height"], known["ibd"]) == (BLOCKS, 0)
        if dialect in WITH_RPC:
            assert (known["peers"], known["bytes_recv_total"]) == (5, 5000)
            assert known["fee_estimate_sat_per_vb"] == {"2": 12.0, "6": 5.0, "144": 1.0}
            assert known["last_block_transactions"] == 1


@pytest.mark.parametrize("dialect", WITH_RPC)
async def test_header(monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    """A block's header says where it stands, also of the genesis block and of one off the active chain."""
    node = Node()
    async with session_with(node, dialect) as session:
        tip, before = (node.model.chain.blocks[height].hash[::-1].hex() for height in (BLOCKS, BLOCKS - 1))
        genesis = node.model.chain.blocks[0].hash[::-1].hex()
        assert await session.header(tip) == (tip, before, BLOCKS, 1)
        assert (await session.header(genesis))[1:3] == ("", 0)
        node.model.disconnect_tip()
        assert (await session.header(tip)).previous == before
        with pytest.raises(CallFailed, match="getblockheader: Block not found"):
            await session.header("00" * 32)
        spoil(monkeypatch, "getblockheader", lambda params, result: {"height": "high"})
        with pytest.raises(CallFailed, match="getblockheader: the answer is malformed"):
            await session.header(tip)


@pytest.mark.parametrize("dialect", TIPS_ONLY)
async def test_tips_are_told(dialect: str) -> None:
    """A node without notifications has its tips told: the present one, each new one, and then its stop."""
    node, told = Node(), list[Block]()

    async def take(tip: Block) -> None:
        told.append(tip)

    async with session_with(node, dialect) as session:
        task = asyncio.ensure_future(session.follow_tip(take))
        await until(lambda: len(told) == 1)
        await node.connect_block()
        await until(lambda: len(told) == 2)
        await node.perform("disconnect", node.model.disconnect_tip())
        await until(lambda: len(told) == 3)
        await node.shut_down()
        with pytest.raises(NodeUnavailable, match="the node is stopping"):
            await task
    assert [tip.height for tip in told] == [BLOCKS, BLOCKS + 1, BLOCKS]
    assert told[0].hash == told[2].hash == node.model.tip_hash[::-1].hex()
