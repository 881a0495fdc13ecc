"""Write docs/guard_states.md: the life of a subscription as a picture, from the guard's table of transitions."""

from pathlib import Path

from telegraf_bitcoin_ipc.guard.subscriptions import LIVE, TRANSITIONS, Change, State

PAGE = Path(__file__).resolve().parent.parent / "docs" / "guard_states.md"

HEAD = """\
# The life of a subscription

Made from the table in `telegraf_bitcoin_ipc/guard/subscriptions.py` by `scripts/guard_states.py`. The guard keeps
the node's socket open while a subscription is in one of the states marked *, and while a disconnect is under way.
"""


def picture() -> str:
    """Return the states and their transitions as a Mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.ASKED.name}"]
    for (state, change), following in TRANSITIONS.items():
        lines.append(f"    {state.name} --> {following.name}: {change.name}")
    return "\n".join(["```mermaid", *lines, f"    {State.GONE.name} --> [*]", "```"])


def table(title: str, rows: dict[str, str]) -> str:
    """Return a table of names and what they mean."""
    return "\n".join(
        [f"| {title} | |", "|---|---|", *(f"| {name} | {meaning} |" for name, meaning in rows.items())]
    )


def page() -> str:
    """Return the whole page."""
    states = {f"`{state.name}`{' *' if state in LIVE else ''}": state.value for state in State}
    changes = {f"`{change.name}`": change.value for change in Change}
    return "\n\n".join([HEAD.strip(), picture(), table("state", states), table("change", changes)]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
