"""Encodes and writes the whole set, in a process of its own: ROUNDS. Prints the milliseconds of each, a line each.

The set is the largest that the catalogue gives: every metric, with every value of its tags.
"""

import os
import sys
import threading
import time

from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, GROUPS
from telegraf_bitcoin_ipc.collect.store import Store
from telegraf_bitcoin_ipc.telegraf.execd import LineWriter
from telegraf_bitcoin_ipc.telegraf.lines import encode

READ_BYTES = 1 << 16


def whole_set() -> Store:
    """Return a store with a value for every metric and every tag value."""
    store = Store(GROUPS)
    for metric in CATALOGUE:
        for value in metric.values or ("x",):
            store.set(metric.name, 1234.5678, *((value,) * len(metric.tags)))
    return store


def main(rounds: int) -> None:
    """Measure, and print."""
    store, (reading, writing) = whole_set(), os.pipe()

    def drain() -> None:
        while os.read(reading, READ_BYTES):
            pass

    threading.Thread(target=drain, daemon=True).start()
    pipe = LineWriter(writing)
    for _ in range(rounds):
        began = time.perf_counter()
        pipe.put(encode(store.samples(), time.time_ns(), {"node": "mainnet"}))
        pipe.flush()
        print((time.perf_counter() - began) * 1e3)


if __name__ == "__main__":
    main(int(sys.argv[1]))
