"""Everything that is emitted about each kind of node, after a life that is the same every time.

`pytest tests/integration/test_golden.py --golden` writes the files anew; what has changed is then to be read in
the difference, and is for users to be told.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.nodes import Plugin, Series, StartNode, StartPlugin, value
from support.standing import StartGuard

from telegraf_bitcoin_ipc.collect.dialect import Dialect
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.ipc.dialects import DIALECTS

GOLDEN = Path(__file__).parents[1] / "golden"

PLACEHOLDER = "?"
"""Stands for what is another at each run, and for the plugin's version."""

VARIES = {
    "last_poll_timestamp_seconds",
    "poll_duration_seconds",
    "uptime_seconds",
    "poll_errors_total{method=getblockstats}",  # a poll may ask for the tip just when that leaves the chain
}

POLL_INTERVAL = 0.2
POLLS = 2
"""So many polls find the same before it is taken for what there is."""

Step = tuple[str, dict[str, Any]]

BEFORE: list[Step] = [
    ("prune", {"height": 50}),
    ("indexes", {"heights": {"txindex": None, "coinstatsindex": 40, "an index of the future": 7}}),
    ("fee_estimates", {"rates": {"2": 12.5, "6": 5, "144": 1}}),
    ("warnings", {"texts": ["This is a pre-release test build"]}),
    ("peers", {"inbound": 2, "outbound": 3}),
    ("peer", {"network": "onion", "type": "manual", "transport": "v1", "ping": 1.5}),
    ("traffic", {"received": 100_000, "sent": 50_000}),
    ("ban", {"count": 2}),
    ("accept", {"count": 3}),
]
"""What the plugin finds when it comes."""

PHASES: list[list[Step]] = [
    [
        ("accept", {"count": 8}),
        ("replace", {}),
        ("remove", {"reason": "expiry"}),
        ("remove", {"reason": "conflict"}),
        ("remove", {"reason": "sizelimit"}),
        ("block", {"outputs": 20, "transactions": 5}),
        ("template", {}),
        ("flush", {}),
        ("headers", {"height": 120}),
        ("traffic", {"received": 700, "sent": 300, "id": 0, "message": "tx"}),
        ("traffic", {"received": 50, "sent": 60, "id": 1, "message": "a message of the future"}),
    ],
    [("reorg", {"depth": 2}), ("leave", {"id": 0})],
    [("block", {}), ("peer", {"network": "i2p", "type": "block-relay-only", "transport": "detecting"})],
    [
        ("disconnect", {}),
        ("accept", {"count": 2}),
        ("traffic", {"received": 9, "sent": 8, "id": 6, "message": "ping"}),
    ],
]
"""What happens while it watches; each phase is whole before the next: a tip that nobody saw does not count."""


def lines(series: Series) -> list[str]:
    """Return an emission as lines that can be compared."""
    found = []
    for (field, tags), number in series.items():
        texts = {key: PLACEHOLDER if field == "plugin_info" else text for key, text in tags}
        tagged = ",".join(f"{key}={texts[key]}" for key in METRICS[field].tags if texts)
        name = f"{field}{{{tagged}}}" if tagged else field
        found.append(f"{name} {PLACEHOLDER if name in VARIES else repr(number)}")
    return sorted(found)


def settled(plugin: Plugin) -> list[str]:
    """Return what the plugin shows as soon as several polls in a row have changed nothing."""
    return plugin.settled(lines, POLLS, POLL_INTERVAL)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_whole_output(
    dialect: Dialect,
    start_node: StartNode,
    start_plugin: StartPlugin,
    start_guard: StartGuard,
    golden: Callable[[Path, str], None],
) -> None:
    """No name, tag, type or value changes unseen; behind a standing guard all is as without, but for one line."""
    node, guard = start_node("--dialect", dialect.name, "--seed", "1"), start_guard()
    for action, parameters in BEFORE:
        node.do(action, **parameters)
    options = ("--metrics", ",".join(CHOOSABLE_GROUPS), "--poll-interval", str(POLL_INTERVAL))
    plugins = start_plugin(*options), start_plugin(*options, socket=guard.socket)
    for plugin, subscription in product(plugins, dialect.subscriptions):
        plugin.logged(f"subscribed: {subscription}")
    tip = "chain_height" if dialect.subscriptions else "block_height"
    for phase in [[], *PHASES]:
        for action, parameters in phase:
            node.do(action, **parameters)
        for plugin in plugins:
            plugin.shows(lambda series: value(series, tip) == node.lines("settled")[-1]["height"], "the tip")
        with ThreadPoolExecutor() as both:
            alone, guarded = both.map(settled, plugins)
    golden(GOLDEN / f"{dialect.name}.txt", "".join(f"{line}\n" for line in alone))
    guarded[guarded.index("guard_standing 1")] = "guard_standing 0"
    assert guarded == alone
    assert "refused" not in guard.stderr
