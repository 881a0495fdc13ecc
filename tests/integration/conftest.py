"""Fixtures for the tests that run the plugin against the simulated node."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.nodes import Plugin, SimulatedNode


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path for a socket, short enough for the system's limit."""
    directory = Path(tempfile.mkdtemp(prefix="tbi-"))
    yield directory / "node.sock"
    shutil.rmtree(directory)


@pytest.fixture
def start_node(processes: ExitStack, tmp_path: Path, socket_path: Path) -> Callable[..., SimulatedNode]:
    """Start a simulated node with the given options; it is stopped after the test."""
    return lambda *options, **how: processes.enter_context(
        SimulatedNode(socket_path, tmp_path, *options, **how)
    )


@pytest.fixture
def start_plugin(processes: ExitStack, tmp_path: Path, socket_path: Path) -> Callable[..., Plugin]:
    """Start the plugin with the given options; it is stopped after the test."""
    return lambda *options, **how: processes.enter_context(Plugin(socket_path, tmp_path, *options, **how))
