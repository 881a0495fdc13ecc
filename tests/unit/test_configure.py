"""The command `config`: which file it prints for which options, and what it refuses."""

import tomllib
from typing import Any

import pytest

from telegraf_bitcoin_ipc.cli import main

SOCKET = "/run/node.sock"
URL = "https://central.example"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TAG", "EMIT_INTERVAL"):
        monkeypatch.delenv(f"TELEGRAF_BITCOIN_IPC_{variable}", raising=False)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, warning: str = "") -> Any:
    """Return what `config` prints, as a TOML parser reads it."""
    assert main(["config", *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == (f"telegraf-bitcoin-ipc: warning: {warning}\n" if warning else "")
    return tomllib.loads(shown.out)


def test_a_node_of_a_fleet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--output` replaces the page, which `--metrics-addr` keeps beside it.

    The command that Telegraf runs has the tag, wherever that was set, and not the URL.
    """
    made = printed(capsys, "--tag", "node=alpha", "--output", URL, SOCKET)
    assert made["outputs"].keys() == {"http"}
    assert made["inputs"]["execd"][0]["command"][-3:] == ["--tag", "node=alpha", SOCKET]
    monkeypatch.setenv("TELEGRAF_BITCOIN_IPC_TAG", "node=beta")
    made = printed(capsys, "--output", URL, "--metrics-addr", "127.0.0.1:9332", SOCKET)
    assert made["inputs"]["execd"][0]["command"][-3:] == ["--tag", "node=beta", SOCKET]
    assert made["outputs"].keys() == {"http", "prometheus_client"}
    assert made["outputs"]["prometheus_client"][0]["listen"] == "127.0.0.1:9332"


def test_central(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--central` prints a file without a plugin, with a page at the usual address, or another.

    The one option that both sides have, the interval, may be set as a variable on both.
    """
    monkeypatch.setenv("TELEGRAF_BITCOIN_IPC_EMIT_INTERVAL", "30")
    usual = ("http_listener_v2", "127.0.0.1:9332", "90s")
    another = ("--metrics-addr", ":9400", "--emit-interval", "60")
    for arguments, (source, address, kept) in (
        (["https://0.0.0.0:8186"], usual),
        (["kafka+ssl://k1", *another], ("kafka_consumer", ":9400", "180s")),
    ):
        made = printed(capsys, "--central", *arguments)
        (page,) = made["outputs"]["prometheus_client"]
        assert made["inputs"].keys() == {source}
        assert (page["listen"], page["expiration_interval"]) == (address, kept)


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (("--tag", "node=a", "--output", "http://central.example", SOCKET), "--output"),
        (("--tag", "node=a", "--output", "kafka://localhost,k2.example", SOCKET), "--output"),
        (("--central", "http://0.0.0.0"), "--central"),
        (("--central", "kafka://k1.example"), "--central"),
        # A loopback address needs no TLS.
        (("--tag", "node=a", "--output", "http://127.0.0.1", SOCKET), ""),
        (("--central", "http://localhost"), ""),
    ],
)
def test_without_tls_there_is_a_warning(
    arguments: tuple[str, ...], warned: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What leaves the machine unencrypted gets a sentence on stderr; the file is printed all the same."""
    sentence = f"{warned}: without TLS, anyone on the way can read the metrics and forge them"
    printed(capsys, *arguments, warning=sentence if warned else "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--output", URL, SOCKET),
            "--output: it needs --tag node=NAME, which distinguishes the nodes at the central Telegraf",
        ),
        (("--tag", "site=x", "--output", URL, SOCKET), "--output: it needs --tag node=NAME"),
        (("--tag", "node=a", "--output", URL), "SOCKET: it is required"),
        (("--tag", "node=a", "--output", "central", SOCKET), "--output: 'central' is not http://"),
        (("--output", URL, "--output", URL, SOCKET), "--output: it can be given only once"),
        (("--central", URL, "--central", URL), "--central: it can be given only once"),
        (
            ("--central", URL, "--output", URL),
            "--central: it cannot be combined with --output; each is for a machine of its own",
        ),
        (("--central", URL, SOCKET), "--central: SOCKET is for the nodes' machines, not for this one"),
        (("--central", URL, "--tag", "node=a"), "--central: --tag is for the nodes' machines, not for this one"),
        (("--central", URL, "--no-guard"), "--central: --no-guard is for the nodes' machines, not for this one"),
        (("--central", URL, "--emit-interval", "0"), "--emit-interval: it should be greater than or equal to 0.1"),
        (("--central", URL, "--metrics-addr", "9332"), "--metrics-addr: '9332' is not HOST:PORT"),
        (("--central", "http://me@0.0.0.0"), "--central: the password would be sent unencrypted"),
    ],
)
def test_mistake(arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake gets one sentence about the option, status 2, and no file."""
    assert main(["config", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert sentence in shown.err
    assert shown.err.count("\n") == 1
