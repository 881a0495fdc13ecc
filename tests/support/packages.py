"""A virtual environment with some of the installed packages, and without all others."""

from __future__ import annotations

import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement


def environment(directory: Path, names: Iterable[str]) -> Path:
    """Make an environment with these packages and what they require; return its Python.

    The packages are links to those that are installed here. Raises PackageNotFoundError where one is not.
    """
    venv.create(directory, symlinks=True)
    (site,) = directory.glob("lib/python*/site-packages")
    for name in _required(names):
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(str(installed.locate_file(top)))
    return directory / "bin" / "python"


def _required(names: Iterable[str]) -> Iterator[str]:
    """Yield each name once, with those of its requirements, which have no extra."""
    seen = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        yield name
        for requirement in map(Requirement, distribution(name).requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name.lower().replace("_", "-"))
