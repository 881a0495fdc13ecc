"""The NixOS module: ipc-exporter-rust's options, the guard as its unit, and a Telegraf that really runs."""

import grp
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import toml
from support.nix import ROOT, Nix
from support.nodes import PROGRAM, SimulatedNode
from support.processes import Process, free_port, get
from support.telegraf import Telegraf

from telegraf_bitcoin_ipc.config import CHOOSABLE_GROUPS
from telegraf_bitcoin_ipc.telegraf.sample_config import render

pytestmark = pytest.mark.nix

SOCKET = "/run/bitcoind/node.sock"
PLUGIN = "/nix/store/plugin/bin/telegraf-bitcoin-ipc"
GUARD_SOCKET = "/run/bitcoind-ipc-exporter/guard.sock"
EXPORTER = "bitcoind-ipc-exporter"

EXPORTER_OPTIONS = """
    enable = true;
    package = { pname = "telegraf-bitcoin-ipc"; outPath = "/nix/store/plugin"; };
    socketPath = "/run/bitcoind/node.sock";
    metricsAddr = "127.0.0.1:9332";
    debug = false;
    user = "bitcoind";
    group = "bitcoind";
    after = [ "bitcoind.service" ];
    bindsTo = [ "bitcoind.service" ];
"""
"""Every option of ipc-exporter-rust's module; what a configuration for it may say."""

NEEDED = f'enable = true; socketPath = "{SOCKET}"; user = "bitcoind";'


def configuration(options: str = NEEDED, telegraf: str = "") -> str:
    """Return a NixOS configuration with these options, and with these of services.telegraf."""
    return f"{{ config.services = {{ bitcoind-ipc-exporter = {{ {options} }}; telegraf = {{ {telegraf} }}; }}; }}"


def command(nix: Nix, options: str, telegraf: str = "") -> list[str]:
    """Return the words with which Telegraf starts the plugin, without the program."""
    made = nix.configured(configuration(NEEDED + options, telegraf))
    (plugin,) = made["telegraf"]["inputs"]["execd"]
    program, *words = plugin["command"]
    assert program == PLUGIN
    return [str(word) for word in words]


def settings(command: list[str], *others: Any) -> Any:
    """Return Telegraf's settings for the plugin: what `config` prints, without that of other plugins (agent)."""
    made = tomllib.loads(render(command, *others))
    del made["agent"]
    return made


def guard(nix: Nix, options: str = NEEDED, unit: str = "") -> Any:
    """Return the guard's unit, which has the exporter's name, with what else the machine says of it."""
    made = nix.configured(
        f"{{ config.services.{EXPORTER} = {{ {options} }}; config.systemd.services.{EXPORTER} = {{ {unit} }}; }}"
    )
    return made["units"][EXPORTER]


def words_of(service: Any, expected: str | Path = PLUGIN) -> list[str]:
    """Return the words that systemd makes of ExecStart, without the program, which is the expected one."""
    program, *words = [
        json.loads(word).replace("%%", "%").replace("$$", "$")
        for word in re.findall(r'"(?:[^"\\]|\\.)*"', service["ExecStart"])
    ]
    assert program == str(expected)
    return words


def refusal(nix: Nix, options: str) -> str:
    """Return the sentence with which an evaluation fails."""
    done = nix.configure(configuration(options))
    assert done.returncode != 0
    # The last one: a newer Nix tells first what it was about to do.
    return str(re.findall(r"^ *error: (.+)$", done.stderr, re.MULTILINE)[-1])


