"""Fixtures for every test: the tools that `make test` brings, and processes that always end."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support import properties
from support.nix import Nix
from support.nodes import Plugin, SimulatedNode, StartNode, StartPlugin
from support.processes import STOP_SECONDS, Process, StartProcess, adopt_orphans, descendants, wait_until
from support.prometheus import Prometheus, StartPrometheus
from support.scene import OWN, Scene
from support.standing import StandingGuard, StartGuard
from support.subscriber import Subscriber
from support.telegraf import StartTelegraf, Telegraf
from support.terminal import StartTerminal, Terminal

import telegraf_bitcoin_ipc
from telegraf_bitcoin_ipc.ipc.connection import run

properties.register()


def pytest_configure() -> None:
    """Have processes take Ctrl-C even if a shell runs the tests in the background, where it is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that run programs, which wait long, so that no worker is left with them at the end."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/unit/"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine in an event loop that Cap'n Proto shares."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    run(
        pyfuncitem.obj(
            **{name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
        )
    )
    return True


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the golden files anew."""
    parser.addoption("--golden", action="store_true", help="write tests/golden anew instead of comparing with it")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a golden file; with --golden write the file instead."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--golden"):
            path.write_text(text)
        assert text.splitlines() == path.read_text().splitlines()

    return compare


@pytest.fixture(scope="session", autouse=True)
def installed_package() -> None:
    """Fail unless the package under test is the installed one; TEST_CHECKOUT=1 lets the checkout's pass."""
    if os.environ.get("TEST_CHECKOUT"):
        return
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    (found,) = telegraf_bitcoin_ipc.__path__
    if not any(Path(found).is_relative_to(directory) for directory in installed):
        pytest.fail(
            f"the tests are for the installed wheel, and telegraf_bitcoin_ipc comes from {found}: "
            "run `make test` (or set TEST_CHECKOUT=1 to test that one)",
            pytrace=False,
        )


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail if a process that a test started, or one that such a process left behind, outlives the tests.

    With several workers each looks after its own descendants.
    """
    adopt_orphans()
    yield
    try:
        wait_until(lambda: not descendants(), STOP_SECONDS, lambda: f"the end of what was left: {descendants()}")
    finally:
        for pid in descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _tool(variable: str, target: str = "test") -> Path:
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        what = f"{path}, which is no program" if path else "not set"
        pytest.fail(
            f"{variable} is {what}: run `make {target}`, which gets the program and sets it", pytrace=False
        )
    return Path(path)


def _binary(variable: str, target: str = "test") -> Callable[[], Path]:
    """Return a fixture: the real program that a variable names."""
    return pytest.fixture(lambda: _tool(variable, target), scope="session")


telegraf_binary = _binary("TELEGRAF_BINARY")
prometheus_binary = _binary("PROMETHEUS_BINARY")
promtool_binary = _binary("PROMTOOL_BINARY")
tmux_binary = _binary("TMUX_BINARY")
kafka_binary = _binary("KAFKA_BINARY", "test-fleet")
victoriametrics_binary = _binary("VICTORIAMETRICS_BINARY", "test-fleet")


@pytest.fixture
def nix(tmp_path: Path) -> Nix:
    """The real Nix, with a store and a home of its own."""
    return Nix(_tool("NIX_BINARY"), _tool("NIX_INSTANTIATE_BINARY"), tmp_path / "nix")


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """For `enter_context(Process(...))`: each is stopped after the test, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_process(processes: ExitStack, tmp_path: Path) -> StartProcess:
    """Start a process, as `Process` does without its directory; it is stopped after the test."""
    return lambda command, **options: processes.enter_context(Process(command, tmp_path, **options))


@pytest.fixture
def start_telegraf(processes: ExitStack, telegraf_binary: Path, tmp_path: Path) -> StartTelegraf:
    """Start Telegraf with a configuration text; it is stopped after the test."""
    return lambda text, **options: processes.enter_context(Telegraf(telegraf_binary, text, tmp_path, **options))


@pytest.fixture
def start_prometheus(processes: ExitStack, prometheus_binary: Path, tmp_path: Path) -> StartPrometheus:
    """Start a Prometheus that scrapes HOST:PORT; it is stopped after the test."""
    return lambda target, **options: processes.enter_context(
        Prometheus(prometheus_binary, target, tmp_path, **options)
    )


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path for a socket, short enough for the system's limit."""
    directory = Path(tempfile.mkdtemp(prefix="tbi-"))
    yield directory / "node.sock"
    shutil.rmtree(directory)


@pytest.fixture
def start_node(processes: ExitStack, tmp_path: Path, socket_path: Path) -> StartNode:
    """Start a simulated node with the given options; it is stopped after the test."""
    return lambda *options, **how: processes.enter_context(SimulatedNode(socket_path, tmp_path, *options, **how))


@pytest.fixture
def start_plugin(processes: ExitStack, tmp_path: Path, socket_path: Path) -> StartPlugin:
    """Start the plugin with the given options, on a node's socket or `socket`; it is stopped after the test."""
    return lambda *options, socket=socket_path, **how: processes.enter_context(
        Plugin(socket, tmp_path, *options, **how)
    )


@pytest.fixture
def guard_path(socket_path: Path) -> Path:
    """A path for a standing guard's socket, beside the node's."""
    return socket_path.with_name("guard.sock")


@pytest.fixture
def start_guard(processes: ExitStack, tmp_path: Path, socket_path: Path, guard_path: Path) -> StartGuard:
    """Start a standing guard with the given options; it is stopped after the test."""
    return lambda *options, **how: processes.enter_context(
        StandingGuard(socket_path, guard_path, tmp_path, *options, **how)
    )


@pytest.fixture
def start_subscriber(processes: ExitStack, tmp_path: Path, socket_path: Path) -> Callable[..., Subscriber]:
    """Start a subscriber that misbehaves as it is told to; it is ended after the test."""
    return lambda *how, **more: processes.enter_context(Subscriber(socket_path, tmp_path, *how, **more))


@pytest.fixture
def start_terminal(processes: ExitStack, tmux_binary: Path) -> StartTerminal:
    """Start a program in a terminal; both are ended after the test."""
    return lambda command, **how: processes.enter_context(Terminal(tmux_binary, command, **how))


@pytest.fixture
def scene(
    request: pytest.FixtureRequest, processes: ExitStack, socket_path: Path, tmp_path: Path
) -> Iterator[Scene]:
    """A place for one node and its plugins; whatever a failure leaves there ends with the test."""
    scene = Scene(processes, socket_path, tmp_path, getattr(request, "param", OWN))
    yield scene
    processes.close()
    scene.empty()
