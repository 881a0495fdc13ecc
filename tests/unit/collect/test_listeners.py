"""The active chain: what its listeners are told, and how reorganisations are counted."""

import pytest

from telegraf_bitcoin_ipc.collect.events import ActiveChain
from telegraf_bitcoin_ipc.collect.listeners import ChainListener
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.collect.values import Block, Number

BLOCK = Block(7, "a")


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

    def historical(self, block: Block) -> None:
        self._record(("historical", block.height))

    def new_tip(self, tip: Block | None) -> None:
        self._record(("tip", tip))

    def flushed(self, *, historical: bool, locator_size: int) -> None:
        self._record(("flushed", historical, locator_size))


def test_listeners_are_told_what_happens() -> None:
    """Each listener is told everything in its order, after it was counted; one may ignore it all."""
    store = Store()
    listeners = Recorder(store), Recorder(store)
    chain = ActiveChain(store, ChainListener(), *listeners)
    chain.connected(BLOCK)
    chain.disconnected(BLOCK)
    chain.historical(BLOCK)
    chain.new_tip(None)
    chain.new_tip(BLOCK)
    chain.flushed(historical=True, locator_size=5)
    for listener in listeners:
        assert listener.told == [
            (("connected", "a"), 1),
            (("disconnected", "a"), 2),
            (("historical", 7), 2),
            (("tip", None), 2),
            (("tip", BLOCK), 2),
            (("flushed", True, 5), 3),
        ]


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
    """Blocks that leave one after another are one reorganisation; the deepest since the start is shown, also 0.

    `+` connects a block, `-` disconnects one, `|` is a new session.
    """
    store = Store(["blocks"])
    chain = ActiveChain(store)

    def begin_session() -> None:
        store.end_session()
        chain.start()

    begin_session()
    steps = {"+": lambda: chain.connected(BLOCK), "-": lambda: chain.disconnected(BLOCK), "|": begin_session}
    for sign in told:
        steps[sign]()
    values = {name: value for name, _, value in store.samples()}
    assert (values.get("reorgs_total", 0), values["reorg_depth_max"]) == (reorgs, deepest)