def nix_string(text: str) -> str:
    """Return the Nix expression for a text."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")


def package(prefix: Path) -> str:
    """Return the Nix expression for a package of the plugin that is installed under `prefix`."""
    return f'{{ pname = "telegraf-bitcoin-ipc"; outPath = {nix_string(str(prefix))}; }}'


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
    """A machine that imports the module and does not enable it has no Telegraf because of that."""
    made = nix.configured("{ }")
    assert made["enable"] is False
    assert EXPORTER not in made["units"]
    assert made["telegraf"] == {"inputs": {}, "outputs": {}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", []),
        ("debug = true;", ["--debug"]),
        ("pollInterval = 30;", ["--poll-interval", "30"]),
        ("pollInterval = 0.5;", ["--poll-interval", "0.5"]),
        ("metricGroups = [ ];", ["--metrics", "none"]),
        ('metricGroups = [ "mempool" "fees" ];', ["--metrics", "mempool,fees"]),
        ("utxoTrace = false;", ["--no-utxo-trace"]),
        ('tags = { node = "alpha"; site = "at home"; };', ["--tag", "node=alpha", "--tag", "site=at home"]),
        ('extraArgs = [ "--fee-targets" "2" ];', ["--fee-targets", "2"]),
    ],
)
def test_options_become_words(nix: Nix, options: str, words: list[str]) -> None:
    """Each option is the plugin's of that meaning, and what is not set is left to the plugin."""
    assert command(nix, options) == [*words, GUARD_SOCKET]


def test_every_group_can_be_chosen(nix: Nix) -> None:
    """The module knows every group of metrics that the plugin has."""
    names = " ".join(f'"{group}"' for group in CHOOSABLE_GROUPS)
    assert command(nix, f"metricGroups = [ {names} ];") == ["--metrics", ",".join(CHOOSABLE_GROUPS), GUARD_SOCKET]


def test_debug_is_the_inputs_alone(nix: Nix) -> None:
    """What the plugin logs with `debug` is in Telegraf's log, and nothing else that Telegraf would not log."""
    made = nix.configured(configuration(f"{NEEDED} debug = true;"))["telegraf"]
    assert made["inputs"]["execd"][0]["log_level"] == "debug"
    assert "agent" not in made


def test_stop_order(nix: Nix) -> None:
    """The guard starts after the node and so stops before it, and starts with it again where it is bound to it."""
    unit = guard(nix, f'{NEEDED} after = [ "a.service" ]; bindsTo = [ "b.service" ];')
    assert unit["after"] == ["a.service", "b.service"]
    assert unit["bindsTo"] == ["b.service"]
    assert unit["wantedBy"] == ["multi-user.target", "b.service"]


def test_group_of_the_user(nix: Nix) -> None:
    """Without a group systemd takes the user's own."""
    assert guard(nix)["serviceConfig"]["Group"] == ""


def test_nobody_kills_the_guard(nix: Nix) -> None:
    """Whatever happens to its unit, or to one of its processes, systemd does not kill the guard."""
    service = guard(nix)["serviceConfig"]
    assert service["KillMode"] == "control-group"
    assert service["SendSIGKILL"] is False
    assert service["OOMPolicy"] == "continue"
    assert service["SystemCallErrorNumber"] == "EPERM"
    assert not service.keys() & {"CPUQuota", "LimitAS", "MemoryHigh", "MemoryMax", "RuntimeMaxSec", "TasksMax"}


def test_telegrafs_group_can_open_the_guards_socket(nix: Nix) -> None:
    """The guard gives its socket to the group that Telegraf runs as, which a machine may have changed."""
    assert guard(nix)["serviceConfig"]["SupplementaryGroups"] == ["telegraf"]
    made = nix.configured(
        f"""{{ config.services.{EXPORTER} = {{ {NEEDED} }};
        config.systemd.services.telegraf.serviceConfig.Group = lib.mkForce "metrics"; }}"""
    )
    service = made["units"][EXPORTER]["serviceConfig"]
    assert service["SupplementaryGroups"] == ["metrics"]
    assert words_of(service)[3:5] == ["--group", "metrics"]


def test_a_machines_word_on_the_unit_wins(nix: Nix) -> None:
    """A configuration's own settings for the exporter's unit win, over the hardening and the restarts too."""
    said = 'startLimitBurst = 5; serviceConfig = { Restart = "always"; ProtectHome = false; Nice = 5; };'
    unit = guard(nix, unit=said)
    assert unit["startLimitBurst"] == 5
    service = unit["serviceConfig"]
    assert (service["Restart"], service["ProtectHome"], service["Nice"]) == ("always", False, 5)


