"""Messages in every layout, and a conversation."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from support.conversation import Conversation
from support.gated import Gated, opened
from support.layouts import PLACES, Spread, frame_with, respread, tree_of


@pytest.fixture(params=[*PLACES, "mixed"])
def spread(request: pytest.FixtureRequest) -> Spread:
    """Lay a message out in one segment, or in many."""
    if request.param == "mixed":
        rng = random.Random(1)
        return lambda frame: frame_with(tree_of(frame), lambda _: rng.choice(PLACES))
    return lambda frame: respread(frame, request.param)


@pytest.fixture
def guarded() -> Iterator[Conversation]:
    """A guard in memory, with the node's side and the plugin's both played by the test."""
    with Conversation() as conversation:
        yield conversation


@pytest.fixture
def gated() -> Iterator[Gated]:
    """A client behind the guard's gate that has threads, every interface, and a wait for the next tip."""
    with opened() as conversation:
        yield conversation
