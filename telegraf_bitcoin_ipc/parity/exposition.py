"""Pages of Prometheus metrics: fetched within a limit of time and size, and read.

What a page says comes from elsewhere: its names, labels and error texts are made fit for a terminal here.
"""

import http.client
import math
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from telegraf_bitcoin_ipc.errors import ConfigError, PluginError

LIMIT_SECONDS: Final = 10.0
"""Within which a page must be fetched and read."""

MAX_BYTES: Final = 16 * 2**20
MAX_LINES: Final = 200_000
"""Larger than Telegraf's page of several hundred nodes."""

MAX_LINE: Final = 8192
"""Characters of a line; the time that the parser takes grows with their square."""

MAX_TEXT: Final = 200
"""Characters of a name, a label or an error that are shown."""

_CHUNK: Final = 2**16

_NOT_PLAIN: Final = re.compile(r"[^ -~]")


class EndpointUnavailable(PluginError):
    """An endpoint cannot be read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series with its value, which is finite; all its texts are printable."""

    name: str
    labels: Mapping[str, str]
    value: float


Page = tuple[Sample, ...]


def _make_opener() -> urllib.request.OpenerDirector:
    """Return what follows redirects from HTTP to HTTP alone, and asks no proxy, as Prometheus."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


_opener = _make_opener()


def checked_url(text: str) -> str:
    """Return the URL with http:// and /metrics where they were left out; raises ConfigError where it is none."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"{text!r}: only http and https can be read, not {parts.scheme}")
    if not host or parts.username is not None:
        raise ConfigError(f"{text!r} is not a URL like http://HOST:PORT/metrics")
    return parts._replace(path="/metrics", fragment="").geturl() if parts.path in ("", "/") else url


def printable(text: str) -> str:
    """Return a text from elsewhere on one line, with escapes for all but printable ASCII, and not too long."""
    shown = _NOT_PLAIN.sub(lambda match: match[0].encode("unicode_escape").decode(), text[:MAX_TEXT])
    return shown if len(text) <= MAX_TEXT else f"{shown}..."


def fetch(*urls: str, limit: float = LIMIT_SECONDS) -> list[Page]:
    """Return what endpoints show at one moment; raises EndpointUnavailable, after `limit` s at the latest."""
    end = time.monotonic() + limit
    futures = [_begin(url, end) for url in urls]
    pages = []
    for url, future in zip(urls, futures, strict=True):
        try:
            pages.append(future.result(max(0, end - time.monotonic())))
        except TimeoutError:
            raise EndpointUnavailable(f"{url} was not read within {limit:g} s") from None
    return pages


def _begin(url: str, end: float) -> Future[Page]:
    """Fetch a page in a thread that nobody has to wait for, not even at the exit (a pool's threads are)."""
    future: Future[Page] = Future()

    def work() -> None:
        try:
            future.set_result(_page(url, end))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


def _page(url: str, end: float) -> Page:
    try:
        with _opener.open(url, timeout=max(0.001, end - time.monotonic())) as answer:
            content = _content(url, answer, end)
    except urllib.error.HTTPError as error:
        with error:
            raise EndpointUnavailable(f"{url} answers with HTTP status {error.code}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise EndpointUnavailable(f"{url} cannot be read: {printable(str(reason))}") from error
    try:
        return read(content.decode())
    except ValueError as error:
        raise EndpointUnavailable(f"{url} shows something else than Prometheus metrics") from error


def _content(url: str, answer: http.client.HTTPResponse, end: float) -> bytes:
    """Return a whole answer; the thread of one that comes too slowly ends here, too."""
    content, lines = bytearray(), 0
    while chunk := answer.read1(_CHUNK):
        content += chunk
        lines += chunk.count(b"\n")
        if len(content) > MAX_BYTES or lines > MAX_LINES:
            raise EndpointUnavailable(f"{url} shows more than a node's metrics: {len(content)} bytes and no end")
        if time.monotonic() > end:
            raise EndpointUnavailable(f"{url} was not read in time")
    if answer.length:
        raise EndpointUnavailable(f"{url} ends before its end: {answer.length} bytes are missing")
    return bytes(content)


def read(text: str) -> Page:
    """Return the samples of a page in Prometheus' text format, those that are no finite number left out.

    Raises ValueError where the text is something else.
    """
    if any(len(line) > MAX_LINE for line in text.splitlines()):
        raise ValueError("a line is too long")
    try:
        return tuple(_samples(text))
    except Exception as error:  # on a malformed text the parser raises many kinds, IndexError among them
        raise ValueError("not in Prometheus' text format") from error


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            value = _number(sample.value)
            if math.isfinite(value):
                labels = {printable(label): printable(content) for label, content in sample.labels.items()}
                yield Sample(printable(sample.name), labels, value)


def _number(value: float) -> float:
    """Return a number that the parser may have read as an integer of any length."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
