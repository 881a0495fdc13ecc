"""The table of a subscription's life is complete, and the order in which subscriptions are ended."""

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


def standing(*handlers: int) -> Subscriptions:
    """Subscriptions with these handlers, the oldest first."""
    made = Subscriptions()
    for handler in handlers:
        subscription = Subscription(thread=11, callback=handler)
        subscription.answered(handler)
        made.all.append(subscription)
    return made


def test_teardown_is_one_at_a_time_and_the_newest_first() -> None:
    """While a disconnect is under way there is no next one, though `destroy` has come already."""
    made = standing(21, 22)
    newest = made.next(0.0, everything=True)
    assert newest is not None
    assert newest.handler == 22
    made.disconnect(newest, 7, 0.0)
    assert made.next(1.0, everything=True) is None
    newest.change(Change.DESTROY)
    assert made.next(1.0, everything=True) is None
    assert made.unwanted(22) is True, "a second disconnect of it would hang the node's thread"
    made.disconnected(7, True, 1.0)
    assert newest.state is State.GONE
    following = made.next(1.0, everything=True)
    assert following is not None
    assert following.handler == 21


def test_only_what_is_unwanted_is_disconnected() -> None:
    """What the plugin disconnects goes; what it did not, stays."""
    made = standing(21, 22)
    assert made.next(0.0, everything=False) is None
    assert made.unwanted(21) is True
    assert made.unwanted(4711) is None
    going = made.next(0.0, everything=False)
    assert going is not None
    assert going.handler == 21


def test_what_cannot_be_read_is_never_disconnected() -> None:
    """Without its thread's id only the plugin can end a subscription; it holds the socket open until then."""
    made = Subscriptions()
    subscription = Subscription(thread=None, callback=1)
    subscription.answered(21)
    made.all.append(subscription)
    assert made.unwanted(21) is False
    assert made.next(0.0, everything=True) is None
    assert made.live() == [subscription]
