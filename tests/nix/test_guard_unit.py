"""The NixOS module: the guard is the unit that ipc-exporter-rust's module has."""

import re
from typing import Any

import pytest
from support.nix import ROOT, Nix
from support.nixos import EXPORTER, NEEDED, ODD, guard, nix_string, words_of

pytestmark = pytest.mark.nix


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
