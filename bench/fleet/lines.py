"""What one node sends: the lines of the installed plugin on a rich simulated node, and their size by group."""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from support.nodes import Plugin, SimulatedNode

from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS

NAME = "bench"
"""The recorded node's tag `node`, which the replay replaces."""

ALWAYS = "core and plugin"

EMISSIONS = 12
"""Recorded one after another, so that the replayed values change as a node's do."""

POLLS_ALIKE = 3
"""The set of values is complete after this number of polls without a new one."""

PEERS = {"inbound": 100, "outbound": 10}
TRAFFIC = {"received": 50_000_000_000, "sent": 400_000_000_000}  # bytes: numbers as long as a real node's


class Emission(NamedTuple):
    """All lines of one emission, with the time that stands in each of them."""

    text: bytes
    time: bytes

    def of(self, node: str, time: int) -> bytes:
        """Return them as another node's, at another time (nanoseconds)."""
        text = self.text.replace(b"node=" + NAME.encode(), b"node=" + node.encode())
        return text.replace(b" " + self.time + b"\n", b" %d\n" % time)


class Size(NamedTuple):
    """The lines and bytes of one emission, and the series that they become."""

    lines: int
    bytes: int
    series: int

    def without(self, other: "Size") -> "Size":
        """Return what is more here."""
        return Size(*(mine - its for mine, its in zip(self, other, strict=True)))


def newest(plugin: Plugin) -> Emission:
    """Ask for an emission, and return its lines as they were written."""
    plugin.ask()
    lines = plugin.stdout.rpartition("\n")[0].splitlines()
    time = lines[-1].rpartition(" ")[2]
    same = [line for line in lines if line.endswith(f" {time}")]
    return Emission("".join(f"{line}\n" for line in same).encode(), time.encode())


def size(emission: Emission) -> Size:
    """Return the size of an emission."""
    lines = emission.text.decode().splitlines()
    series = sum(len(line.split(" ")[1].split(",")) for line in lines)
    return Size(len(lines), len(emission.text), series)


def record(directory: Path, groups: Sequence[str] = CHOOSABLE_GROUPS) -> tuple[list[Emission], dict[str, Size]]:
    """Return some emissions with these groups, and the size of one: of what is always on, and of each group."""
    with ExitStack() as stack:
        node = stack.enter_context(SimulatedNode(directory / "node.sock", directory / "node", "--seed", "1"))
        node.do("peers", **PEERS)
        node.do("traffic", **TRAFFIC)
        node.do("fee_estimates", rates={"2": 18.0, "6": 9.5, "144": 1.2})
        node.do("indexes", heights={"txindex": None})
        node.do("accept", count=20)
        sizes = {}
        for group in ("none", *groups):
            with _watching(node, directory / group, group) as plugin:
                _happens(node)
                plugin.settled(len, POLLS_ALIKE)
                sizes[group] = size(newest(plugin))
        plugin = stack.enter_context(_watching(node, directory / "all", ",".join(groups)))
        _happens(node)
        expected = plugin.settled(len, POLLS_ALIKE)
        emissions = []
        for _ in range(EMISSIONS):
            _happens(node)
            emissions.append(_next(plugin, expected))
    always = sizes.pop("none")
    return emissions, {ALWAYS: always, **{group: each.without(always) for group, each in sizes.items()}}


def _next(plugin: Plugin, expected: int) -> Emission:
    """Return the next emission that is written to its end."""

    def complete() -> Emission | None:
        found = newest(plugin)
        return found if size(found).series == expected else None

    found = plugin.wait_until(complete, f"an emission of {expected} values")
    assert found is not None
    return found


@contextmanager
def _watching(node: SimulatedNode, directory: Path, groups: str) -> Iterator[Plugin]:
    """Run the plugin, and wait for all its subscriptions."""
    options = ("--metrics", groups, "--poll-interval", "0.2", "--tag", f"node={NAME}")
    with Plugin(node.socket, directory, *options) as plugin:
        plugin.logged("subscribed: utxo_cache")
        yield plugin


def _happens(node: SimulatedNode) -> None:
    """Have the node do what makes values change, and a block, from when on there are values about blocks."""
    node.do("accept", count=7)
    node.do("traffic", received=123_456, sent=1_234_567)
    node.do("block")


def compressed(emissions: Sequence[Emission]) -> float:
    """Return the share that is left of emissions when each is compressed, as by Telegraf's `outputs.http`."""
    texts = [each.text for each in emissions]
    return round(sum(len(gzip.compress(text)) for text in texts) / sum(map(len, texts)), 3)
