"""The installed command line: what it prints, its exit statuses, and its messages about mistakes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nodes import PROGRAM, Plugin, StartNode, call_program, read_line, run_program
from support.processes import START_SECONDS, Process

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


@pytest.mark.parametrize(("command", "package"), [("top", "rich"), ("parity", "prometheus-client")])
def test_without_its_extra_a_command_says_how_to_get_it(command: str, package: str) -> None:
    """A plugin that was installed without an extra names the command that installs it, from a checkout."""
    without = (
        "import sys; sys.modules[sys.argv.pop(1)] = None;"
        "from telegraf_bitcoin_ipc.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", without, package.replace("-", "_"), command, "SOCKET"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
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
    done = subprocess.run(
        [sys.executable, "-c", without, socket_path], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_a_module() -> None:
    """`python -m telegraf_bitcoin_ipc` is the program, and `config` then prints a command that runs it so."""
    command = [sys.executable, "-P", "-m", "telegraf_bitcoin_ipc"]
    done = subprocess.run(
        [*command, "config", "/node.sock"], capture_output=True, text=True, check=True, timeout=60
    )
    printed = tomllib.loads(done.stdout)["inputs"]["execd"][0]["command"]
    assert printed == [sys.executable, "-m", "telegraf_bitcoin_ipc", "/node.sock"]


@pytest.mark.parametrize("arguments", [["config", "SOCKET"], ["metrics"], ["--help"], ["once", "--version"]])
def test_a_full_disk_gets_one_clear_sentence(arguments: list[str]) -> None:
    """`config SOCKET > FILE` on a full disk ends with status 1 and one line on stderr, without a traceback."""
    with open("/dev/full", "w") as full:
        done = run_program(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "telegraf-bitcoin-ipc: cannot write to stdout: No space left on device\n"


def test_interrupt_ends_a_command_quietly(start_process: Callable[..., Process], socket_path: Path) -> None:
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


def test_a_path_that_is_no_socket_is_a_mistake(tmp_path: Path) -> None:
    """A file that is not a socket is reported at once, for every command that connects or listens."""
    file = tmp_path / "file"
    file.write_text("")
    for command in ([], ["top"], ["once"], ["check"], ["simulate"]):
        done = call_program(*command, file)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "is not a socket" in done.stderr


@pytest.mark.parametrize("command", ["once", "check"])
def test_without_a_node_once_and_check_say_why(tmp_path: Path, command: str) -> None:
    """`once` and `check` end with status 1 and a sentence when there is no node."""
    done = call_program(command, tmp_path / "node.sock")
    assert done.returncode == 1
    assert "there is no such socket" in done.stderr
    assert done.stderr.count("\n") == 1


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


def test_check_fails_where_a_poll_fails(start_node: StartNode, socket_path: Path) -> None:
    """`check` ends with status 1 when something does not work that should, and says what."""
    node = start_node("--dialect", "stock")
    node.do("fail", method="uptime", message="no luck")
    done = run_program("check", socket_path)
    assert done.returncode == 1
    assert "  FAILS   bitcoin_uptime_seconds uptime: no luck (error -1)\n" in done.stdout
    assert done.stderr == ""


def test_check_names_what_is_off(start_node: StartNode, socket_path: Path) -> None:
    """`check` says which groups are off and what they would cost; with all of them on there is none."""
    start_node("--dialect", "stock")
    assert "\noff: group peers, " in run_program("check", socket_path).stdout
    everything = run_program("check", "--metrics", "mempool,chain,network,peers,fees,blocks", socket_path)
    assert "\noff: " not in everything.stdout
    assert "  works   bitcoin_banned_peers = 0  (listbanned, " in everything.stdout


def test_config_prints_what_telegraf_needs(socket_path: Path) -> None:
    """`config` prints a configuration with the given socket, address and options."""
    done = run_program("config", "--metrics-addr", "[::1]:9400", "--tag", "node=alpha", "--debug", socket_path)
    configuration = tomllib.loads(done.stdout)
    assert configuration["outputs"]["prometheus_client"][0]["listen"] == "[::1]:9400"
    command = configuration["inputs"]["execd"][0]["command"]
    assert command == [str(PROGRAM), "--debug", "--tag", "node=alpha", str(socket_path)]


@pytest.mark.parametrize("program", ["bin/telegraf-bitcoin-ipc", "./bin/telegraf-bitcoin-ipc"])
def test_config_names_the_program_by_its_absolute_path(program: str) -> None:
    """However the program was called, Telegraf finds it and the socket from any directory."""
    assert PROGRAM.parent.parent / program == PROGRAM
    done = subprocess.run(
        [program, "config", "node.sock"],
        cwd=PROGRAM.parent.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    command = tomllib.loads(done.stdout)["inputs"]["execd"][0]["command"]
    assert command == [str(PROGRAM), str(PROGRAM.parent.parent / "node.sock")]


def test_config_finds_the_program_on_a_relative_path() -> None:
    """A PATH with a relative directory in it makes no difference."""
    done = subprocess.run(
        ["/usr/bin/env", "telegraf-bitcoin-ipc", "config", "node.sock"],
        cwd=PROGRAM.parent.parent,
        env={"PATH": PROGRAM.parent.name},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert tomllib.loads(done.stdout)["inputs"]["execd"][0]["command"][0] == str(PROGRAM)


def run_without_a_reader(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, with a stdout that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as stdout:
        return run_program(*arguments, stdout=stdout)


@pytest.mark.parametrize("command", ["once", "check", "config"])
def test_a_closed_stdout_ends_a_command_quietly(start_node: StartNode, socket_path: Path, command: str) -> None:
    """`once SOCKET | head -1` ends as a shell expects it: without a word, as if by SIGPIPE."""
    start_node()
    done = run_without_a_reader(command, socket_path)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("arguments", [["metrics"], ["--help"], ["check", "--help"], ["--version"]])
def test_a_closed_stdout_ends_what_needs_no_node_quietly(arguments: list[str]) -> None:
    """The same for what only prints, help included."""
    done = run_without_a_reader(*arguments)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_stdout_ends_the_simulated_node_quietly(socket_path: Path) -> None:
    """`simulate SOCKET | head -1` stops as at SIGTERM, and leaves no socket behind."""
    done = run_without_a_reader("simulate", socket_path)
    assert (done.returncode, done.stderr) == (141, "")
    assert not socket_path.exists()


def test_options_can_come_from_the_environment(start_node: StartNode, start_plugin: Callable[..., Plugin]) -> None:
    """Every option can be set as an environment variable; the command line goes before it."""
    environment = {
        "TELEGRAF_BITCOIN_IPC_TAG": "node=alpha,site=x",
        "TELEGRAF_BITCOIN_IPC_NO_UTXO_TRACE": "1",
        "TELEGRAF_BITCOIN_IPC_METRICS": "weather",
    }
    start_node()
    plugin = start_plugin("--metrics", "none", environment=environment)
    plugin.logged("subscribed: chain")
    plugin.shows(
        lambda series: {"node=alpha", "site=x"} <= {f"{key}={text}" for _, tags in series for key, text in tags},
        "the tags of the environment",
    )


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


@pytest.mark.parametrize("command", ["top", "check", "once", "config", "metrics", "simulate", "parity"])
def test_help_of_a_command(command: str) -> None:
    """`COMMAND --help` shows its own usage."""
    done = call_program(command, "--help", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: telegraf-bitcoin-ipc {command} [-h]")
