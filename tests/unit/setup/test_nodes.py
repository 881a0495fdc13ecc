"""Where a node's socket is, from units and bitcoin.conf."""

import pytest

from telegraf_bitcoin_ipc.setup.nodes import is_node, quoted, service, socket_of

HOME = "/home/satoshi"


@pytest.mark.parametrize(
    ("options", "conf", "socket"),
    [
        ("-ipcbind=unix", "", "/home/satoshi/.bitcoin/node.sock"),
        ("-ipcbind=unix -datadir=/d", "", "/d/node.sock"),
        ("--ipcbind=unix: --datadir=/d", "", "/d/node.sock"),
        ("-ipcbind=unix:/run/b/node.sock -datadir=/d", "", "/run/b/node.sock"),
        ("-ipcbind=unix:here.sock -datadir=/d -signet", "", "/d/signet/here.sock"),
        ("-ipcbind=unix -datadir=/d -chain=test", "", "/d/testnet3/node.sock"),
        ("-datadir=/d", "ipcbind=unix\nregtest=1 # a comment\n", "/d/regtest/node.sock"),
        ("-datadir=/d -regtest=0", "regtest=1\nipcbind=unix", "/d/node.sock"),
        ("-datadir=/d -signet", "[signet]\nipcbind = unix:/s\n[regtest]\nipcbind=unix:/r\n", "/s"),
        ("-datadir=/d -conf=/etc/bitcoin/bitcoin.conf", "ipcbind=unix", "/d/node.sock"),
        ("-datadir=/d", "# ipcbind=unix", None),
        ("-datadir=/d", "", None),
    ],
)
def test_socket(options: str, conf: str, socket: str | None) -> None:
    """The socket is where Bitcoin Core's options say, those of the command before those of the file."""
    names = {"/d/bitcoin.conf", "/etc/bitcoin/bitcoin.conf"}
    found = socket_of(
        ["/usr/bin/bitcoin-node", *options.split()], HOME, lambda path: conf if path in names else ""
    )
    assert found == socket


def test_a_node_is_known_by_its_program() -> None:
    """Bitcoin Core under any of its names, and nothing else."""
    assert is_node(["/opt/bitcoin/bin/bitcoin-node", "-x"])
    assert is_node(["bitcoin", "-m", "node"])
    assert not is_node(["/usr/bin/bitcoin-cli"])
    assert not is_node([])


def test_unit_file() -> None:
    """The last value counts, drop-ins after the unit; lines can be continued, comments are none."""
    unit = '[Unit]\nUser=no\n[Service]\n# User=no\nExecStart=-/bin/a \\\n   -b "c d" 100%%\nUser=bitcoin\n'
    read = service("a.service", [unit])
    assert read.command == ("/bin/a", "-b", "c d", "100%")
    assert (read.user, read.group) == ("bitcoin", "")
    read = service("a.service", [unit, "[Service]\nExecStart=\nExecStart=/bin/b\nGroup=g"])
    assert (read.command, read.user, read.group) == (("/bin/b",), "bitcoin", "g")
    assert service("a.service", ['[Service]\nExecStart=/bin/a "open']).command == ()


@pytest.mark.parametrize(
    "word", ["/a/node.sock", "/a b/node.sock", '/a"b', "/a%n", "/a$HOME", "/a\\b", "/a'b", "/a;b"]
)
def test_a_word_is_read_back(word: str) -> None:
    """What setup writes into ExecStart= is what systemd reads there."""
    assert service("a", [f"[Service]\nExecStart=/bin/a {quoted(word)}"]).command == ("/bin/a", word)
