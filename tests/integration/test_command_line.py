"""The installed command line: what it prints, its exit statuses, and its messages about mistakes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.nodes import PROGRAM, StartNode, StartPlugin, call_program, read_line, run_program, value
from support.processes import START_SECONDS, StartProcess

MISTAKES = [
    ([], "SOCKET"),
    (["--poll-interval", "0", "SOCKET"], "--poll-interval"),
    (["--fee-targets", "soon", "SOCKET"], "--fee-targets: it should be a valid integer, but is 'soon'"),
    (["--unknown", "SOCKET"], "--unknown"),
    (["--metrics-addr", "127.0.0.1:9332", "SOCKET"], "Telegraf serves the metrics"),
    (["config", "--metrics-addr", "9332", "SOCKET"], "--metrics-addr: '9332' is not HOST:PORT"),
    (["config", "--metrics-addr", "127.0.0.1:0", "SOCKET"], "0 is not a valid port"),
    (["simulate"], "SOCKET"),
    (["simulate", "--dialect", "klingon", "SOCKET"], "--dialect"),
    (["simulate", "--block-interval", "0", "SOCKET"], "--block-interval: '0' is not a number greater than 0"),
    (["simulate", "--warmup", "soon", "SOCKET"], "--warmup: 'soon' is not a number of at least 0"),
    (["simulate", "--utxo-burst", "2.5", "SOCKET"], "--utxo-burst: '2.5' is not a whole number of at least 0"),
    (["metrics", "--loud"], "--loud"),
    (["top", "--debug", "SOCKET"], "--debug"),
    (["top", "SOCKET"], "top needs a terminal to draw on, but stdout is not one"),
    (["chekc"], "there is no command 'chekc'; did you mean 'check'?"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_gets_one_clear_sentence(arguments: list[str], sentence: str) -> None:
    """Bad input ends with status 2 and one line on stderr that names the option; no traceback, no output."""
    done = call_program(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def run_python(*arguments: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python of this environment to its end."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **how)


@pytest.mark.parametrize(("command", "package"), [("top", "rich"), ("parity", "prometheus-client")])
def test_without_its_extra_a_command_says_how_to_get_it(command: str, package: str) -> None:
    """A plugin that was installed without an extra names the command that installs it, from a checkout."""
    without = (
        "import sys; sys.modules[sys.argv.pop(1)] = None;"
        "from telegraf_bitcoin_ipc.cli import main; sys.exit(main())"
    )
    done = run_python("-c", without, package.replace("-", "_"), command, "SOCKET")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"telegraf-bitcoin-ipc: {command} needs the package {package}; in a checkout, "
        "`pipx install --force '.[top,parity]'` or `uv tool install '.[top,parity]'` adds it\n"
    )


def test_start_without_the_extras(socket_path: Path) -> None:
    """Everything but `top` and `parity` works without their packages."""
    without = (
        "import sys; sys.modules |= dict.fromkeys(['rich', 'prometheus_client'])\n"
        "from contextlib import suppress\n"
        "from telegraf_bitcoin_ipc.cli import main\n"
        "for arguments in (['--help'], ['metrics'], ['config', sys.argv[1]], ['simulate', '--help']):\n"
        "    with suppress(SystemExit): assert main(arguments) == 0"
    )
    done = run_python("-c", without, socket_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["config", "SOCKET"], ["metrics"], ["--help"], ["once", "--version"]])
def test_a_full_disk_gets_one_clear_sentence(arguments: list[str]) -> None:
    """`config SOCKET > FILE` on a full disk ends with status 1 and one line on stderr, without a traceback."""
    with open("/dev/full", "w") as full:
        done = run_program(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "telegraf-bitcoin-ipc: cannot write to stdout: No space left on device\n"


def test_interrupt_ends_a_command_quietly(start_process: StartProcess, socket_path: Path) -> None:
    """Ctrl-C ends a command that waits for its node, or for a page, with status 130, and prints nothing."""
    with socket.socket(socket.AF_UNIX) as node, socket.socket() as page:
        node.bind(str(socket_path))
        page.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{page.getsockname()[1]}"
        for silent, *arguments in (
            (node, "once", socket_path),
            (node, "check", socket_path),
            (page, "parity", url, url),
        ):
            silent.listen()
            silent.settimeout(START_SECONDS)
            process = start_process([PROGRAM, *arguments], name=str(arguments[0]))
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1)
                process.send(signal.SIGINT)
                assert (process.wait(), process.stdout, process.stderr) == (130, "", "")


def test_a_path_without_a_node_gets_one_sentence(tmp_path: Path) -> None:
    """A file that is no socket is a mistake for every command; `once` and `check` wait for no node, and say so."""
    (tmp_path / "file").write_text("")
    every: tuple[list[str], ...] = ([], ["top"], ["once"], ["check"], ["simulate"])
    rows = [(command, "file", 2, "is not a socket") for command in every]
    rows += [([command], "node.sock", 1, "there is no such socket") for command in ("once", "check")]
    for command, name, status, sentence in rows:
        done = call_program(*command, tmp_path / name)
        assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
        assert sentence in done.stderr


def test_once_prints_one_poll(start_node: StartNode, socket_path: Path) -> None:
    """`once` prints valid line protocol with the polled values, and leaves the node alone."""
    node = start_node()
    done = run_program("once", "--tag", "node=alpha", socket_path)
    assert done.returncode == 0, done.stderr
    values = {
        name: number for line in done.stdout.splitlines() for (name, _), number in read_line(line)[1].items()
    }
    assert values["chain_height"] == node.totals["height"]
    assert values["up"] == 1
    assert "blocks_connected_total" not in values
    assert not node.lines("subscribed")


def test_check_tells_what_the_node_gives(start_node: StartNode, socket_path: Path) -> None:
    """`check` names version, chain and dialect, tries every poll, and says what is pushed."""
    node = start_node("--dialect", "chain")
    done = run_program("check", socket_path)
    assert done.returncode == 0, done.stderr
    assert "version  /Satoshi:30.99.0/" in done.stdout
    assert "dialect  chain" in done.stdout
    assert f"works   bitcoin_chain_height = {node.totals['height']}  (Chain.getHeight, " in done.stdout
    assert "absent because this node has no Tracing interface" in done.stdout
    assert not node.lines("subscribed")


def test_check_names_what_fails_and_what_is_off(start_node: StartNode, socket_path: Path) -> None:
    """`check` ends with status 1 if something does not work that should, and says what is off at what cost."""
    node = start_node("--dialect", "stock")
    everything = run_program("check", "--metrics", "mempool,chain,network,peers,fees,blocks", socket_path)
    assert "\noff: " not in everything.stdout
    assert "  works   bitcoin_banned_peers = 0  (listbanned, " in everything.stdout
    node.do("fail", method="uptime", message="no luck")
    done = run_program("check", socket_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "\noff: group peers, " in done.stdout
    assert "  FAILS   bitcoin_uptime_seconds uptime: no luck (error -1)\n" in done.stdout


def test_config_prints_what_telegraf_needs(socket_path: Path) -> None:
    """`config` prints a configuration with the given socket, address and options."""
    done = run_program("config", "--metrics-addr", "[::1]:9400", "--tag", "node=alpha", "--debug", socket_path)
    configuration = tomllib.loads(done.stdout)
    assert configuration["outputs"]["prometheus_client"][0]["listen"] == "[::1]:9400"
    command = configuration["inputs"]["execd"][0]["command"]
    assert command == [str(PROGRAM), "--debug", "--tag", "node=alpha", str(socket_path)]


AS_A_MODULE = [sys.executable, "-m", "telegraf_bitcoin_ipc"]


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        (["bin/telegraf-bitcoin-ipc"], [str(PROGRAM)]),
        (["./bin/telegraf-bitcoin-ipc"], [str(PROGRAM)]),
        (["/usr/bin/env", "PATH=bin", "telegraf-bitcoin-ipc"], [str(PROGRAM)]),
        ([sys.executable, "-P", *AS_A_MODULE[1:]], AS_A_MODULE),
    ],
    ids=["path", "dot", "relative PATH", "module"],
)
def test_config_names_the_program_by_its_absolute_path(program: list[str], printed: list[str]) -> None:
    """However the program was called, also by `python -m`, Telegraf finds it and the socket from any directory."""
    directory = PROGRAM.parents[1]
    assert PROGRAM.parent.name == "bin"
    text = subprocess.check_output([*program, "config", "node.sock"], cwd=directory, text=True, timeout=60)
    assert tomllib.loads(text)["inputs"]["execd"][0]["command"] == [*printed, str(directory / "node.sock")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["once", "SOCKET"], ["check", "SOCKET"], ["config", "SOCKET"], ["simulate", "another.sock"],
        ["metrics"], ["--help"], ["check", "--help"], ["--version"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_closed_stdout_ends_a_command_quietly(
    start_node: StartNode, socket_path: Path, arguments: list[str]
) -> None:
    """`once SOCKET | head -1` ends as a shell expects it: without a word, as if by SIGPIPE; no socket is left."""
    if arguments[0] in ("once", "check"):
        start_node()
    another = socket_path.with_name("another.sock")
    reader, writer = os.pipe()
    os.close(reader)
    paths = {"SOCKET": socket_path, "another.sock": another}
    with os.fdopen(writer) as stdout:
        done = run_program(*(paths.get(word, word) for word in arguments), stdout=stdout)
    assert (done.returncode, done.stderr) == (141, "")
    assert not another.exists()


def test_options_can_come_from_the_environment(start_node: StartNode, start_plugin: StartPlugin) -> None:
    """Every option can be set as an environment variable; the command line goes before it.

    With --no-utxo-trace the counters of the UTXO cache are absent, not 0, and everything else is there.
    """
    environment = {
        "TELEGRAF_BITCOIN_IPC_TAG": "node=alpha,site=x",
        "TELEGRAF_BITCOIN_IPC_NO_UTXO_TRACE": "1",
        "TELEGRAF_BITCOIN_IPC_METRICS": "weather",
    }
    tags = {"node": "alpha", "site": "x"}
    node, plugin = start_node(), start_plugin("--metrics", "none", environment=environment)
    plugin.logged("subscribed: chain")
    node.do("block")
    series = plugin.shows(lambda series: value(series, "blocks_connected_total", **tags) == 1, "the block")
    assert value(series, "utxo_cache_add_total", **tags) is None
    assert value(series, "subscription_active", subscription="utxo_cache", **tags) == 0
    assert value(series, "subscription_active", subscription="chain", **tags) == 1


def test_a_misspelt_variable_is_a_mistake() -> None:
    """An environment variable that is meant for the plugin and is no option is not passed over."""
    done = call_program("SOCKET", TELEGRAF_BITCOIN_IPC_POLL_INTERVALL="5")
    assert done.returncode == 2
    assert "TELEGRAF_BITCOIN_IPC_POLL_INTERVALL: there is no such option" in done.stderr


def test_help_names_every_option_and_command() -> None:
    """--help shows the options with their defaults, the environment variables and a sentence for each command."""
    done = call_program("--help", COLUMNS="200")
    assert done.returncode == 0
    for piece in (
        "telegraf-bitcoin-ipc [OPTIONS] SOCKET",
        "--poll-interval S",
        "--no-utxo-trace",
        "--fee-targets BLOCKS,...",
        "TELEGRAF_BITCOIN_IPC_",
        "(default: 60)",
        "(default: 2,6,144)",
        "  once                poll a node once and print the line protocol\n",
        "  simulate            run a simulated Bitcoin node on a socket\n",
        "  parity              compare another exporter's",
    ):
        assert piece in done.stdout
    assert call_program("-h", COLUMNS="200").stdout == done.stdout
    for command in ("top", "check", "once", "config", "metrics", "simulate", "parity"):
        done = call_program(command, "--help", COLUMNS="200")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: telegraf-bitcoin-ipc {command} [-h]")
