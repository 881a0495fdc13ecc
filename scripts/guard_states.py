"""The life of a subscription as a picture and two tables, from the guard's table of transitions."""

from telegraf_bitcoin_ipc.guard.subscriptions import LIVE, TRANSITIONS, Change, State


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


def life() -> str:
    """Return the picture and the tables; a live state is marked with a star."""
    states = {f"`{state.name}`{' *' if state in LIVE else ''}": state.value for state in State}
    changes = {f"`{change.name}`": change.value for change in Change}
    return "\n\n".join([picture(), table("state", states), table("change", changes)])
