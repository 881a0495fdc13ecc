"""Pages of Prometheus metrics: fetched, read, and two of them at one moment."""

import http.client
import math
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from telegraf_bitcoin_ipc.errors import ConfigError, PluginError

TIMEOUT: Final = 10.0
"""Seconds that an endpoint may say nothing."""

MAX_BYTES: Final = 16 * 2**20
"""More is no page of a node's metrics."""

PATIENCE: Final = 12.0
"""Seconds to wait for a page to change: an emission comes every 10 s, and Telegraf's flush_interval is 1 s."""

LOOK_SECONDS: Final = 0.25

_opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # as Prometheus: no proxy of the environment's


class EndpointUnavailable(PluginError):
    """An endpoint cannot be read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series with its value, which is finite."""

    name: str
    labels: Mapping[str, str]
    value: float


Page = tuple[Sample, ...]


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


def fetch(url: str) -> Page:
    """Return what an endpoint shows now; raises EndpointUnavailable."""
    try:
        with _opener.open(url, timeout=TIMEOUT) as answer:
            content = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise EndpointUnavailable(f"{url} answers with HTTP status {error.code}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise EndpointUnavailable(f"{url} cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise EndpointUnavailable(f"{url} shows more than {MAX_BYTES // 2**20} MiB, which is no node's metrics")
    try:
        return read(content.decode())
    except ValueError as error:
        raise EndpointUnavailable(f"{url} shows something else than Prometheus metrics") from error


def read(text: str) -> Page:
    """Return the samples of a page in Prometheus' text format, those that are no finite number left out.

    Raises ValueError where the text is something else.
    """
    return tuple(
        Sample(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if math.isfinite(sample.value)
    )


def both(old: str, new: str) -> tuple[Page, Page]:
    """Return two endpoints' pages of one moment; raises EndpointUnavailable."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(fetch, (old, new))
        return first, second


def both_fresh(
    old: str,
    new: str,
    prefix: str,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Page, Page]:
    """Return both pages of a moment when the new one has just changed, so that it is not seconds behind.

    Its metrics of that prefix count; where they have not changed for `patience` seconds they are taken as they
    are. Raises EndpointUnavailable.
    """
    before, end = _beginning(prefix, fetch(new)), clock() + patience
    while _beginning(prefix, fetch(new)) == before and clock() < end:
        sleep(LOOK_SECONDS)
    return both(old, new)


def _beginning(prefix: str, page: Page) -> Page:
    return tuple(sample for sample in page if sample.name.startswith(prefix))
