"""Blocks: each one's statistics once, in order; the last block's figures shown, the coins of all added up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telegraf_bitcoin_ipc.collect.blocks import LONGEST_QUEUE, Blocks
from telegraf_bitcoin_ipc.collect.dialect import Source
from telegraf_bitcoin_ipc.collect.polls import Poller
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block, Number, Value
from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable, NotAnswered, PartlyFailed
from telegraf_bitcoin_ipc.ipc.dialects import BLOCK_STATISTICS, STOCK


def statistics(number: int) -> dict[str, int]:
    """Return what getblockstats says of the block of that number: each block's figures differ."""
    return {
        "txs": 10 * number,
        "ins": number,
        "outs": 3 * number,
        "utxo_increase_actual": number,
        "total_size": 250 * number,
        "total_weight": 1000 * number,
        "totalfee": 5 * number,
        "subsidy": 50,
        "total_out": 100 * number,
        "time": 1_700_000_000 + number,
    }


def of_last(number: int) -> dict[str, Number]:
    """Return the last block's figures."""
    return {
        "last_block_transactions": 10 * number,
        "last_block_inputs": number,
        "last_block_outputs": 3 * number,
        "last_block_size_bytes": 250 * number,
        "last_block_weight": 1000 * number,
        "last_block_fee_sat": 5 * number,
        "last_block_subsidy_sat": 50,
        "last_block_value_sat": 100 * number,
        "last_block_timestamp_seconds": 1_700_000_000 + number,
    }


def coins(*numbers: int) -> dict[str, Number]:
    """Return the totals over blocks of those numbers."""
    total = sum(numbers)
    return {
        "utxo_created_total": 2 * total,
        "utxo_spent_total": total,
        "utxo_created_value_sat_total": 105 * total + 50 * len(numbers),
        "utxo_spent_value_sat_total": 105 * total,
    }


async def nothing() -> None:
    """Do nothing."""


class Node:
    """A node with three blocks, `a` 1, `b` 2 and `c` 3, and those at the heights 7 and 8; some may be pruned.

    It does not answer about those that are `silent`, and leaves the `lacking` metrics out.
    """

    def __init__(self) -> None:
        self.known: dict[str | int, int] = {"a": 1, "b": 2, "c": 3, 7: 7, 8: 8}
        self.asked: list[str | int] = []
        self.gone = False
        self.silent: set[str | int] = set()
        self.lacking: set[str] = set()
        self.on_ask: Callable[[], Awaitable[None]] = nothing

    async def read(self, source: Source) -> dict[str, Value]:
        (_, block), (_, wanted) = source.call.arguments
        assert wanted == BLOCK_STATISTICS
        self.asked.append(block)
        await self.on_ask()
        if self.gone:
            raise NodeUnavailable("the node closed the connection")
        if block in self.silent:
            raise NotAnswered("getblockstats: no answer within 10 seconds")
        if block not in self.known:
            raise CallFailed("getblockstats: Block not available (pruned data) (error -1)")
        said: Any = statistics(self.known[block])
        values = {metric: read(said) for metric, read in source.values.items() if metric not in self.lacking}
        if self.lacking:
            raise PartlyFailed("getblockstats: the answer is malformed", values)
        return values


class Watched:
    """A Blocks with its store."""

    def __init__(self, *groups: str) -> None:
        self.store = Store(groups)
        self.news = 0
        self.node = Node()
        self.blocks = Blocks(self.store, Poller(self.store, time), self._new)
        assert STOCK.statistics is not None
        self._statistics = STOCK.statistics

    def _new(self) -> None:
        self.news += 1

    def connect(self, *hashes: str) -> None:
        """Connect blocks, which nobody has looked at yet."""
        for block_hash in hashes:
            self.blocks.connected(Block(1, block_hash))

    def poll(self, ibd: Value = 0, height: Value = 7, *, pushed: bool = True) -> None:
        """Take what a poll found."""
        asyncio.run(self.look(ibd, height, pushed=pushed))

    async def look(self, ibd: Value, height: Value, *, pushed: bool = True) -> None:
        """Take what a poll found, which may be while something else is asked."""
        await self.blocks.polled(self.node, self._statistics, ibd, height, pushed=pushed)

    def catch_up(self) -> bool:
        """Ask for what was taken."""
        return asyncio.run(self.blocks.catch_up(self.node, self._statistics))

    @property
    def values(self) -> dict[str, Number]:
        """All values without tags."""
        return {name: value for name, tags, value in self.store.samples() if not tags}

    @property
    def errors(self) -> Number:
        """How often getblockstats failed."""
        return sum(value for name, _, value in self.store.samples() if name == "poll_errors_total")


@pytest.fixture
def watched() -> Watched:
    """Return one with the group on, and no poll yet."""
    return Watched("blocks")


def test_tip_at_the_first_poll(watched: Watched) -> None:
    """The block that was there before is shown, and not counted: its coins were not created now."""
    watched.poll()
    assert watched.node.asked == [7]
    assert watched.values == of_last(7) | coins()


