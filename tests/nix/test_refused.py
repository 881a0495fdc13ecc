"""The NixOS module: what it refuses, or warns about, before anything is installed."""

import re

import pytest
from support.nix import Nix
from support.nixos import NEEDED, SOCKET, configuration, nix_string

pytestmark = pytest.mark.nix

BAD_NAMES = ("", "a-b", "1st", "_a", "a b", "é")


def refusal(nix: Nix, options: str) -> str:
    """Return the sentence with which an evaluation fails."""
    done = nix.configure(configuration(options))
    assert done.returncode != 0
    # The last one: a newer Nix tells first what it was about to do.
    return str(re.findall(r"^ *error: (.+)$", done.stderr, re.MULTILINE)[-1])


OPTION = "services.bitcoind-ipc-exporter"


@pytest.mark.parametrize(
    "address",
    ["", "9332", "localhost", "localhost:", "localhost:http", "::1:9332", "a b:1", "a:0", "a:65536", "a:-1"],
)
def test_bad_address(nix: Nix, address: str) -> None:
    """What is no address ends the evaluation with a sentence about it, instead of Telegraf at its start."""
    assert refusal(nix, f'{NEEDED} metricsAddr = "{address}";') == (
        f'{OPTION}.metricsAddr is "{address}", which is not HOST:PORT '
        "(for instance 127.0.0.1:9332, or [::1]:9332)."
    )


TAG = 'tags has a tag named "{}"; use letters, digits and _, a letter first.'


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            'enable = true; user = "bitcoind"; socketPath = "bitcoind/node.sock";',
            'socketPath is "bitcoind/node.sock", which is not an absolute path.',
        ),
        (
            f'enable = true; socketPath = "{SOCKET}";',
            "user has no default: name the account that owns the node's socket "
            "(the node's own), because whoever can open it has full RPC rights.",
        ),
        (
            f'enable = true; socketPath = "{SOCKET}"; user = "";',
            "user is empty, which would run the guard as root: name the account that owns the node's socket.",
        ),
        *((f'{NEEDED} tags = {{ {nix_string(name)} = "a"; }};', TAG.format(name)) for name in BAD_NAMES),
        (f'{NEEDED} tags.host = "a";', 'tags has a tag named "host", which is Telegraf\'s own.'),
        (f'{NEEDED} tags.node = "";', "tags.node is empty."),
        *(
            (
                f'{NEEDED} package = {{ {other} outPath = "/nix/store/other"; }};',
                f'package is "{name}", which is not telegraf-bitcoin-ipc: '
                "remove the line, or name this flake's package.",
            )
            for other, name in (
                ('pname = "ipc-exporter-rust"; name = "ipc-exporter-rust-0.1.0";', "ipc-exporter-rust"),
                ('name = "telegraf-1.39.1";', "telegraf"),
            )
        ),
    ],
)
def test_what_the_plugin_would_refuse_is_refused_before(nix: Nix, options: str, sentence: str) -> None:
    """A relative path, no user or an empty one, a bad or empty tag, another package: one sentence each."""
    assert refusal(nix, options) == f"{OPTION}.{sentence}"


@pytest.mark.parametrize("options", ["pollInterval = 0;", "emitInterval = 86401;", 'metricGroups = [ "wallet" ];'])
def test_value_out_of_bounds(nix: Nix, options: str) -> None:
    """A value that the plugin would refuse is refused before it is installed."""
    assert f"{OPTION}.{options.split()[0]}: " in refusal(nix, NEEDED + options)


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
    warnings = nix.configured(f"{{ config = {{ {OPTION} = {{ {NEEDED} }}; users.users = {{ {users} }}; }}; }}")
    assert warnings["warnings"] == [
        f'{OPTION}.user is "bitcoind", but users.users declares no account of that name: '
        "the guard does not start unless there is one."
    ] * (not known)
