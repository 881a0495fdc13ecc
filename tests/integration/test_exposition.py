"""Pages over real HTTP: what is read, and how every page that is no page ends in a sentence, soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.endpoints import endpoint, raw_endpoint
from support.processes import free_port

from telegraf_bitcoin_ipc.parity import exposition
from telegraf_bitcoin_ipc.parity.exposition import (
    MAX_BYTES,
    MAX_LINE,
    MAX_LINES,
    EndpointUnavailable,
    checked_url,
    fetch,
)

Serve = Callable[..., str]

OK = b"HTTP/1.0 200 OK\r\n"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed when the test is over."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(stack: ExitStack) -> Serve:
    """Serve bodies until the test is over; returns the URL."""
    return lambda *bodies, **how: checked_url(stack.enter_context(endpoint(bodies, **how)))


@pytest.fixture
def serve_raw(stack: ExitStack) -> Serve:
    """Serve bytes that may be no HTTP; returns the URL."""
    return lambda *how: checked_url(stack.enter_context(raw_endpoint(*how)))


def complaint(*urls: str, limit: float = 60) -> str:
    """The sentence that a failed fetch ends in: one line that a terminal only shows."""
    with pytest.raises(EndpointUnavailable) as error:
        fetch(*urls, limit=limit)
    sentence = str(error.value)
    assert sentence.isprintable()
    assert len(sentence) < 500
    return sentence


def test_several_pages_at_once(serve: Serve) -> None:
    """The pages come in the order of their URLs."""
    first, second = fetch(serve("a 1\n"), serve("b 2\n"))
    assert [(sample.name, sample.value) for sample in (*first, *second)] == [("a", 1), ("b", 2)]


def test_what_is_no_number_is_left_out(serve: Serve) -> None:
    """NaN, infinity and integers that no float holds are no values to compare."""
    ((sample,),) = fetch(serve(f"a NaN\nb +Inf\nc 3\nd {'9' * 999}\n"))
    assert (sample.name, sample.value) == ("c", 3)


@pytest.mark.parametrize(
    "body",
    [
        "<html>\n",
        b"\x7fELF\x00\xff\xfe\n",
        b"\x1f\x8b\x08\x00",
        'a{b="c} 1\n',
        "a 1 9e999999 x\n",
        "\x00\n",
        "a 1\n" + "#" + " " * MAX_LINE + "x\n",
    ],
)
def test_what_is_no_page_of_metrics(serve: Serve, body: str | bytes) -> None:
    """HTML, a program, a compressed file and a torn line are named as what they are: something else."""
    assert "is not a page of Prometheus metrics" in complaint(serve(body))


@pytest.mark.parametrize("body", [b"#" * (MAX_BYTES + 1), b"a 1\n" * (MAX_LINES + 1)])
def test_page_that_is_too_large(serve: Serve, body: bytes) -> None:
    """No endpoint fills the memory, whether with bytes or with series."""
    assert "is too large" in complaint(serve(body))


def test_page_without_an_end(serve_raw: Serve) -> None:
    """A page that never ends is given up at its limit of size."""
    assert "is too large" in complaint(serve_raw(OK + b"\r\n", b"# more and more\n" * 100_000))


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


def test_redirect_to_a_page(serve: Serve) -> None:
    """A redirect is followed, as Prometheus does."""
    ((sample,),) = fetch(serve("", status=302, headers=[("Location", serve("a 1\n"))]))
    assert sample.name == "a"


@pytest.mark.parametrize("answer", [b"\x1b]0;x\x07\x1b[31m\r\n\r\n", b"\x1b[31m" * 5000 + b"\r\n", b"\r\n"])
def test_answer_that_is_no_http(serve_raw: Serve, answer: bytes) -> None:
    """What another protocol answers is shown with escapes, and not all of it."""
    assert "cannot be read" in complaint(serve_raw(answer))


def test_nobody_there() -> None:
    """A closed port is told as what it is."""
    url = f"http://127.0.0.1:{free_port()}/metrics"
    assert complaint(url) == f"{url} cannot be read: [Errno 111] Connection refused"


def test_names_and_labels_are_printable(serve: Serve) -> None:
    """What a page says cannot change a terminal, whoever prints it; an endless text is cut."""
    ((sample,),) = fetch(serve(f'a{{b="\x1b[31m\x9b\u202eé\\n",c="{"x" * 999}"}} 1\n'))
    assert sample.labels["b"] == r"\x1b[31m\x9b\u202e\xe9\n"
    assert sample.labels["c"] == "x" * exposition.MAX_TEXT + "..."
