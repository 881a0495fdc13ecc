"""The NixOS module: the guard's command and Telegraf's settings, run with the real programs."""

import grp
import os
import re
from functools import partial
from pathlib import Path

import pytest
from support import toml
from support.nix import Nix
from support.nixos import EXPORTER, GUARD_SOCKET, NEEDED, ODD, SOCKET, configuration, nix_string, package, words_of
from support.nodes import PROGRAM, StartNode
from support.processes import StartProcess, free_port
from support.telegraf import StartTelegraf, accepted, config_check, metrics_page

pytestmark = pytest.mark.nix


def test_any_word_reaches_the_plugin(nix: Nix, start_telegraf: StartTelegraf, tmp_path: Path) -> None:
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
    accepted(config_check(telegraf_binary, file))


def test_telegraf_runs_with_the_settings(
    nix: Nix, start_node: StartNode, start_process: StartProcess, start_telegraf: StartTelegraf, socket_path: Path
) -> None:
    """Behind the guard the machine's Telegraf serves the node's metrics, beside what else it does."""
    port = free_port()
    node = start_node()
    text, command = machine(nix, socket_path, socket_path.with_name("guard.sock"), port)
    start_process(command, name="guard")
    telegraf = start_telegraf(text)
    node.says("subscribed", 2)
    node.do("block")
    page = partial(metrics_page, f"127.0.0.1:{port}")
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
    telegraf.logged(" D! [inputs.execd] ")
    assert " D! [agent]" not in telegraf.stderr