def test_new_blocks(watched: Watched) -> None:
    """Each new block is asked for once, in the order of connection; the last is shown, all are counted."""
    watched.poll()
    watched.connect("a", "c", "b")
    assert watched.news == 3
    assert watched.catch_up()
    assert not watched.catch_up()
    assert watched.node.asked == [7, "a", "c", "b"]
    assert watched.values == of_last(2) | coins(1, 3, 2)


def test_block_during_the_work(watched: Watched) -> None:
    """A block that comes while another is asked for is asked for in the same go."""
    watched.poll()
    watched.connect("a")

    async def connect() -> None:
        if watched.node.asked == [7, "a"]:
            watched.connect("b")

    watched.node.on_ask = connect
    watched.catch_up()
    assert watched.node.asked == [7, "a", "b"]
    assert watched.values == of_last(2) | coins(1, 2)


def test_same_block_again(watched: Watched) -> None:
    """A block that is connected once more, after a reorganisation, counts once more."""
    watched.poll()
    watched.connect("a", "b", "a")
    watched.catch_up()
    assert watched.values == of_last(1) | coins(1, 2, 1)


def test_tip_is_not_looked_at_again(watched: Watched) -> None:
    """Where new blocks are told, a poll asks nothing more, whatever the height is."""
    watched.poll(height=7)
    watched.poll(height=7)
    watched.poll(height=8)
    assert watched.node.asked == [7]


def test_nobody_tells(watched: Watched) -> None:
    """Where nobody tells of blocks (no subscription) each poll that finds another height shows the tip."""
    for height in (7, 7, 8, 8, 7):
        watched.poll(height=height, pushed=False)
    assert watched.node.asked == [7, 8, 7]
    assert watched.values == of_last(7) | coins()


def test_initial_block_download(watched: Watched) -> None:
    """During the download no block is asked for, neither then nor after it."""
    watched.poll(ibd=1)
    watched.connect("a", "b")
    assert not watched.catch_up()
    watched.poll(ibd=1, height=8)
    assert (watched.node.asked, watched.values, watched.news) == ([], {}, 0)
    watched.poll(ibd=0, height=8)
    watched.connect("c")
    watched.catch_up()
    assert watched.node.asked == [8, "c"]
    assert watched.values == of_last(3) | coins(3)


def test_download_begins_again(watched: Watched) -> None:
    """Blocks that waited when a poll found the node in the download are let go."""
    watched.poll()
    watched.connect("a")
    watched.poll(ibd=1)
    watched.catch_up()
    assert watched.node.asked == [7]


def test_download_is_found_during_the_work(watched: Watched) -> None:
    """A poll that finds the download while a block is asked for lets the others go, and nothing breaks."""
    watched.poll()
    watched.connect("a", "b")
    watched.node.on_ask = lambda: watched.look(1, 8)
    watched.catch_up()
    assert not watched.catch_up()
    assert watched.node.asked == [7, "a"]


def test_unknown_download_waits(watched: Watched) -> None:
    """Before the first poll nobody knows: the blocks wait, and count when it finds no download."""
    watched.connect("a")
    assert not watched.catch_up()
    assert watched.node.asked == []
    watched.poll(ibd=0)
    watched.catch_up()
    assert watched.node.asked == [7, "a"]
    assert watched.values == of_last(1) | coins(1)


def test_poll_that_does_not_find_out(watched: Watched) -> None:
    """As long as nobody knows, blocks wait: a poll that does not find out loses none."""
    watched.connect("a")
    watched.poll(ibd=None)
    watched.connect("b")
    watched.poll(ibd=0)
    watched.catch_up()
    assert watched.node.asked == [7, "a", "b"]
    assert watched.values == of_last(2) | coins(1, 2)


def test_bound_of_what_waits(watched: Watched) -> None:
    """Of more blocks than may wait the oldest are dropped and counted; the newest are asked for."""
    names = [f"<{number}>" for number in range(LONGEST_QUEUE + 2)]
    watched.node.known |= dict.fromkeys(names, 1)
    watched.connect(*names)
    assert watched.values == {"events_dropped_total": 2}
    watched.poll()
    watched.catch_up()
    assert watched.node.asked == [7, *names[2:]]
    assert watched.values == of_last(1) | coins(*[1] * LONGEST_QUEUE) | {"events_dropped_total": 2}


def test_failed_poll_keeps_what_is_known(watched: Watched) -> None:
    """A poll that does not find out about the download changes nothing about it."""
    watched.poll()
    watched.poll(ibd=None, height=None)
    watched.connect("a")
    watched.catch_up()
    assert watched.values == of_last(1) | coins(1)


def test_failure(watched: Watched) -> None:
    """A block whose statistics fail costs its own figures: they are absent, not those of the block before."""
    watched.poll()
    watched.connect("a", "pruned")
    assert watched.catch_up()
    assert watched.errors == 1
    assert watched.values == coins(1)
    watched.connect("b")
    watched.catch_up()
    assert watched.values == of_last(2) | coins(1, 2)


