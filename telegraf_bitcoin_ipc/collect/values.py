"""The kinds of value that a metric can have."""

from collections.abc import Mapping

Number = int | float

Labelled = Mapping[str, Number]
"""Numbers by the value of a metric's only tag."""

PeerTotals = Mapping[tuple[int, str], Number]
"""Running totals by peer id and tag value; a total disappears with its peer."""

Value = Number | Labelled | PeerTotals | None
"""A polled value; None where the node has none."""
