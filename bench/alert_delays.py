"""Measure how soon each alert fires, by three ways to Prometheus: writes bench/alert_delays.json.

Usage: python -P bench/alert_delays.py [ALERT ...]   (about 25 minutes, mostly waiting; `make bench-alerts`)
With names it measures these alerts, and keeps the other results.
All is real but the nodes: the plugin, Telegraf with the generated configuration, and Prometheus with the rules.
One Prometheus scrapes Telegraf's pages, one scrapes a central Telegraf's page, and one takes remote write.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

# After the installed packages, so that the installed plugin is measured, not the checkout.
ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "tests")]

from support.nodes import PROGRAM, SimulatedNode  # noqa: E402
from support.processes import children, free_port, wait_until  # noqa: E402
from support.prometheus import Prometheus  # noqa: E402
from support.telegraf import Telegraf, configuration, remote_write  # noqa: E402

from bench.report import program, version  # noqa: E402

TELEGRAF, PROMETHEUS = (program(name, "bench-alerts") for name in ("telegraf", "prometheus"))

RULES: Final = ROOT / "prometheus" / "alerts.yml"
RESULT: Final = ROOT / "bench" / "alert_delays.json"

INTERVAL: Final = 15
"""Prometheus's interval of scrapes and of evaluations, in seconds."""

START_SECONDS: Final = 300.0
SETTLED_SECONDS: Final = 75.0  # at least, between the first values and the events: two polls
POLL_SECONDS: Final = 60.0  # the plugin's default
FROZEN_SECONDS: Final = 75.0  # until lines are dropped, one emission a second; BitcoinPluginDown takes longer
RESTART_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 1200.0  # for: 15m is the longest, of BitcoinHeadersAhead
LOOK_SECONDS: Final = 5.0  # between two looks at the alerts

QUEUED_BLOCKS: Final = 1200  # more than the plugin queues

NODES: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("ill", "downloading", "reorganised", "down", "frozen", "restarted", "behind", "hung"), ()),
    "unpolled": ("--poll-interval", "3600"),
    "killed": (),
    "unread": ("--emit-interval", "1"),
}
"""Each node, and the options of its plugin."""

OWN_TELEGRAF: Final = ("killed", "unread")
"""The nodes whose Telegraf is stopped; the others share one."""


class Event(NamedTuple):
    """What happened to a node, and when (Unix seconds); no node stands for all of them."""

    alert: str
    node: str
    what: str
    at: float


Wanted = Callable[[str], bool]
"""Whether an alert is to be measured."""


class Scene:
    """The processes: nodes, Telegrafs, and one Prometheus for each way."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        """Start everything but the Telegrafs that run plugins; all files are in the directory."""
        self._directory = directory
        self._stack = stack
        self.nodes = {name: self._node(name) for name in NODES}
        self._shared = [name for name in NODES if name not in OWN_TELEGRAF]
        pages = {name: f"127.0.0.1:{free_port()}" for name in ("shared", *OWN_TELEGRAF)}
        self._listener, central = (f"127.0.0.1:{free_port()}" for _ in range(2))
        targets = {"scraped": [*pages.values()], "central": [central], "remote write": []}
        self.ways = {way: self._prometheus(way, pages_of_way) for way, pages_of_way in targets.items()}
        self._telegraf("central", self._central(central))
        self.telegrafs = {
            name: self._telegraf(name, self._sender(page, self._shared if name == "shared" else [name]))
            for name, page in pages.items()
        }

    def _node(self, name: str) -> SimulatedNode:
        node = self._stack.enter_context(SimulatedNode(self._socket(name), self._directory / name))
        prepare(node)
        return node

    def _socket(self, name: str) -> Path:
        return self._directory / f"{name}.sock"

    def _prometheus(self, way: str, targets: Sequence[str]) -> Prometheus:
        directory = self._directory / way.replace(" ", "-")
        directory.mkdir()
        receiver = "--web.enable-remote-write-receiver"
        interval = f"{INTERVAL}s"
        return self._stack.enter_context(
            Prometheus(PROMETHEUS, targets, directory, receiver, scrape_interval=interval, rules=RULES)
        )

    def _telegraf(self, name: str, config: str) -> Telegraf:
        directory = self._directory / f"telegraf-{name}"
        directory.mkdir()
        return self._stack.enter_context(Telegraf(TELEGRAF, config, directory))

    def _generated(self, name: str, page: str) -> tuple[str, str, str]:
        """What `config` prints: what comes before the block that runs the plugin, that block, and what follows."""
        text = configuration(self._socket(name), page, "--tag", f"node={name}", *NODES[name])
        before, start, rest = text.partition("[[inputs.execd]]")
        block, end, after = rest.partition("[[outputs")
        return before, start + block, end + after

    def _sender(self, page: str, names: Sequence[str]) -> str:
        """The configuration of a Telegraf that runs plugins, and reports by all three ways."""
        before, _, after = self._generated(names[0], page)
        central = f"""
