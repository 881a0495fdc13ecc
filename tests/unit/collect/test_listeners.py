"""The active chain: what its listeners are told, and how reorganisations are counted."""

import pytest

from telegraf_bitcoin_ipc.collect.events import ActiveChain, ChainListener
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block, Number

BLOCK = Block(7, "a")


class Branches:
    """An ActiveChain that outlives sessions, and what it has counted."""

    def __init__(self) -> None:
        self.store = Store(["blocks"])
        self.chain = ActiveChain(self.store)
        self.chain.start()

    def play(self, text: str) -> None:
        """Connect a block for each `+`, disconnect one for each `-`; `|` is a new session."""
        for sign in text:
            {
                "+": lambda: self.chain.connected(BLOCK),
                "-": lambda: self.chain.disconnected(BLOCK),
                "|": self._restart,
            }[sign]()

    def _restart(self) -> None:
        self.store.end_session()
        self.chain.start()

    @property
    def counted(self) -> tuple[Number, Number]:
        """The reorganisations, and the depth of the deepest."""
        values = {name: value for name, _, value in self.store.samples()}
        return values.get("reorgs_total", 0), values["reorg_depth_max"]


class Recorder(ChainListener):
    """Keeps what it is told, each with the sum of all that was counted by then."""

    def __init__(self, store: Store) -> None:
        self.told: list[tuple[object, Number]] = []
        self._store = store

    def _record(self, what: object) -> None:
        self.told.append((what, sum(value for _, _, value in self._store.samples())))

    def connected(self, block: Block) -> None:
        self._record(("connected", block.hash))

    def disconnected(self, block: Block) -> None:
        self._record(("disconnected", block.hash))

    def new_tip(self, tip: Block | None) -> None:
        self._record(("tip", tip))

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        self._record(("flushed", historical, locator_size))


def test_listeners_are_told_what_happens() -> None:
    """Each listener is told everything in its order, after it was counted."""
    store = Store()
    listeners = Recorder(store), Recorder(store)
    chain = ActiveChain(store, *listeners)
    chain.connected(BLOCK)
    chain.disconnected(BLOCK)
    chain.new_tip(None)
    chain.new_tip(BLOCK)
    chain.flushed(historical=True, locator_size=5)
    for listener in listeners:
        assert listener.told == [
            (("connected", "a"), 1),
            (("disconnected", "a"), 2),
            (("tip", None), 2),
            (("tip", BLOCK), 2),
            (("flushed", True, 5), 3),
        ]


def test_a_listener_may_ignore_everything() -> None:
    """A listener overrides what it is interested in, and nothing else."""
    store = Store()
    chain = ActiveChain(store, ChainListener())
    chain.connected(BLOCK)
    chain.disconnected(BLOCK)
    chain.new_tip(None)
    chain.flushed(historical=False, locator_size=5)


@pytest.mark.parametrize(
    ("told", "reorgs", "deepest"),
    [
        ("", 0, 0),
        ("+++", 0, 0),
        ("-", 1, 1),  # the tip was invalidated, and nothing came in its place yet
        ("+-+", 1, 1),
        ("+---++++", 1, 3),
        ("---+-+", 2, 3),
        ("-+---+--+", 3, 3),
        ("--|+", 1, 2),  # the session ended in the middle
        ("--|-+", 2, 2),  # whether these belong together nobody knows: it is not taken for a deeper one
        ("---+|+-+", 2, 3),
    ],
)
def test_reorganisations(told: str, reorgs: int, deepest: int) -> None:
    """Blocks that leave one after another are one reorganisation; the deepest since the start is remembered."""
    branches = Branches()
    branches.play(told)
    assert branches.counted == (reorgs, deepest)


def test_deepest_reorganisation_is_shown_from_the_start() -> None:
    """A node that had no reorganisation yet shows 0, so that the first is seen as a rise."""
    branches = Branches()
    assert [(name, value) for name, _, value in branches.store.samples()] == [("reorg_depth_max", 0)]
