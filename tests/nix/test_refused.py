"""The NixOS module: what it refuses, or warns about, before anything is installed."""

import re

import pytest
from support.nix import Nix
from support.nixos import NEEDED, SOCKET, configuration, nix_string

pytestmark = pytest.mark.nix


def refusal(nix: Nix, options: str) -> str:
    """Return the sentence with which an evaluation fails."""
    done = nix.configure(configuration(options))
    assert done.returncode != 0
    # The last one: a newer Nix tells first what it was about to do.
    return str(re.findall(r"^ *error: (.+)$", done.stderr, re.MULTILINE)[-1])


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