def test_a_socket_stays_in_sight(nix: Nix) -> None:
    """No hardening hides a directory in which the node's socket may be, the node's process, or who a client is."""
    service = guard(nix)["serviceConfig"]
    hiding = {
        "InaccessiblePaths",
        "PrivateTmp",
        "PrivateUsers",
        "ProtectProc",
        "RootDirectory",
        "TemporaryFileSystem",
    }
    assert not hiding & service.keys()
    assert service["ProtectHome"] == "read-only"


def test_guard_may_do_no_more_than_it_needs(nix: Nix) -> None:
    """The guard, which has the node's rights, has neither a network nor a capability nor a file to write."""
    service = guard(nix)["serviceConfig"]
    assert service["RestrictAddressFamilies"] == "AF_UNIX"
    assert service["PrivateNetwork"] is True
    assert service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] is True
    assert service["ProtectSystem"] == "strict"
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged @resources", "@chown"]


@pytest.mark.parametrize(
    ("table", "others"),
    [
        ("[ {} ]", ["other"]),
        ("{}", ["other"]),
        ("[ {} {} ]", ["other", "other"]),
    ],
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


def test_without_the_module_settings_stay_as_they_are(nix: Nix) -> None:
    """Where it is imported and not enabled, the machine's Telegraf has the settings that it was given."""
    made = nix.configured('{ config.services.telegraf.extraConfig.outputs.prometheus_client.listen = ":1"; }')
    assert made["telegraf"]["outputs"] == {"prometheus_client": {"listen": ":1"}}


@pytest.mark.parametrize(
    ("address", "port"), [("127.0.0.1:9332", 9332), (":1", 1), ("[::1]:65535", 65535), ("a-b.example:80", 80)]
)
def test_firewall(nix: Nix, address: str, port: int) -> None:
    """The firewall is opened on request only, for the port of the address."""
    options = f'{NEEDED} metricsAddr = "{address}";'
    assert nix.configured(configuration(options))["ports"] == []
    assert nix.configured(configuration(f"{options} openFirewall = true;"))["ports"] == [port]


@pytest.mark.parametrize(
    "address",
    ["", "9332", "localhost", "localhost:", "localhost:http", "::1:9332", "a b:1", "a:0", "a:65536", "a:-1"],
)
def test_bad_address(nix: Nix, address: str) -> None:
    """What is no address ends the evaluation with a sentence about it, instead of Telegraf at its start."""
    assert refusal(nix, f'{NEEDED} metricsAddr = "{address}";') == (
        f'services.bitcoind-ipc-exporter.metricsAddr is "{address}", which is not HOST:PORT '
        "(for instance 127.0.0.1:9332, or [::1]:9332)."
    )


def test_relative_path(nix: Nix) -> None:
    """A socket's path that depends on where the guard is started is refused."""
    assert refusal(nix, 'enable = true; user = "bitcoind"; socketPath = "bitcoind/node.sock";') == (
        'services.bitcoind-ipc-exporter.socketPath is "bitcoind/node.sock", which is not an absolute path.'
    )


def test_nobody_by_default(nix: Nix) -> None:
    """Without a user the evaluation fails and says whom to name: no default has more rights than it needs."""
    assert refusal(nix, f'enable = true; socketPath = "{SOCKET}";') == (
        "services.bitcoind-ipc-exporter.user has no default: name the account that owns the node's socket "
        "(the node's own), because whoever can open it has full RPC rights."
    )


def test_nobody_named(nix: Nix) -> None:
    """A user that is empty is refused: systemd would run the guard as root."""
    assert refusal(nix, f'enable = true; socketPath = "{SOCKET}"; user = "";') == (
        "services.bitcoind-ipc-exporter.user is empty, which would run the guard as root: "
        "name the account that owns the node's socket."
    )


@pytest.mark.parametrize(
    ("users", "known"),
    [
        ("", False),
        ("bitcoind = { isSystemUser = true; };", True),
        ('node.name = "bitcoind";', True),
        ('bitcoind.name = "node";', False),
    ],
)
def test_account_that_is_not_declared(nix: Nix, users: str, known: bool) -> None:
    """An account that the configuration does not declare is warned about, and may be there all the same."""
    warnings = nix.configured(
        f"{{ config = {{ services.bitcoind-ipc-exporter = {{ {NEEDED} }}; users.users = {{ {users} }}; }}; }}"
    )["warnings"]
    assert warnings == [
        'services.bitcoind-ipc-exporter.user is "bitcoind", but users.users declares no account of that name: '
        "the guard does not start unless there is one."
    ] * (not known)


@pytest.mark.parametrize("name", ["", "a-b", "1st", "_a", "a b", "é"])
def test_bad_name_of_a_tag(nix: Nix, name: str) -> None:
    """A tag's name that the plugin would refuse is refused before it is installed."""
    assert refusal(nix, f'{NEEDED} tags = {{ {nix_string(name)} = "a"; }};') == (
        f'services.bitcoind-ipc-exporter.tags has a tag named "{name}"; use letters, digits and _, a letter first.'
    )


def test_telegrafs_own_tag(nix: Nix) -> None:
    """The tag that Telegraf gives every metric itself is refused before it is installed."""
    assert refusal(nix, f'{NEEDED} tags.host = "a";') == (
        'services.bitcoind-ipc-exporter.tags has a tag named "host", which is Telegraf\'s own.'
    )


def test_empty_tag(nix: Nix) -> None:
    """A tag without a value is refused before it is installed, as the plugin would refuse it."""
    assert refusal(nix, f'{NEEDED} tags.node = "";') == "services.bitcoind-ipc-exporter.tags.node is empty."


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ('pname = "ipc-exporter-rust"; name = "ipc-exporter-rust-0.1.0";', "ipc-exporter-rust"),
        ('name = "telegraf-1.39.1";', "telegraf"),
    ],
)
def test_package_of_another_program(nix: Nix, other: str, name: str) -> None:
    """A package that was left from the exporter's configuration is refused: it has no such program."""
    assert refusal(nix, f'{NEEDED} package = {{ {other} outPath = "/nix/store/other"; }};') == (
        f'services.bitcoind-ipc-exporter.package is "{name}", which is not telegraf-bitcoin-ipc: '
        "remove the line, or name this flake's package."
    )


