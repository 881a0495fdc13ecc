"""Tips: what lies between two of them is counted, whatever way the chain went, and whatever a header cost."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.listener import Recorder

from telegraf_bitcoin_ipc.collect.events import ActiveChain
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.tips import LONGEST_WALK, Tips, walk
from telegraf_bitcoin_ipc.collect.values import Block, Header, Number
from telegraf_bitcoin_ipc.errors import CallFailed


class Tree:
    """A node that knows the headers of a tree of blocks; it fails for those that are `lost`."""

    def __init__(self) -> None:
        self.blocks: dict[str, Header] = {"0": Header("0", "", 0, 1)}
        self.asked: list[str] = []
        self.lost: set[str] = set()

    def grow(self, previous: str, *names: str) -> None:
        """Put blocks on one another; each has as many transactions as its number in the tree."""
        for name in names:
            self.blocks[name] = Header(name, previous, self.blocks[previous].height + 1, len(self.blocks))
            previous = name

    async def header(self, block_hash: str) -> Header:
        self.asked.append(block_hash)
        if block_hash in self.lost:
            raise CallFailed("getblockheader: no answer within 10 seconds")
        return self.blocks[block_hash]

    def ancestry(self, name: str) -> Iterator[str]:
        """Yield a block and all before it."""
        while name:
            yield name
            name = self.blocks[name].previous


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Tree, list[str]]:
    """A random tree, and the tips that a node goes to in it one after another."""
    tree, names = Tree(), ["0"]
    for number in range(draw(st.integers(1, 24))):
        # Most blocks are put on one of the newest, so that the branches become long.
        place = draw(st.integers(0, min(len(names) - 1, 3)) | st.integers(0, len(names) - 1))
        names.append(f"<{number}>")
        tree.grow(names[-2 - place], names[-1])
    return tree, draw(st.lists(st.sampled_from(names), min_size=2, max_size=8))


@given(journeys())
def test_walk(journey: tuple[Tree, list[str]]) -> None:
    """In any tree, those leave that only the old tip has before it, and those come that only the new one has.

    Blocks leave from the old tip down, and come from the fork up. The node is asked for one header per block, and
    for one where the two chains meet; a walk over more blocks than allowed gives nothing, and asks for no more.
    """
    tree, (old, new, *_) = journey
    path = asyncio.run(walk(old, new, tree))
    assert path is not None
    gone, come = ([block.hash for block in part] for part in path)
    before, after = list(tree.ancestry(old)), list(tree.ancestry(new))
    assert gone == [name for name in before if name not in after]
    assert come == [name for name in reversed(after) if name not in before]
    if old != new:
        blocks = len(gone) + len(come)
        assert len(set(tree.asked)) == len(tree.asked) == blocks + 1
        assert asyncio.run(walk(old, new, tree, longest=blocks)) == path
        tree.asked.clear()
        assert asyncio.run(walk(old, new, tree, longest=blocks - 1)) is None
        assert len(tree.asked) <= blocks + 1


class Followed:
    """Tips over a tree, with all that they count."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.store = Store(["mempool", "blocks"])
        self._listener = Recorder(self.store)
        self.downloading = False
        self.headers: Tree | None = tree
        self._tips = Tips(self.store, ActiveChain(self.store, self._listener), lambda: self.downloading)

    def move(self, names: str) -> None:
        """Have the tip be one block after another; `-x` loses the header of x, and `download` begins or ends."""
        for name in names.split():
            if name == "download":
                self.downloading = not self.downloading
            elif name.startswith("-"):
                self.tree.lost = set(name[1:])
            else:
                tip = Block(self.tree.blocks[name].height, name)
                asyncio.run(self._tips.moved(tip, self.headers))

    @property
    def connected(self) -> list[str]:
        """The hashes of the blocks that were reported as connected."""
        return self._listener.blocks

    @property
    def values(self) -> dict[str, Number]:
        """All values but those that are 0."""
        return {name: value for name, _, value in self.store.samples() if value}

    @property
    def errors(self) -> list[Number]:
        """How often getblockheader has failed, if it was asked."""
        errors = [(tags, value) for name, tags, value in self.store.samples() if name == "poll_errors_total"]
        assert {tags for tags, _ in errors} <= {(("method", "getblockheader"),)}
        return [value for _, value in errors]


@pytest.fixture
def followed() -> Followed:
    """Return tips of which none has been told, in a tree of two branches: 0 a b c d and 0 a B C."""
    tree = Tree()
    tree.grow("0", "a", "b", "c", "d")
    tree.grow("a", "B", "C")
    return Followed(tree)


COUNTED = {
    "updates": "tip_updates_total",
    "connected": "blocks_connected_total",
    "disconnected": "blocks_disconnected_total",
    "reorgs": "reorgs_total",
    "depth": "reorg_depth_max",
    "confirmed": "mempool_tx_confirmed_total",
    "errors": "poll_errors_total",
}


