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

_SERVER: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_USER: Final = re.compile(r"[A-Za-z0-9._~+-]+")
_PATH: Final = re.compile(r"[A-Za-z0-9._~/-]*")
_TOPIC: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,249}")  # as Kafka's Topic.java has it


class Route(NamedTuple):
    """Directly from Telegraf to Telegraf, or through a queue.

    `servers` are HOST:PORT, an IPv6 address in brackets; HTTP has one. `place` is HTTP's path or Kafka's topic.
    """

    scheme: str
    servers: tuple[str, ...]
    place: str
    user: str

    @property
    def is_kafka(self) -> bool:
        """Whether it is through Kafka."""
        return self.scheme.startswith("kafka")

    @property
    def tls(self) -> bool:
        """Whether it is encrypted."""
        return self.scheme in ("https", "kafka+ssl")

    @property
    def url(self) -> str:
        """The address without the user, for HTTP."""
        return f"{self.scheme}://{self.servers[0]}{self.place}"

    @property
    def is_exposed(self) -> bool:
        """Whether what is sent leaves the machine unencrypted, so that others can read and change it."""
        return not self.tls and not all(map(_is_loopback, self.servers))


def parse(option: str, url: str) -> Route:
    """Return the route that a URL names; raises ConfigError, about that option, if it names none.

    Also raises it for a URL with a password, and for one by which a password would be sent unencrypted.
    """
    try:
        return _route(url)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def _route(url: str) -> Route:
    if ":" in url.rpartition("@")[0].rpartition("://")[2]:  # before anything that shows the URL
        raise ValueError(
            f"a password does not belong on the command line, but in the environment: set {PASSWORD} for Telegraf"
        )
    scheme, separator, rest = url.partition("://")
    user, _, rest = rest.rpartition("@")
    hosts, _, place = rest.partition("/")
    if not separator or scheme not in ("http", "https", "kafka", "kafka+ssl"):
        raise ValueError(f"{url!r} is not {FORMS}")
    if user and not _USER.fullmatch(user):
        raise ValueError(f"{user!r} is not a user (letters, digits and . _ ~ + -)")
    place = place or DEFAULT_PLACE
    if scheme.startswith("kafka"):
        encrypted = "kafka+ssl"
        servers = [_server(host, DEFAULT_KAFKA_PORT) for host in hosts.split(",")]
        if not _TOPIC.fullmatch(place):
            raise ValueError(f"{place!r} is not a topic (up to 249 letters, digits and . _ -)")
    else:
        encrypted, place = "https", f"/{place}"
        servers = [_server(host, DEFAULT_HTTP_PORT) for host in hosts.split(",")]
        if len(servers) > 1:
            raise ValueError(f"{hosts!r} is more than one host; only Kafka has several")
        if not _PATH.fullmatch(place):
            raise ValueError(f"'{place}' is not a path (letters, digits and . _ ~ / -)")
    route = Route(scheme, tuple(servers), place, user)
    if user and route.is_exposed:
        raise ValueError(f"the password would be sent unencrypted; use {encrypted}:// or a loopback address")
    return route


def _server(text: str, default_port: int) -> str:
    if not (match := _SERVER.fullmatch(text)):
        raise ValueError(f"{text!r} is not HOST or HOST:PORT")
    port = int(match[2] or default_port)
    if not 0 < port <= MAX_PORT:
        raise ValueError(f"{port} is not a valid port (1 to {MAX_PORT})")
    return f"{match[1]}:{port}"


def _is_loopback(server: str) -> bool:
    host = server.rpartition(":")[0]
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
