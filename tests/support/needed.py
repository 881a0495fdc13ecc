"""A plugin of pytest that prints the fixtures of the chosen tests, in one line."""

from __future__ import annotations

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print each name once."""
    names = {name for item in session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    print("fixtures:", *sorted(names))
