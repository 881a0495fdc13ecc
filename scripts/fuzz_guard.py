"""Send hostile frames to a guard in memory for some minutes: does any reach the node that is not allowed?

Recorded sessions with each kind of node are said once more, with frames changed in different ways; what the guard
lets pass is read by Cap'n Proto's own reader. Run by `make fuzz`. Exit status 1 if anything reached the node that
is not allowed, or a subscription was left behind. The seed that is printed gives the same choices again; the
sessions are recorded anew.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.hostile import Attack, Outcome
from support.mutations import KINDS
from support.recorded import DIALECTS

MOST_KINDS = 4  # of hostile inputs in one session


def fuzz(seconds: float, seed: int, outcome: Outcome) -> int:
    """Try inputs until the time is over, or a problem was found; returns the number of sessions."""
    rng = random.Random(seed)
    end = time.monotonic() + seconds
    sessions = 0
    while time.monotonic() < end and not outcome.problems:
        kinds = rng.choices(list(KINDS), k=rng.randint(1, MOST_KINDS))
        Attack(rng.choice(DIALECTS), outcome).goes(rng, kinds, rng.random())
        sessions += 1
    return sessions


def table(outcome: Outcome) -> str:
    """Return the figures as a table in Markdown."""
    lines = [
        "| change | inputs tried | with a refused call | session ended | not allowed, and reached the node |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind, mutation in KINDS.items():
        what = (mutation.__doc__ or "").strip().rstrip(".")
        figures = (outcome.tried[kind], outcome.refused[kind], outcome.ended[kind], outcome.reached[kind])
        lines.append(f"| {what[0].lower()}{what[1:]} | " + " | ".join(f"{figure:,}" for figure in figures) + " |")
    counts = (outcome.tried, outcome.refused, outcome.ended, outcome.reached)
    lines.append("| all | " + " | ".join(f"{count.total():,}" for count in counts) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Fuzz, and print the figures; returns the exit status."""
    parser = argparse.ArgumentParser(prog="fuzz_guard.py", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to try (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="the same inputs again")
    options = parser.parse_args(arguments)
    print(f"fuzz: seed {options.seed}, {options.seconds:g} seconds", flush=True)
    outcome = Outcome()
    sessions = fuzz(options.seconds, options.seed, outcome)
    print(f"fuzz: {sessions:,} sessions")
    print(table(outcome))
    for problem in outcome.problems:
        print(f"fuzz: {problem}")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
