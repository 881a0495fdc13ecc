"""Fetch and parse pages of Prometheus metrics, within limits of time and size.

Pages are untrusted: names, labels and error texts are escaped here, so that they can be printed on a terminal.
"""

import http.client
import math
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from threading import Thread
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Sample

from telegraf_bitcoin_ipc.errors import ConfigError, EndpointUnavailable

LIMIT_SECONDS: Final = 10.0
"""Time limit for fetching and parsing a page."""

MAX_BYTES: Final = 16 * 2**20
MAX_LINES: Final = 200_000
"""Limits that Telegraf's page of several hundred nodes stays below."""

MAX_LINE: Final = 8192
"""Maximum characters in a line: the parser's time grows with their square."""

MAX_TEXT: Final = 200
"""Characters of a name, a label or an error before it is truncated."""

_CHUNK: Final = 2**16

_NOT_PLAIN: Final = re.compile(r"[^ -~]")


Page = tuple[Sample, ...]
"""The series of a page, each with a finite value; names and labels are printable."""

_opener = urllib.request.OpenerDirector()
"""Follows redirects to HTTP and HTTPS only, and uses no proxy, as Prometheus does."""
for _handler in (
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.UnknownHandler,
):
    _opener.add_handler(_handler())


def checked_url(text: str) -> str:
    """Return the URL, with http:// and /metrics added if they are missing; raises ConfigError if it is invalid."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"{text!r}: only http and https are supported, not {parts.scheme}")
    if not host or parts.username is not None:
        raise ConfigError(f"{text!r} is not a URL like http://HOST:PORT/metrics")
    return parts._replace(path="/metrics", fragment="").geturl() if parts.path in ("", "/") else url


def printable(text: str) -> str:
    """Return an untrusted text as printable ASCII, with everything else escaped, truncated to MAX_TEXT."""
    shown = _NOT_PLAIN.sub(lambda match: match[0].encode("unicode_escape").decode(), text[:MAX_TEXT])
    return shown if len(text) <= MAX_TEXT else f"{shown}..."


def fetch(*urls: str, limit: float = LIMIT_SECONDS) -> list[Page]:
    """Return the pages, fetched at the same time; raises EndpointUnavailable within `limit` seconds."""
    end = time.monotonic() + limit
    futures = [_begin(url, end) for url in urls]
    pages = []
    for url, future in zip(urls, futures, strict=True):
        try:
            pages.append(future.result(max(0, end - time.monotonic())))
        except TimeoutError:
            raise EndpointUnavailable(f"{url} could not be read within {limit:g} s") from None
    return pages


def _begin(url: str, end: float) -> Future[Page]:
    """Fetch a page in a daemon thread: unlike those of a pool, the interpreter does not wait for it on exit."""
    future: Future[Page] = Future()

    def work() -> None:
        try:
            future.set_result(_page(url, end))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


def _page(url: str, end: float) -> Page:
    """Fetch and read a page; raises EndpointUnavailable, and TimeoutError at the `end`."""
    try:
        with _opener.open(url, timeout=max(0.001, end - time.monotonic())) as answer:
            content = _content(url, answer, end)
    except urllib.error.HTTPError as error:
        with error:
            raise EndpointUnavailable(f"{url} returned HTTP status {error.code}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise reason from error
        raise EndpointUnavailable(f"{url} cannot be read: {printable(str(reason))}") from error
    try:
        return read(content.decode())
    except ValueError as error:
        raise EndpointUnavailable(f"{url} is not a page of Prometheus metrics") from error


def _content(url: str, answer: http.client.HTTPResponse, end: float) -> bytes:
    """Return the body of an answer; also ends the thread of one that comes too slowly."""
    content, lines = bytearray(), 0
    while chunk := answer.read1(_CHUNK):
        content += chunk
        lines += chunk.count(b"\n")
        if len(content) > MAX_BYTES or lines > MAX_LINES:
            raise EndpointUnavailable(f"{url} is too large: more than {len(content)} bytes")
        if time.monotonic() > end:
            raise TimeoutError
    if answer.length:
        raise EndpointUnavailable(f"{url} was cut off: {answer.length} bytes are missing")
    return bytes(content)


def read(text: str) -> Page:
    """Return the samples of a page in Prometheus' text format that are finite numbers; raises ValueError."""
    if any(len(line) > MAX_LINE for line in text.splitlines()):
        raise ValueError("a line is too long")
    try:
        return tuple(_samples(text))
    except Exception as error:  # the parser also raises IndexError, KeyError and others
        raise ValueError("not in Prometheus' text format") from error


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            try:
                value = float(sample.value)
            except OverflowError:  # the parser reads integers of any length
                continue
            if math.isfinite(value):
                labels = {printable(label): printable(content) for label, content in sample.labels.items()}
                yield Sample(printable(sample.name), labels, value)
