"""Looks at both pages over a window: fetches them, often enough to see what they show within it."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from telegraf_bitcoin_ipc.collect.metrics import MEASUREMENT
from telegraf_bitcoin_ipc.parity.compare import find_exporter, of_one_node
from telegraf_bitcoin_ipc.parity.exposition import EndpointUnavailable, fetch
from telegraf_bitcoin_ipc.parity.looks import Look, Record
from telegraf_bitcoin_ipc.parity.row import PUSHED_LAG, Exporter

LOOKS: Final = 30
"""Looks within a window, at least MIN_PAUSE seconds apart: some exporters ask the node at each."""

MIN_PAUSE: Final = 1.0

SHORT_PAUSE: Final = 0.25
"""Seconds between two looks at either end, where they have to be close to each other."""

LEAD: Final = 2 * PUSHED_LAG
"""Seconds of looks before either end, so that what one side may lack there is known."""

PATIENCE: Final = 12.0
"""Seconds to wait for the new page to change: an emission comes every 10 s, and flush_interval is 1 s."""

MAX_SERIES: Final = 10_000
"""On one page, of one exporter or node; none has a tenth of it."""


class Endpoints:
    """Both URLs, what is at the old one, and which node of the new one is compared."""

    def __init__(self, old: str, new: str, match: Mapping[str, str], name: str | None) -> None:
        """Read both once, so that a mistake is found before the window; raises as `find_exporter`."""
        self._urls, self._match = (old, new), match
        page, _ = fetch(*self._urls)
        self.exporter: Exporter = find_exporter(page, name)
        self.look()

    def look(self) -> Look:
        """Return what both show now; raises EndpointUnavailable, or ConfigError as `of_one_node`."""
        old, new = fetch(*self._urls)
        old = tuple(sample for sample in old if sample.name.startswith(MEASUREMENT))
        new = of_one_node(new, self._match)
        for url, page in zip(self._urls, (old, new), strict=True):
            if len(page) > MAX_SERIES:
                raise EndpointUnavailable(f"{url} has {len(page)} series, which is no exporter of a node")
        return Look(time.monotonic(), old, new)


def watch(
    look: Callable[[], Look],
    window: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    begun: Callable[[], None] = lambda: None,
) -> Record:
    """Return looks over a window of at least so many seconds, and call `begun` at its begin.

    It begins and ends when the new page has just changed, so that this page is not seconds behind. A failed look
    is left out, but for those at either end: raises EndpointUnavailable.
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
    """Return looks of LEAD seconds or more, the last of which shows another new page than the one before it.

    Where the new page does not change for another PATIENCE seconds it is taken as it is.
    """
    looks = [look()]
    while True:
        sleep(SHORT_PAUSE)
        looks.append(look())
        seconds = looks[-1].at - looks[0].at
        if seconds >= LEAD + PATIENCE or (seconds >= LEAD and looks[-1].new != looks[-2].new):
            return looks
