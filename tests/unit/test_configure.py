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


def test_a_node_of_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    """`--output` replaces the page; the command that Telegraf runs has the tag, and not the URL."""
    made = printed(capsys, "--tag", "node=alpha", "--output", URL, SOCKET)
    assert made["outputs"].keys() == {"http"}
    assert made["inputs"]["execd"][0]["command"][-3:] == ["--tag", "node=alpha", SOCKET]


def test_with_a_page_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """`--metrics-addr` keeps the page beside the output."""
    made = printed(capsys, "--tag", "node=alpha", "--output", URL, "--metrics-addr", "127.0.0.1:9332", SOCKET)
    assert made["outputs"].keys() == {"http", "prometheus_client"}
    assert made["outputs"]["prometheus_client"][0]["listen"] == "127.0.0.1:9332"


def test_the_tag_may_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the node is known, wherever it was set."""
    monkeypatch.setenv("TELEGRAF_BITCOIN_IPC_TAG", "node=beta")
    made = printed(capsys, "--output", URL, SOCKET)
    assert made["inputs"]["execd"][0]["command"][-3:] == ["--tag", "node=beta", SOCKET]


def test_central(capsys: pytest.CaptureFixture[str]) -> None:
    """`--central` prints a file without a plugin, with a page at the usual address, or another."""
    made = printed(capsys, "--central", "https://0.0.0.0:8186")
    assert made["inputs"].keys() == {"http_listener_v2"}
    assert made["outputs"]["prometheus_client"][0]["listen"] == "127.0.0.1:9332"
    made = printed(capsys, "--central", "kafka+ssl://k1", "--metrics-addr", ":9400", "--emit-interval", "60")
    assert made["inputs"].keys() == {"kafka_consumer"}
    assert made["outputs"]["prometheus_client"][0]["listen"] == ":9400"
    assert made["outputs"]["prometheus_client"][0]["expiration_interval"] == "180s"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tag", "node=a", "--output", "http://central.example", SOCKET),
        ("--tag", "node=a", "--output", "kafka://localhost,k2.example", SOCKET),
        ("--central", "http://0.0.0.0"),
        ("--central", "kafka://k1.example"),
    ],
)
def test_without_tls_there_is_a_warning(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What leaves the machine unencrypted gets a sentence on stderr; the file is printed all the same."""
    option = next(word for word in arguments if word in ("--output", "--central"))
    sentence = f"{option}: without TLS, anyone on the way can read the metrics and forge them"
    printed(capsys, *arguments, warning=sentence)


@pytest.mark.parametrize(
    "arguments",
    [("--tag", "node=a", "--output", "http://127.0.0.1", SOCKET), ("--central", "http://localhost")],
)
def test_within_the_machine_there_is_none(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """A loopback address needs no TLS."""
    printed(capsys, *arguments)


MISTAKES = [
    (
        ("--output", URL, SOCKET),
        "--output: it needs --tag node=NAME, which distinguishes the nodes at the central Telegraf",
    ),
    (("--tag", "site=x", "--output", URL, SOCKET), "--output: it needs --tag node=NAME"),
    (("--tag", "node=a", "--output", URL), "SOCKET: it is required"),
    (("--tag", "node=a", "--output", "central", SOCKET), "--output: 'central' is not http://"),
    (("--tag", "node=a", "--output", "", SOCKET), "--output: '' is not http://"),
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
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_mistake(arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake gets one sentence about the option, status 2, and no file."""
    assert main(["config", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert sentence in shown.err
    assert shown.err.count("\n") == 1


def test_central_takes_the_interval_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one option that both sides have may be set as a variable on both."""
    monkeypatch.setenv("TELEGRAF_BITCOIN_IPC_EMIT_INTERVAL", "30")
    made = printed(capsys, "--central", URL)
    assert made["outputs"]["prometheus_client"][0]["expiration_interval"] == "90s"