def test_failure_in_the_middle(watched: Watched) -> None:
    """A block whose statistics fail costs no block after it, and is not asked for again."""
    watched.poll()
    watched.connect("a", "pruned", "b")
    assert watched.catch_up()
    assert watched.node.asked == [7, "a", "pruned", "b"]
    assert watched.values == of_last(2) | coins(1, 2)


def test_no_answer_in_time(watched: Watched) -> None:
    """Blocks about which the node does not answer wait, however often: in the end each has counted, once."""
    watched.poll()
    watched.node.silent = {"a", "b"}
    watched.connect("a", "b")
    for failures in (1, 2):
        assert not watched.catch_up()
        assert watched.errors == failures
        assert watched.values == of_last(7) | coins()
    watched.node.silent = {"b"}
    assert watched.catch_up()
    assert watched.values == of_last(1) | coins(1)
    watched.node.silent = set()
    watched.connect("c")
    assert watched.catch_up()
    assert watched.node.asked == [7, "a", "a", "a", "b", "b", "c"]
    assert watched.values == of_last(3) | coins(1, 2, 3)


def test_part_of_the_statistics(watched: Watched) -> None:
    """A figure that cannot be read costs itself: the others are shown and counted."""
    watched.poll()
    watched.connect("a")
    watched.node.lacking = {"last_block_weight", "utxo_created_total"}
    assert watched.catch_up()
    assert watched.errors == 1
    expected = of_last(1) | coins(1) | {"utxo_created_total": 0}
    del expected["last_block_weight"]
    assert watched.values == expected


def test_last_block_leaves(watched: Watched) -> None:
    """When the last block leaves the chain its figures are not shown any more; the next poll shows the tip."""
    watched.poll(height=8)
    watched.connect("a")
    watched.catch_up()
    watched.blocks.disconnected(Block(1, "a"))
    assert watched.values == coins(1)
    watched.poll(height=7)
    watched.poll(height=7)
    assert watched.node.asked == [8, "a", 7]
    assert watched.values == of_last(7) | coins(1)


def test_last_block_leaves_before_the_first_look(watched: Watched) -> None:
    """A tip that the node does not have any more when a poll asks for it is looked for again at the next."""
    watched.poll(height=9)
    watched.poll(height=8)
    watched.poll(height=8)
    assert watched.node.asked == [9, 8]
    assert watched.values == of_last(8) | coins()


@pytest.mark.parametrize("by_poll", [True, False])
def test_last_block_leaves_during_the_work(watched: Watched, by_poll: bool) -> None:
    """Figures that come after their block has left are not shown, but count; the next poll shows the tip."""

    async def leave() -> None:
        watched.blocks.disconnected(Block(1, "a"))

    if not by_poll:
        watched.poll()
        watched.connect("a")
    watched.node.on_ask = leave
    if by_poll:
        watched.poll()
    else:
        watched.catch_up()
    assert watched.values == (coins() if by_poll else coins(1))
    watched.node.on_ask = nothing
    watched.poll(height=8)
    assert watched.values == of_last(8) | (coins() if by_poll else coins(1))


def test_reorganisation(watched: Watched) -> None:
    """Each block of a reorganisation is asked for once, and no poll asks for the tip again."""
    watched.poll()
    watched.connect("a")
    watched.catch_up()
    watched.blocks.disconnected(Block(1, "a"))
    watched.connect("b", "c")
    watched.catch_up()
    watched.poll(height=8)
    assert watched.node.asked == [7, "a", "b", "c"]
    assert watched.values == of_last(3) | coins(1, 2, 3)


def test_failure_at_the_first_look(watched: Watched) -> None:
    """The counters begin even where the tip's own figures cannot be had."""
    watched.poll(height=9)
    assert (watched.errors, watched.values) == (1, coins())


def test_lost_node(watched: Watched) -> None:
    """A node that is gone ends the work instead of failing block by block."""
    watched.poll()
    watched.connect("a", "b")
    watched.node.gone = True
    with pytest.raises(NodeUnavailable):
        watched.catch_up()
    assert watched.node.asked == [7, "a"]


def test_new_session(watched: Watched) -> None:
    """What waited is not asked of the next node; its tip is shown first, and the counts go on."""
    watched.poll()
    watched.connect("a")
    watched.catch_up()
    watched.connect("b")
    watched.blocks.begin_session()
    watched.store.end_session()
    assert watched.blocks.downloading is None
    assert not watched.catch_up()
    watched.poll(height=8)
    assert watched.node.asked == [7, "a", 8]
    assert watched.values == of_last(8) | coins(1)


def test_group_that_is_off() -> None:
    """A node is asked nothing about its blocks unless somebody wants to see it."""
    watched = Watched()
    watched.poll()
    watched.connect("a")
    watched.catch_up()
    watched.poll(height=8, pushed=False)
    assert (watched.node.asked, watched.values) == ([], {})
