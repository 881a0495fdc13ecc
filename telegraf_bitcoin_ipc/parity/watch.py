"""Fetch both pages repeatedly over a window, often enough to see how they change."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT
from telegraf_bitcoin_ipc.errors import EndpointUnavailable
from telegraf_bitcoin_ipc.parity.compare import find_exporter, of_one_node
from telegraf_bitcoin_ipc.parity.exposition import fetch
from telegraf_bitcoin_ipc.parity.looks import Look, Record
from telegraf_bitcoin_ipc.parity.row import PUSHED_LAG, Exporter

LOOKS: Final = 30
"""Looks within a window, at least MIN_PAUSE seconds apart: some exporters poll the node for each."""

MIN_PAUSE: Final = 1.0

SHORT_PAUSE: Final = 0.25
"""Seconds between two looks at either end of the window, to find the moment at which the new page changes."""

LEAD: Final = 2 * PUSHED_LAG
"""Seconds of looks before either end: events of this time may be missing on one page."""

PATIENCE: Final = 12.0
"""Seconds to wait for the new page to change: the default --emit-interval is 10 s, the flush_interval 1 s."""

MAX_SERIES: Final = 10_000
"""Limit for the series of one exporter or node; none has a tenth of that."""


class Endpoints:
    """Both URLs, the exporter at the old one, and the node at the new one that is compared."""

    def __init__(self, old: str, new: str, match: Mapping[str, str], name: str | None) -> None:
        """Fetch both once, to report mistakes before the window starts; raises as `find_exporter` and `look`."""
        self._urls, self._match = (old, new), match
        page, _ = fetch(*self._urls)
        self.exporter: Exporter = find_exporter(page, name)
        self.look()

    def look(self) -> Look:
        """Fetch both pages; raises EndpointUnavailable, or ConfigError as `of_one_node`."""
        old, new = fetch(*self._urls)
        old = tuple(sample for sample in old if sample.name.startswith(MEASUREMENT))
        new = of_one_node(new, self._match)
        for url, page in zip(self._urls, (old, new), strict=True):
            if len(page) > MAX_SERIES:
                raise EndpointUnavailable(f"{url} has {len(page)} series, too many for one node")
        return Look(time.monotonic(), old, new)


def watch(
    look: Callable[[], Look],
    window: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    begun: Callable[[], None] = lambda: None,
) -> Record:
    """Return looks over a window of at least `window` seconds; calls `begun` when it starts.

    The window starts and ends just after the new page has changed, when that page is most recent. A failed look
    within the window is skipped; at either end it raises EndpointUnavailable.
    """
    before, within = _until_changed(look, sleep), list[Look]()
    begun()
    end = clock() + window
    while (left := end - clock()) > 0:
        sleep(min(left, max(MIN_PAUSE, window / LOOKS)))
        with suppress(EndpointUnavailable):
            within.append(look())
    last = _until_changed(look, sleep)
    late = max(looks[-1].at - looks[-2].at for looks in (before, last))
    return Record([*before, *within, *last], len(before) - 1, late)


def _until_changed(look: Callable[[], Look], sleep: Callable[[float], None]) -> list[Look]:
    """Return looks of at least LEAD seconds, ending with the first after that at which the new page has changed.

    Gives up if the new page does not change for another PATIENCE seconds.
    """
    looks = [look()]
    while True:
        sleep(SHORT_PAUSE)
        looks.append(look())
        seconds = looks[-1].at - looks[0].at
        if seconds >= LEAD + PATIENCE or (seconds >= LEAD and looks[-1].new != looks[-2].new):
            return looks
