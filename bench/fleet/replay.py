"""Many nodes from the lines of one: each sends its emissions to a central Telegraf, at its own moment."""

import gzip
import http.client
import threading
import time
from collections.abc import Sequence
from typing import Self

from support.processes import Failure

from bench.fleet.lines import Emission

CONNECTIONS = 8
"""Nodes share connections, each with a thread of its own."""

FIRST_ROUND_SECONDS = 10.0
FIRST_ROUND_NODES = 100  # a second
"""Each node's first emission comes at this rate, in FIRST_ROUND_SECONDS or more, even with a longer interval."""

PATH = "/bitcoin"
ACCEPTED = 204
COMPRESSION = 6


class Replay:
    """Sends emissions until the end of its `with`, each in a request of its own, as `outputs.http` does."""

    def __init__(self, emissions: Sequence[Emission], address: str, nodes: int, interval: float) -> None:
        """`address` is the central Telegraf's HOST:PORT; `interval` the nodes' seconds between two emissions."""
        self._emissions = emissions
        self._address = address
        self._nodes = nodes
        self._interval = interval
        self.first_round = min(max(FIRST_ROUND_SECONDS, nodes / FIRST_ROUND_NODES), interval)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(min(CONNECTIONS, nodes))
        ]
        self._delays: list[float] = []
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def new_delays(self) -> list[float]:
        """Return by how many seconds each emission since the last question was later than its moment."""
        if self._failure:
            raise Failure(f"the replay failed: {self._failure}") from self._failure
        delays, self._delays = self._delays, []
        return delays

    def due(self, turn: int, node: int) -> float:
        """Return the moment of a node's emission of that turn, in seconds since the beginning."""
        if turn == 0:
            return self.first_round * node / self._nodes
        return self.first_round + self._interval * (turn - 1 + node / self._nodes)

    def _send(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60.0)
        try:
            turn = 0
            while not self._stop.is_set():
                for node in range(number, self._nodes, CONNECTIONS):
                    due = self._began + self.due(turn, node)
                    if self._stop.wait(max(due - time.monotonic(), 0)):
                        return
                    self._post(connection, self._emissions[(turn + node) % len(self._emissions)], node)
                    self._delays.append(time.monotonic() - due)
                turn += 1
        except (OSError, http.client.HTTPException, Failure) as error:
            self._failure = error
        finally:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection, emission: Emission, node: int) -> None:
        body = gzip.compress(emission.of(f"node-{node:04}", time.time_ns()), COMPRESSION)
        try:
            status = _status(connection, body)
        except ConnectionError:  # Telegraf has closed a connection on which nothing came for a while
            connection.close()
            status = _status(connection, body)
        if status != ACCEPTED:
            raise Failure(f"Telegraf answered {status} to lines")


def _status(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", PATH, body, {"Content-Encoding": "gzip"})
    response = connection.getresponse()
    response.read()
    return response.status
