"""`parity` as a user meets it: real pages over HTTP, and what it says of endpoints that cannot be read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.endpoints import endpoint
from support.nodes import call_program, run_program
from support.processes import free_port

OLD = "bitcoind_blockchain_blocks 110\nbitcoind_mempool_max_bytes 300000000\n"
NEW = """\
bitcoin_plugin_info{version="1",node="a"} 1
bitcoin_last_poll_timestamp_seconds{node="a"} TICK
bitcoin_chain_height{node="a"} 110
bitcoin_mempool_max_bytes{node="a"} 300000000
"""

OTHER = NEW.replace('"a"', '"b"')

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve bodies until the test is over; returns HOST:PORT."""
    with ExitStack() as stack:
        yield lambda *bodies, **how: stack.enter_context(endpoint(bodies, **how))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `parity` to its end, under a proxy that is not for it."""
    return run_program("parity", *arguments, http_proxy=f"http://127.0.0.1:{free_port()}")


def test_equal_and_different_pages(serve: Serve) -> None:
    """HOST:PORT is enough of a URL; status 0 without a difference, 1 with one, in the table and in JSON."""
    new = serve(NEW)
    done = run("--window", "1", serve(OLD), new)
    assert (done.returncode, done.stderr) == (0, "")
    assert "OLD_URL is rpc_exporter" in done.stdout
    assert "\n2 equal\n" in done.stdout

    done = run("--window", "1", "--json", serve(OLD.replace("300000000", "5000000")), f"http://{new}/")
    assert done.returncode == 1
    statuses = {each["old"]: each["status"] for each in json.loads(done.stdout)["findings"]}
    assert statuses == {"bitcoind_blockchain_blocks": "equal", "bitcoind_mempool_max_bytes": "differs"}


def test_a_page_without_a_node_is_no_parity(serve: Serve) -> None:
    """Where the plugin shows nothing of a node, nothing is equal, and the status is 1."""
    own = "".join(line for line in NEW.splitlines(keepends=True) if "plugin_info" in line)
    done = run("--window", "1", serve(OLD), serve(own + 'bitcoin_connects_total{node="a"} TICK\n'))
    assert done.returncode == 1, done.stdout
    assert "\n2 missing\n" in done.stdout


def test_user_decides(serve: Serve) -> None:
    """--from, --match and --tolerance do what they say."""
    new = serve(NEW + OTHER.replace("300000000", "270000000"))
    options = ["--window", "1", "--from", "rpc_exporter", "--match", "node=b"]
    old = serve(OLD)
    assert run(*options, old, new).returncode == 1
    assert run(*options, "--tolerance", "15", old, new).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a"], "NEW_URL"),
        (["ftp://a/metrics", "b"], "only http and https are supported"),
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
    done = call_program("parity", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert sentence in done.stderr


def test_pages_that_cannot_be_compared(serve: Serve) -> None:
    """Before the window begins: status 2 where the user is to decide, else 1, and one sentence about the URL."""
    nobody = f"127.0.0.1:{free_port()}"
    old, new = serve(OLD), serve(NEW)
    for status, sentence, *arguments in (
        (2, "no known exporter", serve("node_load1 3\n"), new),
        (2, "--match must select one node of NEW_URL, which has: node=a; node=b", old, serve(NEW + OTHER)),
        (2, "no metrics of usdt_exporter; it has metrics of rpc_exporter", "--from", "usdt_exporter", old, new),
        (1, f"http://{nobody}/metrics cannot be read: [Errno 111] Connection refused", nobody, new),
        (1, "NEW_URL has no bitcoin_plugin_info", old, old),
        (1, "returned HTTP status 503", old, serve("sorry", status=503)),
        (1, "is not a page of Prometheus metrics", serve("<html>\n"), new),
    ):
        done = run("--window", "3600", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), done.stderr
        assert sentence in done.stderr


ESCAPES = "\x1b]0;taken over\x07\x1b[31m\u202e"
"""What changes a terminal's title, its colour and the direction of writing."""


def test_escape_sequences_stay_off_the_terminal(serve: Serve) -> None:
    """What a page has in its labels and names is shown with escapes, in the table and in a sentence."""
    old = OLD + f'{{"bitcoin_{ESCAPES}"}} 1\nbitcoind_mempool_size 3\n'
    new = NEW + f'bitcoin_node_info{{node="a",dialect="{ESCAPES}"}} 1\n'
    done = run("--window", "1", serve(old), serve(new))
    assert done.returncode == 0, done.stderr
    assert r"the dialect \x1b]0;taken" in " ".join(done.stdout.split())
    assert r"bitcoin_\x1b]0;taken over\x07\x1b[31m\u202e" in " ".join(done.stdout.split())
    assert plain(done.stdout)
    done = run("--window", "3600", serve(OLD), serve(NEW + NEW.replace('"a"', f'"{ESCAPES}"')))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert r"node=\x1b]0;taken over" in done.stderr
    assert plain(done.stderr)


def plain(text: str) -> bool:
    """Whether a terminal does nothing with it but show it."""
    return all(letter.isprintable() or letter == "\n" for letter in text)
