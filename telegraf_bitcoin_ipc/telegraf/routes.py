"""Routes from many nodes to a central Telegraf, as `config` takes them: URLs for HTTP, and for Kafka."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.sample_config import MAX_PORT

PASSWORD: Final = "BITCOIN_FLEET_PASSWORD"
"""The environment variable, of Telegraf's, for the password that belongs to a route's user."""

DEFAULT_HTTP_PORT: Final = 8186
DEFAULT_KAFKA_PORT: Final = 9092
DEFAULT_PATH: Final = "/bitcoin"
DEFAULT_TOPIC: Final = "bitcoin"

FORMS: Final = (
    "http://[USER@]HOST[:PORT][/PATH], https://..., kafka://[USER@]HOST[:PORT][,HOST[:PORT]...][/TOPIC] "
    "or kafka+ssl://..."
)

_SERVER: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_USER: Final = re.compile(r"[A-Za-z0-9._~+-]+")
_PATH: Final = re.compile(r"[A-Za-z0-9._~/-]*")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")  # as Kafka's Topic.java has it


@dataclass(frozen=True)
class Server:
    """A host and its port; an IPv6 address is in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nothing that is sent there leaves the machine."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class HttpRoute:
    """Directly from Telegraf to Telegraf."""

    server: Server
    path: str
    user: str
    tls: bool

    @property
    def servers(self) -> tuple[Server, ...]:
        """Where the other side of a connection is."""
        return (self.server,)

    @property
    def url(self) -> str:
        """The address without the user."""
        return f"{'https' if self.tls else 'http'}://{self.server}{self.path}"


@dataclass(frozen=True)
class KafkaRoute:
    """Through a queue."""

    servers: tuple[Server, ...]
    topic: str
    user: str
    tls: bool


Route = HttpRoute | KafkaRoute


def parse(option: str, url: str) -> Route:
    """Return the route that a URL names; raises ConfigError, about that option, if it names none.

    Also raises it for a URL with a password, and for one by which a password would be sent unencrypted.
    """
    if ":" in url.rpartition("@")[0].rpartition("://")[2]:  # before anything that shows the URL
        raise ConfigError(
            f"{option}: a password does not belong on the command line, but in the environment: "
            f"set {PASSWORD} for Telegraf"
        )
    scheme, separator, rest = url.partition("://")
    user, _, rest = rest.rpartition("@")
    hosts, _, path = rest.partition("/")
    name, tls = _SCHEMES.get(scheme, ("", False))
    if not separator or not name:
        raise ConfigError(f"{option}: {url!r} is not {FORMS}")
    if user and not _USER.fullmatch(user):
        raise ConfigError(f"{option}: {user!r} is not a user (letters, digits and . _ ~ + -)")
    route: Route
    if name == "kafka":
        route = KafkaRoute(_servers(option, hosts, DEFAULT_KAFKA_PORT), _topic(option, path), user, tls)
    else:
        servers = _servers(option, hosts, DEFAULT_HTTP_PORT)
        if len(servers) > 1:
            raise ConfigError(f"{option}: {hosts!r} is more than one host; only Kafka has several")
        route = HttpRoute(servers[0], _path(option, path), user, tls)
    if user and is_exposed(route):
        raise ConfigError(
            f"{option}: the password would be sent unencrypted; use {_ENCRYPTED[name]}:// or a loopback address"
        )
    return route


def is_exposed(route: Route) -> bool:
    """Whether what is sent leaves the machine unencrypted, so that others can read and change it."""
    return not route.tls and not all(server.is_loopback for server in route.servers)


_SCHEMES: Final = {
    "http": ("http", False),
    "https": ("http", True),
    "kafka": ("kafka", False),
    "kafka+ssl": ("kafka", True),
}

_ENCRYPTED: Final = {"http": "https", "kafka": "kafka+ssl"}


def _servers(option: str, hosts: str, default_port: int) -> tuple[Server, ...]:
    servers = []
    for text in hosts.split(","):
        if not (match := _SERVER.fullmatch(text)):
            raise ConfigError(f"{option}: {text!r} is not HOST or HOST:PORT")
        port = int(match[2] or default_port)
        if not 0 < port <= MAX_PORT:
            raise ConfigError(f"{option}: {port} is not a valid port (1 to {MAX_PORT})")
        servers.append(Server(match[1], port))
    return tuple(servers)


def _path(option: str, path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ConfigError(f"{option}: '/{path}' is not a path (letters, digits and . _ ~ / -)")
    return f"/{path}" if path else DEFAULT_PATH


def _topic(option: str, topic: str) -> str:
    if not topic:
        return DEFAULT_TOPIC
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise ConfigError(f"{option}: {topic!r} is not a topic (up to 249 letters, digits and . _ -)")
    return topic
