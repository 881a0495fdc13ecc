"""Blocks: each one's statistics once, in order; the last block's figures shown, the coins of all added up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from telegraf_bitcoin_ipc.collect.blocks import LONGEST_QUEUE, Blocks
from telegraf_bitcoin_ipc.collect.polls import Poller
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block, Number, Value
from telegraf_bitcoin_ipc.errors import CallFailed, NodeUnavailable, NotAnswered, PartlyFailed

KNOWN: dict[str | int, int] = {"a": 1, "b": 2, "c": 4, 7: 8, 8: 16}
"""The blocks that the node has, by hash or height; every figure of a block is a multiple of this number."""

LAST_BLOCK = {"last_block_inputs": 3, "last_block_weight": 1000}
COINS = {"utxo_created_total": 5, "utxo_spent_total": 7}
"""The figures of a block 1: those that are shown, and those that are counted."""


def times(number: int, figures: Mapping[str, int]) -> dict[str, Value]:
    """Return the figures of the block of that number."""
    return {name: number * value for name, value in figures.items()}


def shown(last: str | int | None, counted: str) -> dict[str, Value]:
    """Return what is shown where one block was the last, and some have been counted."""
    return times(KNOWN[last] if last else 0, LAST_BLOCK if last else {}) | times(
        sum(KNOWN[name] for name in counted), COINS
    )


@dataclass(frozen=True)
class Statistics:
    """The call for the statistics of a block."""

    block: str | int = ""
    name: str = "getblockstats"
    values: Mapping[str, object] = field(default_factory=lambda: LAST_BLOCK | COINS)
    once_per_tip: bool = False

    def of_block(self, block: str | int) -> "Statistics":
        return Statistics(block)


async def nothing() -> None:
    """Do nothing."""


class Node:
    """A node with the KNOWN blocks, which is silent about some, and leaves the `lacking` metrics out."""

    def __init__(self) -> None:
        self.asked: list[str | int] = []
        self.failures = 0
        self.gone = False
        self.silent: list[str] = []
        self.lacking: set[str] = set()
        self.on_ask: Callable[[], Awaitable[None]] = nothing

    async def read(self, source: Statistics) -> dict[str, Value]:
        block = source.block
        self.asked.append(block)
        await self.on_ask()
        if self.gone:
            raise NodeUnavailable("the node closed the connection")
        self.failures += 1
        if block in self.silent:
            raise NotAnswered("getblockstats: no answer within 10 seconds")
        if block not in KNOWN:
            raise CallFailed("getblockstats: Block not available (pruned data) (error -1)")
        values = times(KNOWN[block], LAST_BLOCK | COINS)
        if self.lacking:
            some = {metric: value for metric, value in values.items() if metric not in self.lacking}
            raise PartlyFailed("getblockstats: the answer is malformed", some)
        self.failures -= 1
        return values


class Watched:
    """A Blocks with its store."""

    def __init__(self, *groups: str) -> None:
        self.store = Store(groups)
        self.news = 0
        self.node = Node()
        self.blocks = Blocks(self.store, Poller(self.store, time), self._new)

    def _new(self) -> None:
        self.news += 1

    def play(self, story: str) -> None:
        """Do the steps of a story: these, and the methods below, with what follows them."""
        steps: dict[str, Callable[..., object]] = {
            "poll": lambda height: self.poll(0, height),
            "download": lambda height: self.poll(1, height),
            "unclear": lambda *height: self.poll(None, *height),
            "unpushed": lambda height: self.poll(0, height, pushed=False),
            "leave": lambda name: self.blocks.disconnected(Block(1, name)),
            "silent": lambda *names: setattr(self.node, "silent", names),
        }
        for step in story.split("; "):
            action, *names = step.split()
            (steps.get(action) or getattr(self, action))(*names)

    def connect(self, *names: str) -> None:
        """Connect blocks, each of which is news unless blocks are downloaded."""
        before = self.news
        for name in names:
            self.blocks.connected(Block(1, name))
        assert self.news - before == (0 if self.blocks.downloading else len(names))

    def poll(self, ibd: Value, height: str = "", *, pushed: bool = True) -> None:
        """Take what a poll found; without a height it found none."""
        asyncio.run(self.look(ibd, int(height) if height else None, pushed=pushed))

    async def look(self, ibd: Value, height: Value, *, pushed: bool = True) -> None:
        """Take what a poll found, which may be while something else is asked."""
        await self.blocks.polled(self.node, Statistics(), ibd, height, pushed=pushed)

    def ask(self) -> None:
        """Ask for what was taken."""
        assert asyncio.run(self.blocks.catch_up(self.node, Statistics()))

    def idle(self) -> None:
        """Find nothing to ask for, or get no answer."""
        assert not asyncio.run(self.blocks.catch_up(self.node, Statistics()))

    def restart(self) -> None:
        """Begin a new session."""
        self.blocks.begin_session()
        self.store.end_session()
        assert self.blocks.downloading is None

    @property
    def asked(self) -> str:
        """The blocks that were asked for."""
        return " ".join(map(str, self.node.asked))

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


@pytest.mark.parametrize(
    ("story", "asked", "last", "counted"),
    [
        # The block that was there before is shown, and not counted: its coins were not created now.
        ("poll 7", "7", 7, ""),
        # Each new block is asked for once, in the order of connection; the last is shown, all are counted.
        ("poll 7; connect a c b; ask; idle", "7 a c b", "b", "acb"),
        # A block that is connected once more, after a reorganisation, counts once more.
        ("poll 7; connect a b a; ask", "7 a b a", "a", "aba"),
        # Where new blocks are told, a poll asks nothing more, whatever the height is.
        ("poll 7; poll 7; poll 8", "7", 7, ""),
        # Where nobody tells of blocks (no subscription) each poll that finds another height shows the tip.
        ("unpushed 7; unpushed 7; unpushed 8; unpushed 8; unpushed 7", "7 8 7", 7, ""),
        # During the download no block is asked for, neither then nor after it.
        ("download 7; connect a b; idle; download 8; poll 8; connect c; ask", "8 c", "c", "c"),
        # Blocks that waited when a poll found the node in the download are let go.
        ("poll 7; connect a; download 7; idle", "7", 7, ""),
        # Before the first poll nobody knows: the blocks wait, and count when it finds no download.
        ("connect a; idle; poll 7; ask", "7 a", "a", "a"),
        # A poll that does not find out loses none of them.
        ("connect a; unclear 7; connect b; poll 7; ask", "7 a b", "b", "ab"),
        # A poll that does not find out about the download changes nothing about it.
        ("poll 7; unclear; connect a; ask", "7 a", "a", "a"),
        # A block whose statistics fail costs its own figures: they are absent, not those of the block before.
        ("poll 7; connect a pruned; ask", "7 a pruned", None, "a"),
        # It costs no block after it, and is not asked for again.
        ("poll 7; connect a pruned b; ask; connect c; ask", "7 a pruned b c", "c", "abc"),
        # Blocks about which the node does not answer wait, however often: in the end each has counted, once.
        ("poll 7; silent a b; connect a b; idle; idle", "7 a a", 7, ""),
        ("poll 7; silent b; connect a b; ask", "7 a b", "a", "a"),
        ("poll 7; silent a; connect a b; idle; silent b; ask; silent; connect c; ask", "7 a a b b c", "c", "abc"),
        # When the last block leaves the chain its figures are not shown any more; the next poll shows the tip.
        ("poll 8; connect a; ask; leave a", "8 a", None, "a"),
        ("poll 8; connect a; ask; leave a; poll 7; poll 7", "8 a 7", 7, "a"),
        # A tip that the node does not have any more when a poll asks for it is looked for again at the next.
        ("poll 9", "9", None, ""),
        ("poll 9; poll 8; poll 8", "9 8", 8, ""),
        # Each block of a reorganisation is asked for once, and no poll asks for the tip again.
        ("poll 7; connect a; ask; leave a; connect b c; ask; poll 8", "7 a b c", "c", "abc"),
        # What waited is not asked of the next node; its tip is shown first, and the counts go on.
        ("poll 7; connect a; ask; connect b; restart; idle; poll 8", "7 a 8", 8, "a"),
    ],
)
def test_blocks(watched: Watched, story: str, asked: str, last: str | int | None, counted: str) -> None:
    """What is asked, what is shown and what is counted in the end, and that each failure counts as one."""
    watched.play(story)
    assert watched.asked == asked
    assert watched.values == shown(last, counted)
    assert watched.errors == watched.node.failures


def test_nothing_during_the_download(watched: Watched) -> None:
    """As long as blocks are downloaded nothing at all is shown of blocks."""
    watched.play("download 7; connect a; idle; download 8")
    assert (watched.asked, watched.values) == ("", {})


def test_block_during_the_work(watched: Watched) -> None:
    """A block that comes while another is asked for is asked for in the same go."""
    watched.play("poll 7; connect a")

    async def connect() -> None:
        if watched.asked == "7 a":
            watched.connect("b")

    watched.node.on_ask = connect
    watched.ask()
    assert watched.asked == "7 a b"
    assert watched.values == shown("b", "ab")


def test_download_is_found_during_the_work(watched: Watched) -> None:
    """A poll that finds the download while a block is asked for lets the others go, and nothing breaks."""
    watched.play("poll 7; connect a b")
    watched.node.on_ask = lambda: watched.look(1, 8)
    watched.play("ask; idle")
    assert watched.asked == "7 a"


@pytest.mark.parametrize(
    ("before", "work", "counted"), [("unclear", "poll 7", ""), ("poll 7; connect a", "ask", "a")]
)
def test_last_block_leaves_during_the_work(watched: Watched, before: str, work: str, counted: str) -> None:
    """Figures that come after their block has left are not shown, but count; the next poll shows the tip."""

    async def leave() -> None:
        watched.play("leave a")

    watched.play(before)
    watched.node.on_ask = leave
    watched.play(work)
    assert watched.values == shown(None, counted)
    watched.node.on_ask = nothing
    watched.play("poll 8")
    assert watched.values == shown(8, counted)


def test_bound_of_what_waits(watched: Watched) -> None:
    """Of more blocks than may wait the oldest are dropped and counted; the newest are asked for."""
    names = ["c"] * 2 + ["a"] * LONGEST_QUEUE
    watched.connect(*names)
    assert watched.values == {"events_dropped_total": 2}
    watched.play("poll 7; ask")
    assert watched.asked == " ".join(["7", *names[2:]])
    assert watched.values == shown("a", "a" * LONGEST_QUEUE) | {"events_dropped_total": 2}


def test_part_of_the_statistics(watched: Watched) -> None:
    """A figure that cannot be read costs itself: the others are shown and counted."""
    watched.play("poll 7; connect a")
    watched.node.lacking = {"last_block_weight", "utxo_created_total"}
    watched.ask()
    assert watched.errors == 1
    expected = shown("a", "a") | {"utxo_created_total": 0}
    del expected["last_block_weight"]
    assert watched.values == expected


def test_lost_node(watched: Watched) -> None:
    """A node that is gone ends the work instead of failing block by block."""
    watched.play("poll 7; connect a b")
    watched.node.gone = True
    with pytest.raises(NodeUnavailable):
        watched.ask()
    assert watched.asked == "7 a"


def test_group_that_is_off() -> None:
    """A node is asked nothing about its blocks unless somebody wants to see it."""
    watched = Watched()
    watched.play("poll 7; connect a; idle; unpushed 8")
    assert (watched.asked, watched.values) == ("", {})
