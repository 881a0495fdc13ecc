"""The table of a subscription's life is complete."""

from __future__ import annotations

import pytest

from telegraf_bitcoin_ipc.guard.subscriptions import LIVE, TRANSITIONS, Change, State, Subscription, Subscriptions


def test_every_state_can_be_reached_and_left() -> None:
    """From the first state every other is reached, and each leads to the end."""
    reached = {State.ASKED}
    for _ in State:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(State)
    ending = {State.GONE}
    for _ in State:
        ending |= {before for (before, _), after in TRANSITIONS.items() if after in ending}
    assert ending == set(State)
    assert not any(before is State.GONE for before, _ in TRANSITIONS)


@pytest.mark.parametrize("state", [state for state in State if state in LIVE])
def test_destroy_ends_every_live_state(state: State) -> None:
    """After `destroy` the node calls no callback any more, whatever the guard was waiting for."""
    subscription = Subscription(1, 2)
    subscription.state = state
    subscription.change(Change.DESTROY)
    assert subscription.state not in LIVE


def test_what_cannot_be_read_is_never_disconnected() -> None:
    """Without its thread's id only the plugin can end a subscription; it holds the socket open until then."""
    made = Subscriptions()
    subscription = Subscription(thread=None, callback=1)
    subscription.answered(21)
    made.all.append(subscription)
    assert made.unwanted(21) is False
    assert made.next(0.0, everything=True) is None
    assert made.live() == [subscription]
