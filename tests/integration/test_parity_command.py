"""`parity` as a user meets it: real pages over HTTP, and what it says of endpoints that cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread

import pytest
from support.nodes import PROGRAM
from support.processes import free_port

from telegraf_bitcoin_ipc.exposition import MAX_BYTES, EndpointUnavailable, both_fresh, checked_url, fetch

OLD = "bitcoind_blockchain_blocks 110\nbitcoind_mempool_max_bytes 300000000\n"
NEW = """\
bitcoin_plugin_info{version="1",node="a"} 1
bitcoin_last_poll_timestamp_seconds{node="a"} TICK
bitcoin_chain_height{node="a"} 110
bitcoin_mempool_max_bytes{node="a"} 300000000
"""

Serve = Callable[..., str]


@contextmanager
def endpoint(bodies: Sequence[str | bytes], status: int = 200) -> Iterator[str]:
    """An HTTP server on a free port that answers with one body after another, then with the last; its address.

    TICK in a body is the number of the answer.
    """
    ticks = count()
    left = [body.encode() if isinstance(body, str) else body for body in bodies]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (left.pop(0) if len(left) > 1 else left[0]).replace(b"TICK", b"%d" % next(ticks))
            found = status if self.path == "/metrics" else 404
            self.send_response(found)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve bodies until the test is over; returns HOST:PORT."""
    with ExitStack() as stack:
        yield lambda *bodies, **how: stack.enter_context(endpoint(bodies, **how))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `parity` to its end, under a proxy that is not for it."""
    return subprocess.run(
        [PROGRAM, "parity", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "http_proxy": f"http://127.0.0.1:{free_port()}"},
    )


def test_equal_and_different_pages(serve: Serve) -> None:
    """HOST:PORT is enough of a URL; status 0 without a difference, 1 with one, in the table and in JSON."""
    new = serve(NEW)
    done = run("--window", "1", serve(OLD), new)
    assert (done.returncode, done.stderr) == (0, "")
    assert "OLD_URL is taken for rpc_exporter" in done.stdout
    assert "\n2 equal\n" in done.stdout

    done = run("--window", "1", "--json", serve(OLD.replace("110", "101")), f"http://{new}/")
    assert done.returncode == 1
    statuses = {each["old"]: each["status"] for each in json.loads(done.stdout)["findings"]}
    assert statuses == {"bitcoind_blockchain_blocks": "differs", "bitcoind_mempool_max_bytes": "equal"}


def test_a_closed_stdout_ends_it_quietly(serve: Serve) -> None:
    """`parity ... | head -1` ends as a shell expects it: without a word, as if by SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [str(PROGRAM), "parity", "--window", "1", serve(OLD), serve(NEW)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_page_without_a_node_is_no_parity(serve: Serve) -> None:
    """Where the plugin shows nothing of a node, nothing is equal, and the status is 1."""
    own = "".join(line for line in NEW.splitlines(keepends=True) if "plugin_info" in line)
    done = run("--window", "1", serve(OLD), serve(own + "# TICK\n"))
    assert done.returncode == 1, done.stdout
    assert "\n2 missing\n" in done.stdout


def test_user_decides(serve: Serve) -> None:
    """--from, --match and --tolerance do what they say."""
    new = serve(NEW + NEW.replace('"a"', '"b"').replace("110", "99"))
    options = ["--window", "1", "--from", "rpc_exporter", "--match", "node=b"]
    old = serve(OLD)
    assert run(*options, old, new).returncode == 1
    assert run(*options, "--tolerance", "15", old, new).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a"], "NEW_URL"),
        (["ftp://a/metrics", "b"], "only http and https"),
        (["a:port", "b"], "'a:port' is not a URL"),
        (["http://", "b"], "'http://' is not a URL like"),
        (["http://me:secret@a", "b"], "is not a URL like http://HOST:PORT/metrics"),
        (["--window", "0", "a", "b"], "--window: it should be a number from 1 to 86400, and is '0'"),
        (["--window", "nan", "a", "b"], "--window"),
        (["--tolerance", "all", "a", "b"], "--tolerance"),
        (["--match", "node", "a", "b"], "--match: 'node' is not KEY=VALUE"),
        (["--from", "telegraf", "a", "b"], "--from"),
    ],
)
def test_a_mistake_gets_one_clear_sentence(arguments: list[str], sentence: str) -> None:
    """Bad input ends with status 2 and one line on stderr."""
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert sentence in done.stderr


def test_pages_that_cannot_be_compared(serve: Serve) -> None:
    """An unknown exporter, and several nodes, are the user's to decide: status 2, before the window begins."""
    done = run("--window", "3600", serve("node_load1 3\n"), serve(NEW))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no exporter that is known" in done.stderr
    done = run("--window", "3600", serve(OLD), serve(NEW + NEW.replace('"a"', '"b"')))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--match has to choose one node of NEW_URL, and there: node=a; node=b" in done.stderr


def test_endpoint_that_cannot_be_read(serve: Serve) -> None:
    """Status 1 and one sentence that names the URL and what is wrong."""
    nobody = f"127.0.0.1:{free_port()}"
    for old, new, sentence in (
        (nobody, serve(NEW), f"http://{nobody}/metrics cannot be read: [Errno 111] Connection refused"),
        (serve(OLD), serve(OLD), "NEW_URL has no bitcoin_plugin_info"),
        (serve(OLD), serve("sorry", status=503), "answers with HTTP status 503"),
        (serve("<html>\n"), serve(NEW), "shows something else than Prometheus metrics"),
    ):
        done = run("--window", "3600", old, new)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert sentence in done.stderr


def test_page_that_never_ends(serve: Serve) -> None:
    """No endpoint fills the memory."""
    with pytest.raises(EndpointUnavailable, match="more than 16 MiB"):
        fetch(checked_url(serve(b"#" * (MAX_BYTES + 1))))


def test_what_is_no_number_is_left_out(serve: Serve) -> None:
    """NaN and infinity, which a page may have, are no values to compare."""
    (sample,) = fetch(checked_url(serve("a NaN\nb +Inf\nc 3\n")))
    assert (sample.name, sample.value) == ("c", 3)


def test_pages_are_read_when_the_new_one_has_changed(serve: Serve) -> None:
    """Both are read just after an emission, so that none is seconds behind; other changes do not count."""
    new = serve("a_x 1\nb 1\n", "a_x 1\nb 2\n", "a_x 1\nb 3\n", "a_x 2\nb 4\n", "a_x 2\nb 5\n")
    slept: list[float] = []
    _, page = both_fresh(checked_url(serve("c 1\n")), checked_url(new), "a_", clock=lambda: 0, sleep=slept.append)
    assert [sample.value for sample in page] == [2, 5]
    assert len(slept) == 2


def test_page_that_does_not_change_is_taken_as_it_is(serve: Serve) -> None:
    """A quiet node does not hold the comparison up for ever."""
    clock = iter([0, 5, 13]).__next__
    url = checked_url(serve(OLD))
    old, new = both_fresh(url, url, "bitcoin", patience=12, clock=clock, sleep=lambda _: None)
    assert old == new
