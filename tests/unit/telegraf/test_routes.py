"""Routes to a central Telegraf: each URL is one route, and a wrong one is refused in one sentence."""

import pytest

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.routes import FORMS, Route, parse

ROUTES = {
    "http://central.example": Route(False, False, ("central.example:8186",), "/bitcoin", ""),
    "https://me@central.example:443/a/b": Route(False, True, ("central.example:443",), "/a/b", "me"),
    "http://me@127.0.0.1:1/": Route(False, False, ("127.0.0.1:1",), "/bitcoin", "me"),
    "http://me@[::1]/": Route(False, False, ("[::1]:8186",), "/bitcoin", "me"),
    "kafka://k1.example": Route(True, False, ("k1.example:9092",), "bitcoin", ""),
    "kafka://k1:1,k2,[fe80::1]:3/a.b-c_d": Route(True, False, ("k1:1", "k2:9092", "[fe80::1]:3"), "a.b-c_d", ""),
    "kafka://me@localhost:1,127.0.0.2:2": Route(True, False, ("localhost:1", "127.0.0.2:2"), "bitcoin", "me"),
    "kafka+ssl://me.and-you@k1.example:9093/topic": Route(True, True, ("k1.example:9093",), "topic", "me.and-you"),
}


@pytest.mark.parametrize("url", ROUTES)
def test_route(url: str) -> None:
    """Each part of a URL is where it belongs, with its default where it is left out."""
    assert parse("--output", url) == ROUTES[url]


CLEAR = "the password would be sent unencrypted; use {}:// or a loopback address"

MISTAKES = [
    ("", f"'' is not {FORMS}"),
    ("central.example:8186", f"'central.example:8186' is not {FORMS}"),
    ("ftp://central.example", f"'ftp://central.example' is not {FORMS}"),
    ("HTTP://central.example", f"'HTTP://central.example' is not {FORMS}"),
    ("http://", "'' is not HOST or HOST:PORT"),
    ("http://:8186", "':8186' is not HOST or HOST:PORT"),
    ("http://a b", "'a b' is not HOST or HOST:PORT"),
    ("http://a:b", "'a:b' is not HOST or HOST:PORT"),
    ("http://::1:80", "'::1:80' is not HOST or HOST:PORT"),
    ("http://a?b=c", "'a?b=c' is not HOST or HOST:PORT"),
    ("kafka://a,,b", "'' is not HOST or HOST:PORT"),
    ("http://a:0", "0 is not a valid port (1 to 65535)"),
    ("kafka://a:1,b:65536", "65536 is not a valid port (1 to 65535)"),
    ("http://a,b", "'a,b' is more than one host; only Kafka has several"),
    ("http://a/b c", "'/b c' is not a path (letters, digits and . _ ~ / -)"),
    ("http://a/${HOME}", "'/${HOME}' is not a path (letters, digits and . _ ~ / -)"),
    ("kafka://a/b/c", "'b/c' is not a topic (up to 249 letters, digits and . _ -)"),
    ("kafka://a/..", "'..' is not a topic (up to 249 letters, digits and . _ -)"),
    (f"kafka://a/{'b' * 250}", f"'{'b' * 250}' is not a topic (up to 249 letters, digits and . _ -)"),
    ("https://$me@a", "'$me' is not a user (letters, digits and . _ ~ + -)"),
    ("http://me@central.example", CLEAR.format("https")),
    ("http://me@0.0.0.0", CLEAR.format("https")),
    ("http://me@[::]", CLEAR.format("https")),
    ("kafka://me@localhost,k2.example", CLEAR.format("kafka+ssl")),
]


@pytest.mark.parametrize(("url", "sentence"), MISTAKES)
def test_mistake(url: str, sentence: str) -> None:
    """What is no route, or no safe one, is refused before it is in a file."""
    with pytest.raises(ConfigError) as caught:
        parse("--central", url)
    assert str(caught.value) == f"--central: {sentence}"


@pytest.mark.parametrize(
    "url",
    ["https://me:secret@a", "http://:secret@a", "https://me:se@cret/@a", "ftp://me:secret@a", "me:secret@a b"],
)
def test_password(url: str) -> None:
    """A password is refused wherever it stands, without being shown."""
    with pytest.raises(ConfigError) as caught:
        parse("--output", url)
    assert "secret" not in str(caught.value)
    assert "set BITCOIN_FLEET_PASSWORD for Telegraf" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("https://0.0.0.0", False),
        ("http://0.0.0.0", True),
        ("http://localhost", False),
        ("http://localhost.example", True),
        ("http://127.1.2.3", False),
        ("http://[::1]", False),
        ("http://[::]", True),
        ("kafka://localhost,k2", True),
        ("kafka+ssl://k1,k2", False),
    ],
)
def test_is_exposed(url: str, exposed: bool) -> None:
    """Only TLS, or staying on the machine, keeps others from reading and forging values."""
    assert parse("--output", url).is_exposed is exposed
