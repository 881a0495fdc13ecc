"""The NixOS module: ipc-exporter-rust's options, and what becomes of Telegraf's settings."""

import tomllib
from typing import Any

import pytest
from support.nix import ROOT, Nix
from support.nixos import (
    EXPORTER,
    EXPORTER_OPTIONS,
    GUARD_SOCKET,
    NEEDED,
    ODD,
    PLUGIN,
    SOCKET,
    command,
    configuration,
    nix_string,
    words_of,
)

from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.telegraf.sample_config import render

pytestmark = pytest.mark.nix

EVERY_GROUP = " ".join(f'"{group}"' for group in CHOOSABLE_GROUPS)


def settings(command: list[str], *others: Any) -> Any:
    """Return Telegraf's settings for the plugin: what `config` prints, without that of other plugins (agent)."""
    made = tomllib.loads(render(command, *others))
    del made["agent"]
    return made


def test_a_configuration_for_the_exporter_is_one_for_this(nix: Nix) -> None:
    """Whoever changes the flake's input and nothing else has the same node watched, on the same address."""
    made = nix.configured(configuration(EXPORTER_OPTIONS))
    assert made["enable"] is True
    assert made["telegraf"] == settings([PLUGIN, GUARD_SOCKET])
    unit = made["units"][EXPORTER]
    service = unit["serviceConfig"]
    assert words_of(service) == ["guard", "--listen", GUARD_SOCKET, "--group", "telegraf", SOCKET]
    assert (service["Type"], service["User"], service["Group"]) == ("notify", "bitcoind", "bitcoind")
    assert unit["after"] == ["bitcoind.service"] * 2
    assert unit["bindsTo"] == ["bitcoind.service"]
    assert unit["startLimitIntervalSec"] == 300
    assert unit["startLimitBurst"] == 20
    assert service["Restart"] == "on-failure"
    assert service["RestartSec"] == 10


def test_generated_configuration_is_the_example(nix: Nix) -> None:
    """Telegraf gets the input and the output of telegraf.conf.example, with the types of all metrics."""
    example = tomllib.loads((ROOT / "telegraf.conf.example").read_text())
    del example["agent"]
    example["inputs"]["execd"][0]["command"] = [PLUGIN, GUARD_SOCKET]
    assert nix.configured(configuration())["telegraf"] == example


def test_telegraf_stays_what_it_is(nix: Nix) -> None:
    """Telegraf's unit, its user included, is the one without the module: only one input and one output are new."""
    made = nix.configured(configuration(EXPORTER_OPTIONS))
    plain = nix.configured("{ config.services.telegraf.enable = true; }")
    assert made["units"]["telegraf"] == plain["units"]["telegraf"]
    assert made["telegraf"].keys() == {"inputs", "outputs"}
    assert [len(plugins) for plugins in made["telegraf"]["inputs"].values()] == [1]
    assert [len(plugins) for plugins in made["telegraf"]["outputs"].values()] == [1]


@pytest.mark.parametrize(("interval", "seconds"), [("30", 30.0), ("0.5", 0.5), ("1.1", 1.1), ("0.3", 0.3)])
def test_values_are_kept_as_long_as_config_says(nix: Nix, interval: str, seconds: float) -> None:
    """With another interval, too, the module makes what `telegraf-bitcoin-ipc config` prints."""
    made = nix.configured(configuration(f'{NEEDED} emitInterval = {interval}; metricsAddr = "[::1]:9400";'))
    words = [PLUGIN, "--emit-interval", interval, GUARD_SOCKET]
    assert made["telegraf"] == settings(words, "[::1]:9400", seconds)


