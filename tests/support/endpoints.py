"""HTTP servers for pages of metrics: those that behave, and those that do not."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Thread

DRIP_SECONDS = 0.05
POLL_SECONDS = 0.02


@contextmanager
def endpoint(
    bodies: Sequence[str | bytes], status: int = 200, headers: Sequence[tuple[str, str]] = ()
) -> Iterator[str]:
    """An HTTP server on a free port that answers with one body after another, then with the last; its address.

    TICK in a body is the number of the answer.
    """
    ticks = count()
    left = [body.encode() if isinstance(body, str) else body for body in bodies]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (left.pop(0) if len(left) > 1 else left[0]).replace(b"TICK", b"%d" % next(ticks))
            self.send_response(status if self.path == "/metrics" else 404)
            for name, value in headers or [("Content-Length", str(len(body)))]:
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # who reads has enough
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def raw_endpoint(start: bytes, drip: bytes = b"") -> Iterator[str]:
    """A TCP server that answers one connection with `start`, then with `drip` again and again; its address."""
    stop = Event()

    def answer() -> None:
        with suppress(OSError):  # closed at the end, or who reads has gone
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(start)
                while drip and not stop.wait(DRIP_SECONDS):
                    connection.sendall(drip)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer)
        thread.start()
        try:
            yield "127.0.0.1:{1}".format(*listener.getsockname())
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
