"""The NixOS module: the guard is the unit that ipc-exporter-rust's module has."""

import re
from typing import Any

import pytest
from support.nix import ROOT, Nix
from support.nixos import EXPORTER, NEEDED, ODD, guard, nix_string, words_of

pytestmark = pytest.mark.nix


def test_stop_order(nix: Nix) -> None:
    """The guard starts after the node and so stops before it, and starts with it again where it is bound to it.

    Without a group systemd takes the user's own.
    """
    unit = guard(nix, f'{NEEDED} after = [ "a.service" ]; bindsTo = [ "b.service" ];')
    assert unit["after"] == ["a.service", "b.service"]
    assert unit["bindsTo"] == ["b.service"]
    assert unit["wantedBy"] == ["multi-user.target", "b.service"]
    assert unit["serviceConfig"]["Group"] == ""


def test_hardening(nix: Nix) -> None:
    """Nobody kills the guard, nothing hides a socket or a process from it, and it may do no more than it needs."""
    service = guard(nix)["serviceConfig"]
    expected = {
        "KillMode": "control-group",
        "SendSIGKILL": False,
        "OOMPolicy": "continue",
        "SystemCallErrorNumber": "EPERM",
        "ProtectHome": "read-only",
        "RestrictAddressFamilies": "AF_UNIX",
        "PrivateNetwork": True,
        "CapabilityBoundingSet": "",
        "NoNewPrivileges": True,
        "ProtectSystem": "strict",
        "SystemCallFilter": ["@system-service", "~@privileged @resources", "@chown"],
    }
    assert {name: service[name] for name in expected} == expected
    killing = {"CPUQuota", "LimitAS", "MemoryHigh", "MemoryMax", "RuntimeMaxSec", "TasksMax"}
    hiding = {"InaccessiblePaths", "PrivateTmp", "PrivateUsers", "ProtectProc", "RootDirectory"}
    assert not service.keys() & (killing | hiding | {"TemporaryFileSystem"})


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


def test_any_path_reaches_the_guard(nix: Nix) -> None:
    """Whatever characters the path of the node's socket has, systemd starts the guard with that very path."""
    options = f'enable = true; user = "bitcoind"; socketPath = {nix_string(ODD)};'
    assert words_of(guard(nix, options)["serviceConfig"])[-1] == ODD


def test_contrib_has_the_same_unit(nix: Nix) -> None:
    """NixOS has the settings of contrib's unit, except for those that may hide a socket or the node."""
    text = (ROOT / "contrib" / "bitcoin-ipc-guard.service").read_text().partition("[Service]")[2]
    names = {"ExecStart", "User", "Group", "RestartSec"}
    hiding = {"InaccessiblePaths", "PrivateTmp", "ProtectHome", "ProtectProc"}
    contrib: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE):
        if name not in names | hiding:
            contrib.setdefault(name, []).append(value)
    service = guard(nix)["serviceConfig"]
    service["SystemCallFilter"].remove("@chown")  # there systemd makes the socket
    assert {name: in_words(service.get(name)) for name in contrib} == contrib


def in_words(value: Any) -> list[str]:
    """Return a setting as a unit file has it, line by line."""
    lines = map(str, value if isinstance(value, list) else [value])
    return [{"True": "yes", "False": "no"}.get(line, line) for line in lines]
