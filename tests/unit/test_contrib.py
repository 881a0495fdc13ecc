"""The units of the standing guard: what they promise the node, and what systemd itself thinks of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from telegraf_bitcoin_ipc.setup import plan

ROOT = Path(__file__).parents[2]
SERVICE, SOCKET = (ROOT / "contrib" / unit for unit in (plan.GUARD, plan.GUARD_SOCKET_UNIT))

MOST_EXPOSURE = 15
"""Ten times what `systemd-analyze security` may give the guard, from 0 (safe) to 100."""

SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
with_systemd = pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="needs systemd-analyze")


def settings(path: Path) -> dict[str, str]:
    """Return a unit's settings; those that are given several times are joined by spaces."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", path.read_text(), re.MULTILINE):
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def test_what_the_service_promises() -> None:
    """Each setting by which it protects the node is there, and none that would keep it from that."""
    service = settings(SERVICE)
    expected = {
        # Systemd asks every process of the guard to leave the node, and kills none of them.
        "KillMode": "control-group",
        "SendSIGKILL": "no",
        "SystemCallErrorNumber": "EPERM",
        "Restart": "on-failure",
        # It is the last choice when memory is short.
        "OOMScoreAdjust": "-900",
        "OOMPolicy": "continue",
        "ManagedOOMPreference": "avoid",
        # No rights but those of the node's user: no network, no capability.
        "User": "bitcoin",
        "CapabilityBoundingSet": "",
        "RestrictAddressFamilies": "AF_UNIX",
        "PrivateNetwork": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "SystemCallFilter": "@system-service ~@privileged @resources",
    }
    assert {name: service[name] for name in expected} == expected
    assert "bitcoind.service" in service["After"].split(), "what starts after the node stops before it"
    assert {"/tmp", "/var/tmp", "/dev/shm"} <= set(service["InaccessiblePaths"].split())
    forbidden = (
        "KillSignal|WatchdogSec|RuntimeMaxSec"  # nothing ends it but its own teardown
        "|CPU|Memory(?!Deny)|Nice|Limit|Tasks|IO"  # nothing slows it down
        "|ReadWrite|Bind|State|Cache|Logs|Runtime|Ambient|PrivateUsers"  # its log can name the clients' users
    )
    assert [name for name in service if re.match(forbidden, name)] == []


def test_the_socket_is_for_a_group_and_nobody_else() -> None:
    """Systemd makes a socket of the guard's type, which the group may open, and the service is started by it.

    `setup` enables these units, and has Telegraf's plugin connect to this socket.
    """
    socket, service = settings(SOCKET), settings(SERVICE)
    assert socket["ListenSequentialPacket"] == plan.GUARD_SOCKET == "/run/bitcoin-ipc-guard.sock"
    assert (socket["SocketMode"], socket["SocketGroup"]) == ("0660", plan.DEFAULT_GROUP)
    assert service["Type"] == "notify"
    assert service["Requires"] == SOCKET.name
    program = "/usr/local/bin/telegraf-bitcoin-ipc"  # debian/rules adapts it
    assert service["ExecStart"].split() == [program, "guard", "/var/lib/bitcoind/node.sock"]


@with_systemd
def test_systemd_finds_it_safe() -> None:
    """The exposure level is at most 1.5."""
    analysed(SERVICE, "security", "--offline=true", f"--threshold={MOST_EXPOSURE}")


@with_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Every setting is known, and has a value that systemd understands."""
    copies = [Path(shutil.copy(unit, tmp_path)) for unit in (SERVICE, SOCKET)]
    program = settings(SERVICE)["ExecStart"].split()[0]
    copies[0].write_text(copies[0].read_text().replace(program, str(shutil.which("true"))))
    for copy in copies:
        assert analysed(copy, "verify", "--man=no", "--recursive-errors=no") == ""


def analysed(unit: Path, *command: str) -> str:
    """Run systemd-analyze on a unit; returns what it wrote."""
    assert SYSTEMD_ANALYZE is not None
    done = subprocess.run(
        [SYSTEMD_ANALYZE, "--no-pager", *command, unit],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=unit.parent,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