def test_disabled_it_does_nothing(nix: Nix) -> None:
    """Imported and not enabled the module is no reason for a Telegraf, and leaves the machine's as it is."""
    made = nix.configured("{ }")
    assert made["enable"] is False
    assert EXPORTER not in made["units"]
    assert made["telegraf"] == {"inputs": {}, "outputs": {}}
    made = nix.configured('{ config.services.telegraf.extraConfig.outputs.prometheus_client.listen = ":1"; }')
    assert made["telegraf"]["outputs"] == {"prometheus_client": {"listen": ":1"}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", []),
        ("debug = true;", ["--debug"]),
        ("pollInterval = 30;", ["--poll-interval", "30"]),
        ("pollInterval = 0.5;", ["--poll-interval", "0.5"]),
        ("metricGroups = [ ];", ["--metrics", "none"]),
        ('metricGroups = [ "mempool" "fees" ];', ["--metrics", "mempool,fees"]),
        (f"metricGroups = [ {EVERY_GROUP} ];", ["--metrics", ",".join(CHOOSABLE_GROUPS)]),
        ("utxoTrace = false;", ["--no-utxo-trace"]),
        ('tags = { node = "alpha"; site = "at home"; };', ["--tag", "node=alpha", "--tag", "site=at home"]),
        ('extraArgs = [ "--fee-targets" "2" ];', ["--fee-targets", "2"]),
    ],
)
def test_options_become_words(nix: Nix, options: str, words: list[str]) -> None:
    """Each option is the plugin's of that meaning, and what is not set is left to the plugin."""
    assert command(nix, options) == [*words, GUARD_SOCKET]


def test_debug_is_the_inputs_alone(nix: Nix) -> None:
    """What the plugin logs with `debug` is in Telegraf's log, and nothing else that Telegraf would not log."""
    made = nix.configured(configuration(f"{NEEDED} debug = true;"))["telegraf"]
    assert made["inputs"]["execd"][0]["log_level"] == "debug"
    assert "agent" not in made


def test_dollar_signs_survive_the_environment_files(nix: Nix) -> None:
    """Where NixOS has envsubst read the settings first, a dollar sign is written twice as often."""
    options = f"extraArgs = [ {nix_string(ODD)} ];"
    assert command(nix, options)[0] == ODD.replace("$", "$$")
    assert command(nix, options, 'environmentFiles = [ "/run/keys/x" ];')[0] == ODD.replace("$", "$$$$")


@pytest.mark.parametrize(
    ("table", "others"),
    [("[ {} ]", ["other"]), ("{}", ["other"]), ("[ {} {} ]", ["other", "other"])],
    ids=["list", "table", "longer list"],
)
def test_the_rest_of_the_machines_telegraf_survives(nix: Nix, table: str, others: list[str]) -> None:
    """Other inputs and outputs stand beside ours, those of the same kinds too, as a list or as a single table."""
    execd = table.replace("{}", '{ command = [ "other" ]; signal = "STDIN"; }')
    page = table.replace("{}", '{ listen = "other"; }')
    made = nix.configured(
        configuration(
            telegraf=f"""extraConfig = {{
              agent = {{ interval = "30s"; hostname = "alpha"; }};
              inputs.execd = {execd};
              inputs.cpu = {{ percpu = false; }};
              outputs.prometheus_client = {page};
              outputs.influxdb.urls = [ "http://localhost:8086" ];
            }};"""
        )
    )["telegraf"]
    assert [one["command"][0] for one in made["inputs"]["execd"]] == [*others, PLUGIN]
    assert made["inputs"]["cpu"] == {"percpu": False}
    assert [one["listen"] for one in made["outputs"]["prometheus_client"]] == [*others, "127.0.0.1:9332"]
    assert made["outputs"]["influxdb"] == {"urls": ["http://localhost:8086"]}
    assert made["agent"] == {"interval": "30s", "hostname": "alpha"}


@pytest.mark.parametrize(
    ("address", "port"), [("127.0.0.1:9332", 9332), (":1", 1), ("[::1]:65535", 65535), ("a-b.example:80", 80)]
)
def test_firewall(nix: Nix, address: str, port: int) -> None:
    """The firewall is opened on request only, for the port of the address."""
    options = f'{NEEDED} metricsAddr = "{address}";'
    assert nix.configured(configuration(options))["ports"] == []
    assert nix.configured(configuration(f"{options} openFirewall = true;"))["ports"] == [port]
