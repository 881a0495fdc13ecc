"""Many nodes: each one's Telegraf sends to a central Telegraf, through to Prometheus and its alerts."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from support.fleet import Fleet
from support.processes import START_SECONDS, wait_until
from support.prometheus import Prometheus, StartPrometheus
from support.telegraf import accepted, config_check

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE
from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.ipc.dialects import TRACING

pytestmark = pytest.mark.telegraf

RULES = Path(__file__).parents[2] / "prometheus" / "alerts.yml"

EVERYTHING = ("--metrics", ",".join(CHOOSABLE_GROUPS))

VARIES = re.compile(r"bitcoin_(last_poll_timestamp_seconds|poll_duration_seconds|uptime_seconds)\b")
"""What differs from one poll to the next even if the node does nothing."""

PASSWORD = 'a "$secret} ${HOME}'
"""With all that Telegraf could misread."""


@pytest.fixture
def fleet(processes: ExitStack, telegraf_binary: Path, tmp_path: Path, socket_path: Path) -> Fleet:
    """A fleet without anything started."""
    return Fleet(processes, telegraf_binary, tmp_path, socket_path.parent)


def steady(lines: set[str]) -> set[str]:
    """The lines of a page without what varies."""
    return {line for line in lines if not VARIES.match(line)}


class Scene(NamedTuple):
    """Two nodes of different dialects with their Telegrafs, the central one, and Prometheus with the alerts."""

    fleet: Fleet
    prometheus: Prometheus


@pytest.fixture
def scene(fleet: Fleet, start_prometheus: StartPrometheus, tmp_path: Path) -> Scene:
    """Start all of it; the alerts wait for shorter times."""
    rules = tmp_path / "alerts.yml"
    rules.write_text(re.sub(r"\bfor: \w+", "for: 1s", RULES.read_text()).replace("[90s]", "[10s]"))
    fleet.start_central()
    fleet.start_node("alpha", "tracing", *EVERYTHING)
    fleet.start_node("beta", "stock", *EVERYTHING)
    fleet.nodes["alpha"].says("subscribed", 2)
    return Scene(fleet, start_prometheus(fleet.address, rules=rules))


def everything_is_as_at_home(scene: Scene) -> None:
    """Each metric that a node of the fullest kind gives arrives with the type, labels and value of its page."""
    fleet, prometheus = scene
    alpha = fleet.nodes["alpha"]
    alpha.do("accept", count=30)
    alpha.do("replace")
    alpha.do("block", outputs=100)
    alpha.do("reorg", depth=2)
    alpha.do("fee_estimates", rates={"2": 12.5, "6": 7, "144": 1})
    alpha.do("indexes", heights={"txindex": None})
    alpha.do("peer", network="onion", type="outbound-full-relay", transport="v2", ping=0.1)
    wanted = {f"bitcoin_{name}" for name, origin in TRACING.origins.items() if origin is not None}
    wanted -= {"bitcoin_chain_prune_height"}  # only of a pruned node

    def names(lines: set[str]) -> set[str]:
        return {line.partition("{")[0] for line in lines if not line.startswith("#")}

    def difference() -> set[str]:
        there, here = fleet.pages_at_home, fleet.page
        return (steady(there) ^ steady(here)) | (names(there) ^ names(here)) | (wanted - names(here))

    wait_until(
        lambda: not difference(), START_SECONDS, lambda: f"no difference between pages: {difference()}", 0.2
    )
    prometheus.wait_for("count(bitcoin_up == 1) == 2")
    prometheus.follows_the_catalogue("node")


def emits_in_vain(fleet: Fleet, name: str) -> None:
    """Wait until a node's Telegraf has had lines since now, and has failed to deliver some."""
    telegraf, before = fleet.telegrafs[name], len(fleet.lines(name))
    telegraf.wait_until(lambda: len(fleet.lines(name)) > before, "lines in the outage")
    telegraf.logged("Error writing to outputs.http")


def an_outage_of_the_central_telegraf_loses_nothing(scene: Scene) -> None:
    """What the nodes emit while it is down arrives when it is back, and counters go on without a reset."""
    fleet, prometheus = scene
    alpha = fleet.nodes["alpha"]
    connected = 'bitcoin_blocks_connected_total{node="alpha"}'
    ((_, blocks),) = prometheus.wait_for(connected)
    fleet.central.stop()
    alpha.do("block")
    for name in fleet.nodes:
        emits_in_vain(fleet, name)
    prometheus.shows("bitcoin_up", lambda found: not found, "no value")
    in_the_outage = fleet.lines("alpha") | fleet.lines("beta")
    assert in_the_outage - fleet.lines()
    fleet.central.start()
    alpha.do("block")
    prometheus.wait_for(f"{connected} == {blocks + 2}")
    wait_until(lambda: in_the_outage <= fleet.lines(), START_SECONDS, "every line of the outage")
    for metric in CATALOGUE:
        if metric.type == "counter":
            assert not prometheus.query(f"resets(bitcoin_{metric.name}[1h]) > 0"), metric.name