@pytest.mark.parametrize("options", ["pollInterval = 0;", "emitInterval = 86401;", 'metricGroups = [ "wallet" ];'])
def test_value_out_of_bounds(nix: Nix, options: str) -> None:
    """A value that the plugin would refuse is refused before it is installed."""
    name = options.split()[0]
    assert f"services.bitcoind-ipc-exporter.{name}: " in refusal(nix, NEEDED + options)


ODD = "/run/a b/'single' \"double\" back\\slash #{x} é $HOME ${HOME} $$ %n @x"


def test_dollar_signs_survive_the_environment_files(nix: Nix) -> None:
    """Where NixOS has envsubst read the settings first, a dollar sign is written twice as often."""
    options = f"extraArgs = [ {nix_string(ODD)} ];"
    assert command(nix, options)[0] == ODD.replace("$", "$$")
    assert command(nix, options, 'environmentFiles = [ "/run/keys/x" ];')[0] == ODD.replace("$", "$$$$")


def test_any_path_reaches_the_guard(nix: Nix) -> None:
    """Whatever characters the path of the node's socket has, systemd starts the guard with that very path."""
    options = f'enable = true; user = "bitcoind"; socketPath = {nix_string(ODD)};'
    assert words_of(guard(nix, options)["serviceConfig"])[-1] == ODD


