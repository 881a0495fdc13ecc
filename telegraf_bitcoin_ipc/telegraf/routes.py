"""Routes from many nodes to a central Telegraf, as `config` takes them: URLs for HTTP, and for Kafka."""

import re
from ipaddress import ip_address
from typing import Final, NamedTuple

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.sample_config import MAX_PORT

PASSWORD: Final = "BITCOIN_FLEET_PASSWORD"
"""The environment variable, of Telegraf's, for the password that belongs to a route's user."""

DEFAULT_HTTP_PORT: Final = 8186
DEFAULT_KAFKA_PORT: Final = 9092
DEFAULT_PLACE: Final = "bitcoin"

FORMS: Final = (
    "http://[USER@]HOST[:PORT][/PATH], https://..., kafka://[USER@]HOST[:PORT][,HOST[:PORT]...][/TOPIC] "
    "or kafka+ssl://..."
)

_SCHEMES: Final = {
    "http": (False, False),
    "https": (False, True),
    "kafka": (True, False),
    "kafka+ssl": (True, True),
}
"""Of each scheme, whether it means Kafka, and TLS."""

_SERVER: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_USER: Final = re.compile(r"[A-Za-z0-9._~+-]+")
_PATH: Final = re.compile(r"[A-Za-z0-9._~/-]*")
_TOPIC: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,249}")  # as Kafka's Topic.java has it


class Route(NamedTuple):
    """Directly from Telegraf to Telegraf by HTTP, or through Kafka.

    `servers` are HOST:PORT, an IPv6 address in brackets; HTTP has one. `place` is HTTP's path or Kafka's topic.
    """

    is_kafka: bool
    tls: bool
    servers: tuple[str, ...]
    place: str
    user: str

    @property
    def url(self) -> str:
        """The address without the user, for HTTP."""
        return f"{'https' if self.tls else 'http'}://{self.servers[0]}{self.place}"

    @property
    def is_exposed(self) -> bool:
        """Whether what is sent leaves the machine unencrypted, so that others can read and change it."""
        return not self.tls and not all(map(_is_loopback, self.servers))


class _Mistake(Exception):
    """What is wrong with a URL, in one sentence."""


def parse(option: str, url: str) -> Route:
    """Return the route that a URL names; raises ConfigError, about that option, if it names none.

    Also raises it for a URL with a password, and for one by which a password would be sent unencrypted.
    """
    try:
        return _route(url)
    except _Mistake as error:
        raise ConfigError(f"{option}: {error}") from None


def _route(url: str) -> Route:
    if ":" in url.rpartition("@")[0].rpartition("://")[2]:  # before anything that shows the URL
        raise _Mistake(
            f"a password does not belong on the command line, but in the environment: set {PASSWORD} for Telegraf"
        )
    scheme, _, rest = url.partition("://")
    if not url.startswith(f"{scheme}://") or scheme not in _SCHEMES:
        raise _Mistake(f"{url!r} is not {FORMS}")
    is_kafka, tls = _SCHEMES[scheme]
    user, _, rest = rest.rpartition("@")
    hosts, _, place = rest.partition("/")
    if user and not _USER.fullmatch(user):
        raise _Mistake(f"{user!r} is not a user (letters, digits and . _ ~ + -)")
    port = DEFAULT_KAFKA_PORT if is_kafka else DEFAULT_HTTP_PORT
    servers = tuple(_server(host, port) for host in hosts.split(","))
    place = place or DEFAULT_PLACE
    if is_kafka and not _TOPIC.fullmatch(place):
        raise _Mistake(f"{place!r} is not a topic (up to 249 letters, digits and . _ -)")
    if not is_kafka:
        place = f"/{place}"
        if len(servers) > 1:
            raise _Mistake(f"{hosts!r} is more than one host; only Kafka has several")
        if not _PATH.fullmatch(place):
            raise _Mistake(f"'{place}' is not a path (letters, digits and . _ ~ / -)")
    route = Route(is_kafka, tls, servers, place, user)
    if user and route.is_exposed:
        encrypted = next(name for name, kind in _SCHEMES.items() if kind == (is_kafka, True))
        raise _Mistake(f"the password would be sent unencrypted; use {encrypted}:// or a loopback address")
    return route


def _server(text: str, default_port: int) -> str:
    if not (match := _SERVER.fullmatch(text)):
        raise _Mistake(f"{text!r} is not HOST or HOST:PORT")
    port = int(match[2] or default_port)
    if not 0 < port <= MAX_PORT:
        raise _Mistake(f"{port} is not a valid port (1 to {MAX_PORT})")
    return f"{match[1]}:{port}"


def _is_loopback(server: str) -> bool:
    host = server.rpartition(":")[0]
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
