"""The scene of a guard's case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.scene import Scene


@pytest.fixture
def scene(processes: ExitStack, socket_path: Path, tmp_path: Path) -> Iterator[Scene]:
    """A place for one node and its plugins; whatever a failure leaves there ends with the test."""
    scene = Scene(processes, socket_path, tmp_path)
    yield scene
    processes.close()
    scene.empty()