def test_any_word_reaches_the_plugin(nix: Nix, start_telegraf: Callable[..., Telegraf], tmp_path: Path) -> None:
    """Whatever characters an argument has, the real Telegraf starts the plugin with it."""
    said = tmp_path / "said"
    program = tmp_path / "bin" / "telegraf-bitcoin-ipc"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" >'{said}.new'\nmv '{said}.new' '{said}'\ncat >/dev/null\n"
    )
    program.chmod(0o755)
    made = nix.configured(
        configuration(
            f"""{NEEDED} extraArgs = [ {nix_string(ODD)} ]; tags.a = {nix_string("b $c")};
            package = {package(tmp_path)}; metricsAddr = "127.0.0.1:{free_port()}";"""
        )
    )
    telegraf = start_telegraf(toml.dumps(made["telegraf"]))
    telegraf.wait_until(said.exists, "the plugin was started")
    assert said.read_text().splitlines() == ["--tag", "a=b $c", ODD, GUARD_SOCKET]


def machine(nix: Nix, node_socket: Path, guard_socket: Path, port: int) -> tuple[str, list[str]]:
    """Return Telegraf's configuration and the guard's command of a machine with the installed plugin.

    The guard's socket is here, and for this process's own group: nothing else differs from the module's.
    """
    made = nix.configured(
        configuration(
            f"""enable = true; user = "bitcoind"; socketPath = {nix_string(str(node_socket))};
            package = {package(PROGRAM.parents[1])}; metricsAddr = "127.0.0.1:{port}";
            pollInterval = 1; emitInterval = 1; tags.site = "home"; debug = true;""",
            """extraConfig.outputs.file = [ { files = [ "stdout" ]; } ];
            extraConfig.outputs.prometheus_client = { listen = "127.0.0.1:0"; };""",
        )
    )
    here = {GUARD_SOCKET: str(guard_socket), "telegraf": grp.getgrgid(os.getgid()).gr_name}
    words = words_of(made["units"][EXPORTER]["serviceConfig"], PROGRAM)
    text = toml.dumps(made["telegraf"]).replace(GUARD_SOCKET, str(guard_socket))
    return text, [str(PROGRAM), *(here.get(word, word) for word in words)]


def test_telegraf_accepts_the_settings(nix: Nix, telegraf_binary: Path, tmp_path: Path) -> None:
    """`telegraf config check` has nothing to say against what the module makes."""
    file = tmp_path / "telegraf.conf"
    file.write_text(machine(nix, Path(SOCKET), Path(GUARD_SOCKET), 9332)[0])
    done = subprocess.run(
        [telegraf_binary, "config", "check", "--config", file],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deprecated" not in done.stdout + done.stderr


def test_telegraf_runs_with_the_settings(
    nix: Nix,
    start_node: Callable[..., SimulatedNode],
    start_process: Callable[..., Process],
    start_telegraf: Callable[..., Telegraf],
    socket_path: Path,
) -> None:
    """Behind the guard the machine's Telegraf serves the node's metrics, beside what else it does."""
    port = free_port()
    node = start_node()
    text, command = machine(nix, socket_path, socket_path.with_name("guard.sock"), port)
    start_process(command, name="guard")
    telegraf = start_telegraf(text)
    node.says("subscribed", 2)
    node.do("block")

    def page() -> str:
        return get(f"http://127.0.0.1:{port}/metrics") or ""

    telegraf.wait_until(
        lambda: 'bitcoin_blocks_connected_total{site="home"} 1\n' in page(), "the block on the page"
    )
    assert "# TYPE bitcoin_blocks_connected_total counter\n" in page()
    assert "# TYPE bitcoin_chain_height gauge\n" in page()
    assert 'bitcoin_guard_standing{site="home"} 1\n' in page()
    telegraf.wait_until(
        lambda: re.search(r"^bitcoin,host=[^, ]+,site=home ", telegraf.stdout, re.MULTILINE),
        "the same in the other output, with its host",
    )
    telegraf.wait_until(lambda: " D! [inputs.execd] " in telegraf.stderr, "an event in the log")
    assert " D! [agent]" not in telegraf.stderr
