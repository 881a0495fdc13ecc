"""Blocks: each one's statistics once, in order; the last block's figures shown, the coins of all added up."""

import asyncio
import time
from collections.abc import Awaitable, Mapping

import pytest

from telegraf_bitcoin_ipc.collect.blocks import LONGEST_QUEUE, Blocks
from telegraf_bitcoin_ipc.collect.dialect import RPC, Call, Source
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


STATISTICS = Source(Call(RPC, "getblockstats"), dict.fromkeys(LAST_BLOCK | COINS, lambda said: None))


class Watched:
    """A Blocks with its store, and its node, which has the KNOWN blocks and is silent about some of them."""

    def __init__(self, *groups: str) -> None:
        self.store = Store(groups)
        self.blocks = Blocks(self.store, Poller(self.store, time), self._new)
        self.news = 0
        self._asked: list[str | int] = []
        self.failures = 0
        self.gone = False
        self.silent: tuple[str, ...] = ()
        self.lacking: set[str] = set()
        self._meanwhile: list[Awaitable[None]] = []

    async def read(self, source: Source) -> dict[str, Value]:
        """Answer as the node, which leaves the `lacking` metrics out."""
        ((_, block),) = source.call.arguments
        self._asked.append(block)
        while self._meanwhile:
            await self._meanwhile.pop()
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

    def _new(self) -> None:
        self.news += 1

    def play(self, story: str) -> None:
        """Do the steps of a story."""

        async def play() -> None:
            for step in story.split("; "):
                await self._do(*step.split())

        asyncio.run(play())

    async def _do(self, action: str, *names: str) -> None:
        """Do a step, which may be while something is asked (`during`)."""
        match action:
            case "poll" | "download" | "unclear" | "unpushed":
                ibd = {"download": 1, "unclear": None}.get(action, 0)
                height = int(names[0]) if names else None
                await self.blocks.polled(self, STATISTICS, ibd, height, pushed=action != "unpushed")
            case "ask" | "idle":
                assert await self.blocks.catch_up(self, STATISTICS) is (action == "ask")
            case "during":
                self._meanwhile.append(self._do(*names))
            case "silent":
                self.silent = names
            case "restart":
                self._restart()
            case "leave":
                self.blocks.disconnected(Block(1, names[0]))
            case "connect":
                self._connect(*names)
            case _:
                raise AssertionError(f"no step: {action}")

    def _connect(self, *names: str) -> None:
        """Connect blocks, each of which is news unless blocks are downloaded."""
        before = self.news
        for name in names:
            self.blocks.connected(Block(1, name))
        assert self.news - before == (0 if self.blocks.downloading else len(names))

    def _restart(self) -> None:
        """Begin a new session."""
        self.blocks.begin_session()
        self.store.end_session()
        assert self.blocks.downloading is None

    @property
    def asked(self) -> str:
        """The blocks that were asked for."""
        return " ".join(map(str, self._asked))

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
        # A block that comes while another is asked for is asked for in the same go.
        ("poll 7; connect a; during connect b; ask", "7 a b", "b", "ab"),
        # A poll that finds the download while a block is asked for lets the others go, and nothing breaks.
        ("poll 7; connect a b; during download 8; ask; idle", "7 a", "a", "a"),
        # Figures that come after their block has left are not shown, but count; the next poll shows the tip.
        ("during leave a; poll 7", "7", None, ""),
        ("during leave a; poll 7; poll 8", "7 8", 8, ""),
        ("poll 7; connect a; during leave a; ask", "7 a", None, "a"),
        ("poll 7; connect a; during leave a; ask; poll 8", "7 a 8", 8, "a"),
    ],
)
def test_blocks(watched: Watched, story: str, asked: str, last: str | int | None, counted: str) -> None:
    """What is asked, what is shown and what is counted in the end, and that each failure counts as one."""
    watched.play(story)
    assert watched.asked == asked
    assert watched.values == shown(last, counted)
    assert watched.errors == watched.failures


def test_bound_of_what_waits(watched: Watched) -> None:
    """Of more blocks than may wait the oldest are dropped and counted; the newest are asked for."""
    names = ["c"] * 2 + ["a"] * LONGEST_QUEUE
    watched.play(" ".join(["connect", *names]))
    assert watched.values == {"events_dropped_total": 2}
    watched.play("poll 7; ask")
    assert watched.asked == " ".join(["7", *names[2:]])
    assert watched.values == shown("a", "a" * LONGEST_QUEUE) | {"events_dropped_total": 2}


def test_part_of_the_statistics(watched: Watched) -> None:
    """A figure that cannot be read costs itself: the others are shown and counted."""
    watched.play("poll 7; connect a")
    watched.lacking = {"last_block_weight", "utxo_created_total"}
    watched.play("ask")
    assert watched.errors == 1
    expected = shown("a", "a") | {"utxo_created_total": 0}
    del expected["last_block_weight"]
    assert watched.values == expected


def test_lost_node(watched: Watched) -> None:
    """A node that is gone ends the work instead of failing block by block."""
    watched.play("poll 7; connect a b")
    watched.gone = True
    with pytest.raises(NodeUnavailable):
        watched.play("ask")
    assert watched.asked == "7 a"


@pytest.mark.parametrize(
    ("groups", "story"),
    [((), "poll 7; connect a; idle; unpushed 8"), (["blocks"], "download 7; connect a; idle; download 8")],
)
def test_nothing_in_vain(groups: list[str], story: str) -> None:
    """A node is asked nothing about its blocks while it downloads them, or unless somebody wants to see it."""
    watched = Watched(*groups)
    watched.play(story)
    assert (watched.asked, watched.values) == ("", {})
