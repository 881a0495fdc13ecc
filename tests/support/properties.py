"""How property-based tests are run: the same examples each time, or many new ones."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = 100
"""Of a property, unless it says otherwise with `examples`."""

LONG_FACTOR = 10
"""How many times as many the profile `long` tries."""


def register() -> None:
    """Make two profiles known: `fixed` (the default) tries the same examples at each run, `long` many new ones.

    In neither is an example timed: how long one takes says more about the machine than about the code.
    """
    slow = [HealthCheck.too_slow]
    settings.register_profile(
        "fixed",
        derandomize=True,
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=slow,
    )
    settings.register_profile(
        "long",
        max_examples=EXAMPLES * LONG_FACTOR,
        deadline=None,
        print_blob=True,
        suppress_health_check=slow,
    )
    settings.load_profile("fixed")


def examples(count: int) -> settings:
    """Return settings for another number of examples than EXAMPLES; the profile `long` tries more of them, too."""
    profile = settings()
    return settings(max_examples=count * profile.max_examples // EXAMPLES)


def any_text(most: int | None = None) -> st.SearchStrategy[str]:
    """A strategy for any text of UTF-8, as `st.text()` is, whose own alphabet takes a process seconds to make."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=most)
