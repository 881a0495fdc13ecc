"""Pages over real HTTP: what is read, and how every page that is no page ends in a sentence, soon."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from support.endpoints import endpoint, raw_endpoint
from support.processes import free_port

from telegraf_bitcoin_ipc.errors import EndpointUnavailable
from telegraf_bitcoin_ipc.parity import exposition
from telegraf_bitcoin_ipc.parity.exposition import (
    MAX_BYTES,
    MAX_LINE,
    MAX_LINES,
    checked_url,
    fetch,
)

Serve = Callable[..., str]

OK = b"HTTP/1.0 200 OK\r\n"


@pytest.fixture
def serve(processes: ExitStack) -> Serve:
    """Serve bodies until the test is over; returns the URL."""
    return lambda *bodies, **how: checked_url(processes.enter_context(endpoint(bodies, **how)))


@pytest.fixture
def serve_raw(processes: ExitStack) -> Serve:
    """Serve bytes that may be no HTTP; returns the URL."""
    return lambda *how: checked_url(processes.enter_context(raw_endpoint(*how)))


def complaint(*urls: str, limit: float = 60) -> str:
    """The sentence that a failed fetch ends in: one line that a terminal only shows."""
    with pytest.raises(EndpointUnavailable) as error:
        fetch(*urls, limit=limit)
    sentence = str(error.value)
    assert sentence.isprintable()
    assert len(sentence) < 500
    return sentence


def test_several_pages_at_once(serve: Serve) -> None:
    """The pages come in the order of their URLs, a redirect is followed, and what no float holds is left out."""
    pages = fetch(serve("a 1\n"), serve("", status=302, headers=[("Location", serve("b 2\n"))]))
    numbers = fetch(serve(f"a NaN\nb +Inf\nc 3\nd {'9' * 999}\n"))
    found = [[(sample.name, sample.value) for sample in page] for page in (*pages, *numbers)]
    assert found == [[("a", 1)], [("b", 2)], [("c", 3)]]


NO_PAGE, TOO_LARGE = "is not a page of Prometheus metrics", "is too large"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("<html>\n", NO_PAGE),
        (b"\x7fELF\x00\xff\xfe\n", NO_PAGE),
        (b"\x1f\x8b\x08\x00", NO_PAGE),
        ('a{b="c} 1\n', NO_PAGE),
        ("a 1 9e999999 x\n", NO_PAGE),
        ("\x00\n", NO_PAGE),
        ("a 1\n" + "#" + " " * MAX_LINE + "x\n", NO_PAGE),
        (b"#" * (MAX_BYTES + 1), TOO_LARGE),
        (b"a 1\n" * (MAX_LINES + 1), TOO_LARGE),
    ],
    ids=["HTML", "program", "compressed", "torn", "long number", "NUL", "long line", "bytes", "series"],
)
def test_what_is_no_page_of_metrics(serve: Serve, body: str | bytes, sentence: str) -> None:
    """What is no page of metrics is named as something else; no endpoint fills the memory, by bytes or series."""
    assert sentence in complaint(serve(body))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((OK + b"\r\n", b"# more and more\n" * 100_000), TOO_LARGE),
        ((b"\x1b]0;x\x07\x1b[31m\r\n\r\n",), "cannot be read"),
        ((b"\x1b[31m" * 5000 + b"\r\n",), "cannot be read"),
        ((b"\r\n",), "cannot be read"),
    ],
    ids=["endless", "escapes", "many escapes", "empty line"],
)
def test_answer_that_is_no_page(serve_raw: Serve, answer: tuple[bytes, ...], sentence: str) -> None:
    """A page that never ends is given up; another protocol's answer is shown with escapes, and not all of it."""
    assert sentence in complaint(serve_raw(*answer))


@pytest.mark.parametrize(
    "start", [b"", OK, OK + b"X-Long: ", OK + b"\r\n", OK + b"Content-Length: 900\r\n\r\n"],
    ids=["status", "header", "long header", "body", "body with a length"],
)  # fmt: skip
def test_page_that_drips(serve_raw: Serve, start: bytes) -> None:
    """The limit of time is for the whole page: a byte now and then does not prolong it."""
    assert complaint(serve_raw(start, b"a"), limit=0.5).endswith("could not be read within 0.5 s")


def test_page_that_says_nothing(serve_raw: Serve) -> None:
    """One endpoint that is silent is enough, and the sentence names it."""
    silent = serve_raw(b"", b"")
    assert complaint(silent).startswith(silent)


def test_page_that_is_cut_off(serve: Serve) -> None:
    """Half a page is no page, also where its last line is whole."""
    url = serve("a 1\nb 2\n", headers=[("Content-Length", "30")])
    assert complaint(url) == f"{url} was cut off: 22 bytes are missing"


@pytest.mark.parametrize("target", ["/metrics", "ftp://127.0.0.1/metrics", "file:///etc/passwd", "/else", ""])
def test_redirect_that_leads_nowhere(serve: Serve, target: str) -> None:
    """A redirect to itself, to another protocol or to nothing ends in a sentence, too."""
    assert "http://127.0.0.1:" in complaint(serve("", status=302, headers=[("Location", target)]))


def test_nobody_there() -> None:
    """A closed port is told as what it is."""
    url = f"http://127.0.0.1:{free_port()}/metrics"
    assert complaint(url) == f"{url} cannot be read: [Errno 111] Connection refused"


def test_names_and_labels_are_printable(serve: Serve) -> None:
    """What a page says cannot change a terminal, whoever prints it; an endless text is cut."""
    ((sample,),) = fetch(serve(f'a{{b="\x1b[31m\x9b\u202eé\\n",c="{"x" * 999}"}} 1\n'))
    assert sample.labels["b"] == r"\x1b[31m\x9b\u202e\xe9\n"
    assert sample.labels["c"] == "x" * exposition.MAX_TEXT + "..."