[[outputs.http]]
  url = "http://{self._listener}/telegraf"
  data_format = "influx"
"""
        remote = remote_write(self.ways["remote write"].write_url)
        return "\n".join([before, *(self._generated(name, page)[1] for name in names), after, central, remote])

    def _central(self, page: str) -> str:
        """The configuration of the central Telegraf."""
        before, _, after = self._generated(self._shared[0], page)
        return f"""{before}
[[inputs.http_listener_v2]]
  service_address = "tcp://{self._listener}"
  paths = ["/telegraf"]
  data_format = "influx"
{after}"""

    def plugin(self, name: str) -> int:
        """The process id of a plugin of the shared Telegraf."""
        (found,) = [
            pid
            for pid in children(self.telegrafs["shared"].pid)
            if f"/{name}.sock" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        return found

    def wait_for_values(self) -> None:
        """Wait until every node was polled, and every Prometheus knows."""
        for way, prometheus in self.ways.items():
            prometheus.wait_for(f"count(bitcoin_ibd == 0) == {len(NODES)}", START_SECONDS)
            say(f"all nodes are in Prometheus: {way}")


def prepare(node: SimulatedNode) -> None:
    """Have a node look well: a block, transactions in its mempool, and ten peers."""
    node.do("block")
    node.do("accept", count=5)
    node.do("peers", inbound=0, outbound=10)


def events(scene: Scene, wanted: Wanted) -> list[Event]:
    """Have everything happen that takes no other node or Telegraf away, and return it.

    An event's moment is just before its function is called, or the one that the function returns.
    """
    nodes, telegrafs = scene.nodes, scene.telegrafs
    ill, hung, back = nodes["ill"], scene.plugin("hung"), nodes["downloading"]
    story: list[tuple[str, str, str, Callable[[], object]]] = [
        ("killed", "Telegraf is killed", "PluginDown", telegrafs["killed"].kill),
        ("hung", "the plugin hangs", "PluginDown", lambda: os.kill(hung, signal.SIGSTOP)),
        ("down", "the node is killed", "NodeDown", nodes["down"].kill),
        ("frozen", "the node hangs", "NodeDown", nodes["frozen"].freeze),
        ("ill", "headers arrive without blocks", "HeadersAhead", lambda: ill.do("headers", height=1000)),
        ("ill", "all peers leave", "FewPeers NoOutboundPeer", lambda: ill.do("peers", inbound=0, outbound=0)),
        ("ill", "a block takes all transactions", "MempoolEmpty", lambda: ill.do("block")),
        ("ill", "the node has a warning", "NodeWarnings", lambda: ill.do("warnings", texts=["a warning"])),
        ("downloading", "the download begins again", "BackInIBD", lambda: back.do("ibd", on=True)),
        ("reorganised", "two blocks leave the chain", "Reorg DeepReorg", lambda: reorganise(nodes["reorganised"])),
        ("restarted", "the node is back after a restart", "NodeRestarted", lambda: restart(nodes["restarted"])),
        ("behind", "a plugin that hung continues", "EventsDropped", lambda: drop_events(scene)),
        ("unread", "a Telegraf that hung continues", "LinesDropped", lambda: drop_lines(telegrafs["unread"])),
    ]
    happened: list[Event] = []
    for node, what, names, act in story:
        if alerts := [alert for name in names.split() if wanted(alert := f"Bitcoin{name}")]:
            at = time.time()
            later = act()
            moment = later if isinstance(later, float) else at
            happened += [Event(alert, node, what, moment) for alert in alerts]
            say(f"{node}: {what}")
    return happened


def reorganise(node: SimulatedNode) -> None:
    """Have blocks leave the chain, and a mempool again, of which the new block took all."""
    node.do("reorg", depth=2)
    node.do("accept", count=5)


def restart(node: SimulatedNode) -> float:
    """Stop a node, and start it again; return when it was back."""
    node.stop()
    time.sleep(RESTART_SECONDS)
    node.start()
    at = time.time()
    prepare(node)
    return at


def drop_events(scene: Scene) -> float:
    """Have a plugin find more blocks than it queues after it hung for a while; return when it continued."""
    node, plugin = scene.nodes["behind"], scene.plugin("behind")
    os.kill(plugin, signal.SIGSTOP)
    try:
        before = len(node.lines("settled"))
        for _ in range(QUEUED_BLOCKS):
            node.begin("block", transactions=0)
        wait_until(lambda: len(node.lines("settled")) - before == QUEUED_BLOCKS, START_SECONDS, "blocks", 1.0)
    finally:
        os.kill(plugin, signal.SIGCONT)
    return time.time()


def drop_lines(telegraf: Telegraf) -> float:
    """Stop Telegraf until the plugin drops lines; return when it continued."""
    telegraf.freeze()
    time.sleep(FROZEN_SECONDS)
    telegraf.send(signal.SIGCONT)
    return time.time()


def wait_for_alerts(scene: Scene, expected: Sequence[Event]) -> None:
    """Wait until each alert has fired by each way; raise Failure if that takes too long."""
    wanted = {(way, event.alert, event.node) for event in expected for way in scene.ways}

    def missing() -> set[tuple[str, str, str]]:
        return wanted - {(way, *each) for way, prometheus in scene.ways.items() for each in prometheus.fired()}

    wait_until(lambda: not missing(), LONGEST_SECONDS, lambda: f"these alerts: {missing()}", LOOK_SECONDS)


def measured(scene: Scene, wanted: Wanted) -> list[dict[str, Any]]:
    """Return each event with the seconds until its alert fired, by each way."""
    scene.wait_for_values()
    time.sleep(SETTLED_SECONDS)
    # Midway between two polls, so that the wait for the next one is an average one.
    time.sleep((last_poll(scene, "ill") + POLL_SECONDS / 2 - time.time()) % POLL_SECONDS)
    happened = events(scene, wanted)
    if wanted("BitcoinDataOld"):
        happened.append(Event("BitcoinDataOld", "unpolled", "the last poll ends", last_poll(scene, "unpolled")))
    wait_for_alerts(scene, happened)
    expected = {(event.alert, event.node) for event in happened}
    for way, prometheus in scene.ways.items():
        for alert, node in prometheus.fired().keys() - expected:
            say(f"not expected, by {way}: {alert} {node}")
    if wanted("BitcoinNothingWatched"):
        os.kill(scene.plugin("hung"), signal.SIGCONT)  # so that it ends with Telegraf
        for telegraf in scene.telegrafs.values():
            telegraf.kill()
        happened.append(Event("BitcoinNothingWatched", "", "every Telegraf is killed", time.time()))
        wait_for_alerts(scene, happened)
    fired = {way: prometheus.fired() for way, prometheus in scene.ways.items()}
    return [
        {
            "alert": event.alert,
            "event": event.what,
            "seconds": {way: round(at[event.alert, event.node] - event.at) for way, at in fired.items()},
        }
        for event in happened
    ]


def last_poll(scene: Scene, node: str) -> float:
    """When the last poll of a node ended, as far as Prometheus knows."""
    ((_, at),) = scene.ways["scraped"].query(f'bitcoin_last_poll_timestamp_seconds{{node="{node}"}}')
    return at


def say(text: str) -> None:
    """Print what has happened, and when."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(prog="alert_delays.py", description="Measure how soon each alert fires.")
    parser.add_argument("alerts", nargs="*", metavar="ALERT", help="measure only these")
    names: list[str] = parser.parse_args().alerts
    if unknown := [name for name in names if f"- alert: {name}\n" not in RULES.read_text()]:
        parser.error(f"there is no alert {unknown[0]}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # which stops what was started
    os.environ["PATH"] = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="tbi-") as directory, ExitStack() as stack:
        delays = measured(Scene(Path(directory), stack), lambda alert: not names or alert in names)
    if names:
        kept = json.loads(RESULT.read_text())["delays"]
        delays = [each for each in kept if each["alert"] not in names] + delays
    made = {
        "telegraf": version(TELEGRAF),
        "prometheus": version(PROMETHEUS),
        "interval": INTERVAL,
        "delays": delays,
    }
    RESULT.write_text(json.dumps(made, indent=2) + "\n")
    print(f"wrote {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
