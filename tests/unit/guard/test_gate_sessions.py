"""Real sessions with hostile frames in them: what reaches the node is what Cap'n Proto reads as allowed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import Attack, Outcome
from support.mutations import KINDS
from support.properties import examples
from support.recorded import DIALECTS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_real_session_reads_as_it_should(dialect: str) -> None:
    """Of a session that is said once more, all reaches the node, and Cap'n Proto reads calls that are allowed."""
    outcome = Outcome()
    attack = Attack(dialect, outcome)
    attack.goes(random.Random(1), [], 0.0)
    assert outcome.problems == []
    assert attack.gated.log == []
    assert attack.node.calls.total() > 10


@pytest.mark.parametrize("kind", KINDS)
@examples(35)
@given(
    st.randoms(use_true_random=False),
    st.sampled_from(DIALECTS),
    st.lists(st.sampled_from(list(KINDS)), max_size=3),
    st.floats(0, 1),
)
def test_no_hostile_frame_reaches_the_node(
    kind: str, rng: random.Random, dialect: str, others: list[str], begin: float
) -> None:
    """With frames changed in one or several ways, the node gets only what it may, and keeps no subscriber."""
    outcome = Outcome()
    Attack(dialect, outcome).goes(rng, [*others, kind], begin)
    assert outcome.problems == []