def each_alert_names_the_right_node(scene: Scene) -> None:
    """A node's end and a Telegraf's end are different alerts, each for the one that is down and no other."""
    scene.prometheus.wait_for("count(bitcoin_up == 1) == 2")
    scene.prometheus.fires("BitcoinNodeDown")
    scene.prometheus.fires("BitcoinPluginDown")
    assert scene.fleet.nodes["alpha"].stop() == 0
    scene.fleet.telegrafs["beta"].kill()
    scene.prometheus.fires("BitcoinNodeDown", "alpha")
    scene.prometheus.fires("BitcoinPluginDown", "beta")


def test_two_nodes_at_one_central_telegraf(scene: Scene) -> None:
    """The central page has what the nodes have; an outage loses nothing; an end is an alert of the right node."""
    everything_is_as_at_home(scene)
    an_outage_of_the_central_telegraf_loses_nothing(scene)
    each_alert_names_the_right_node(scene)


def test_old_lines_are_not_shown_as_new(fleet: Fleet) -> None:
    """A line that was held up for minutes is recorded, but not on the page, which shows the present."""
    fleet.start_central(emit_interval="60")
    now = time.time_ns()
    old = f"bitcoin,node=alpha up=1i {now - 120 * 10**9}\n"
    new = f"bitcoin,node=beta up=1i {now}\n"
    fleet.central.logged(f"Listening on 127.0.0.1:{fleet.port}")
    assert post(f"{fleet.url}/bitcoin", old + new) == 204
    fleet.central.wait_until(lambda: 'bitcoin_up{node="beta"} 1' in fleet.page, "the new line")
    fleet.central.wait_until(lambda: len(fleet.lines()) == 2, "both lines in the other output")
    assert not [line for line in fleet.page if "alpha" in line]


def post(url: str, text: str) -> int:
    """Send lines as Telegraf does, and return the status."""
    request = urllib.request.Request(url, text.encode(), method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        status: int = response.status
        return status


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine that is its own CA, and its key."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=START_SECONDS,
    )  # fmt: skip
    return certificate, key


def test_tls_and_password(fleet: Fleet, certificate: tuple[Path, Path]) -> None:
    """A node with the CA and the password gets through; one without either does not, and its log says why."""
    ours = {"BITCOIN_FLEET_PASSWORD": PASSWORD}
    ca = {"BITCOIN_FLEET_CA": str(certificate[0])}
    url = f"https://fleet@127.0.0.1:{fleet.port}"
    server = {"BITCOIN_FLEET_CERT": str(certificate[0]), "BITCOIN_FLEET_KEY": str(certificate[1])}
    fleet.start_central(url, {**ours, **server})
    fleet.start_telegraf("other-password", url, environment={**ca, "BITCOIN_FLEET_PASSWORD": "guessed"})
    fleet.start_telegraf("other-ca", url, environment=ours)
    fleet.start_telegraf("ours", url, environment={**ours, **ca})
    fleet.central.wait_until(lambda: 'bitcoin_up{node="ours"} 0' in fleet.page, "the node's line")
    fleet.telegrafs["other-password"].logged("status code: 401")
    fleet.telegrafs["other-ca"].logged("unknown authority")
    assert not [line for line in fleet.lines() | fleet.page if "other" in line]


FILES = sorted((Path(__file__).parents[1] / "golden" / "fleet").glob("*.conf"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_telegraf_takes_each_file(file: Path, telegraf_binary: Path, certificate: tuple[Path, Path]) -> None:
    """`telegraf config check` has nothing to say against any of the four, and demands each secret, not empty."""
    environment = {
        "BITCOIN_FLEET_PASSWORD": PASSWORD,
        "BITCOIN_FLEET_CERT": str(certificate[0]),
        "BITCOIN_FLEET_KEY": str(certificate[1]),
    }
    check = partial(config_check, telegraf_binary, file, "--strict-env-handling")
    accepted(check(environment=environment))
    demanded = set(re.findall(r"\$\{(\w+):\?", file.read_text()))
    assert "BITCOIN_FLEET_PASSWORD" in demanded
    for variable in demanded:
        done = check(environment={**environment, variable: ""})
        assert done.returncode != 0
        assert f"required variable {variable} is missing a value" in done.stdout


@pytest.mark.parametrize("side", ["node", "central"])
def test_kafka_may_come_later(side: str, fleet: Fleet) -> None:
    """Without Kafka Telegraf starts all the same, on either side, and tries again."""
    url = f"kafka://127.0.0.1:{fleet.port}"
    if side == "node":
        fleet.start_telegraf("alpha", url)
        telegraf = fleet.telegrafs["alpha"]
        telegraf.wait_until(lambda: "bitcoin_up{" in "".join(fleet.pages_at_home), "the plugin's values")
    else:
        fleet.start_central(url)
        telegraf = fleet.central
    telegraf.logged("retrying")