@pytest.mark.parametrize(
    ("tips", "connected", "counted"),
    [
        # The tip that is there when the plugin comes is no new one: only its height is shown.
        ("c", "", {}),
        # A tip that is several blocks on counts each of them, with its transactions but the coinbase.
        ("0 a c", "abc", {"updates": 2, "connected": 3, "confirmed": 0 + 1 + 2}),
        # A tip on another branch counts what left, what came, and how deep it went.
        (
            "d C",
            "BC",
            {"updates": 1, "disconnected": 3, "reorgs": 1, "depth": 3, "connected": 2, "confirmed": 4 + 5},
        ),
        # A tip that went back counts, with nothing in its place.
        ("d c", "", {"updates": 1, "disconnected": 1, "reorgs": 1, "depth": 1}),
        # A header that cannot be had costs nothing: its blocks count once the next tip comes.
        ("0 a -b c", "a", {"updates": 2, "connected": 1, "errors": 1}),
        ("0 a -b d - c", "abc", {"updates": 3, "connected": 3, "confirmed": 0 + 1 + 2, "errors": 1}),
        # What was not counted, and is off the chain again by the next tip, is not counted at all.
        ("b -C C - c", "c", {"updates": 2, "connected": 1, "confirmed": 2, "errors": 1}),
        # While blocks are downloaded they count by their heights, and are told to nobody.
        ("download a c", "", {"updates": 1, "connected": 2}),
        ("download a b download c", "c", {"updates": 2, "connected": 2, "confirmed": 2}),
    ],
)
def test_tips(followed: Followed, tips: str, connected: str, counted: dict[str, int]) -> None:
    """What one tip after another, the last of which is of height 3, counts."""
    followed.move(tips)
    assert followed.values == {"block_height": 3} | {COUNTED[name]: value for name, value in counted.items()}
    assert followed.connected == list(connected)


@pytest.mark.parametrize("story", ["c", "download a c"])
def test_no_header_in_vain(followed: Followed, story: str) -> None:
    """Neither for the first tip nor while blocks are downloaded is a header asked for."""
    followed.move(story)
    assert followed.tree.asked == []


def test_without_headers(followed: Followed) -> None:
    """A node that gives no headers has its tip's height and changes counted, and no blocks made up."""
    followed.headers = None
    followed.move("a c C")
    assert followed.values == {"block_height": 3, "tip_updates_total": 2}
    assert followed.errors == []


def test_failing_header(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    """A header that cannot be had is one warning; the count of failures begins at 0."""
    caplog.set_level(logging.WARNING)
    followed.move("0 a")
    assert followed.errors == [0]
    followed.move("-b c")
    assert followed.errors == [1]
    assert caplog.messages == [
        "the blocks up to height 3 will be counted with the next tip: getblockheader: no answer within 10 seconds"
    ]


def long_chain(blocks: int) -> tuple[Tree, Sequence[str]]:
    """Return a tree that is a chain of so many blocks on the genesis block, and its blocks' names."""
    tree, names = Tree(), [str(number) for number in range(blocks + 1)]
    tree.grow("0", *names[1:])
    return tree, names


def test_longest_walk() -> None:
    """Two days' worth of blocks are counted one by one; more that come by height, more that go as nothing."""
    tree, names = long_chain(LONGEST_WALK + 1)
    followed = Followed(tree)
    followed.move(f"{names[1]} {names[-1]}")
    assert followed.connected == names[2:]
    assert followed.values["blocks_connected_total"] == LONGEST_WALK == 288
    tree.asked.clear()
    followed = Followed(tree)
    followed.move(names[0])
    for tip in (names[-1], names[0]):
        followed.move(tip)
        assert followed.values["blocks_connected_total"] == LONGEST_WALK + 1
        assert "blocks_disconnected_total" not in followed.values
        assert (tree.asked, followed.connected) == ([], [])


def test_too_deep_a_reorganisation() -> None:
    """A fork that lies too far back for a walk counts by height, whose difference is small, and as no reorg."""
    tree, old = long_chain(LONGEST_WALK // 2 + 1)
    new = [f"{name}'" for name in old[1:]] + ["more"]
    tree.grow("0", *new)
    followed = Followed(tree)
    followed.move(f"{old[-1]} {new[-1]}")
    assert followed.values == {"block_height": len(new), "tip_updates_total": 1, "blocks_connected_total": 1}
    assert followed.connected == []
    tree.grow("more", "next")
    followed.move("next")
    assert followed.connected == ["next"]


@given(journeys(), st.sets(st.integers(0, 23), max_size=3))
def test_any_journey(journey: tuple[Tree, list[str]], lost: set[int]) -> None:
    """In any tree, and whichever headers fail on the way, in the end exactly what changed has been counted."""
    tree, tips = journey
    followed = Followed(tree)
    followed.move(tips[0])
    active, connected, disconnected = set(tree.ancestry(tips[0])), list[str](), 0
    for tip in tips[1:]:
        tree.lost = {f"<{number}>" for number in lost}
        failures = sum(followed.errors)
        followed.move(tip)
        if sum(followed.errors) > failures:
            tree.lost = set()
            followed.move(tip)
        chain = list(tree.ancestry(tip))
        disconnected += len(active - set(chain))
        connected += [name for name in reversed(chain) if name not in active]
        active = set(chain)
    values = followed.values
    assert followed.connected == connected
    assert values.get("blocks_connected_total", 0) == len(connected)
    assert values.get("blocks_disconnected_total", 0) == disconnected
    confirmed = sum(tree.blocks[name].transactions - 1 for name in connected)
    assert values.get("mempool_tx_confirmed_total", 0) == confirmed
