"""NixOS configurations with the module, and what an evaluation makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from support.nix import Nix

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

ODD = "/run/a b/'single' \"double\" back\\slash #{x} é $HOME ${HOME} $$ %n @x"
"""A word with everything that Nix, systemd, a shell, TOML or Telegraf could take for something else."""


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


def nix_string(text: str) -> str:
    """Return the Nix expression for a text."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")


def package(prefix: Path) -> str:
    """Return the Nix expression for a package of the plugin that is installed under `prefix`."""
    return f'{{ pname = "telegraf-bitcoin-ipc"; outPath = {nix_string(str(prefix))}; }}'
