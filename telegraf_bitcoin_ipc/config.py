"""The options: the one place for their defaults, bounds and help texts."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, CATALOGUE, GROUPS
from telegraf_bitcoin_ipc.collect.tags import FEE_TARGETS, UNPRINTABLE
from telegraf_bitcoin_ipc.errors import ConfigError

ENVIRONMENT_PREFIX: Final = "TELEGRAF_BITCOIN_IPC_"

CHOOSABLE_GROUPS: Final = tuple(group for group in GROUPS if group not in ALWAYS_ON)

DEFAULT_GROUPS: Final = tuple(group for group in CHOOSABLE_GROUPS if group != "peers")
"""All but peers, which is polled with getpeerinfo, by far the largest answer."""

TOP_POLL_INTERVAL: Final = 2.0
"""The default poll interval of `top`, in seconds: short, because a person is watching, and only for a while."""

RESERVED_TAGS: Final = frozenset(tag for metric in CATALOGUE for tag in metric.tags)

UNIX_PATH_BYTES: Final = 107
"""The longest path that fits into a Linux socket address (sun_path holds 108 bytes with the final NUL)."""


class Metavar(str):
    """The placeholder in --help for an option's value."""


def _socket_path(path: str) -> str:
    if not path:
        raise ValueError("the path of the node's socket is empty")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise ValueError(f"the path {path!r} is not UTF-8") from None
    if size > UNIX_PATH_BYTES:
        raise ValueError(f"the path is longer than the {UNIX_PATH_BYTES} bytes that a socket path may have")
    return path


def _split(value: Any) -> Any:
    """Return the items of a comma-separated list, `none` being an empty one; returns other types as they are."""
    if not isinstance(value, str):
        return value
    return [item for item in map(str.strip, value.split(",")) if item not in ("", "none")]


def _distinct(items: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))


def _join(items: tuple[Any, ...]) -> str:
    return ",".join(map(str, items)) or "none"


def _group(name: str) -> str:
    if name not in GROUPS:
        raise ValueError(f"there is no group {name!r}; the groups are {', '.join(GROUPS)}")
    return name


def _tags(value: Any) -> Any:
    """Return the tags of `KEY=VALUE,...` or of a list of KEY=VALUE; the last value of a key wins."""
    if isinstance(value, Mapping):
        return value
    pairs = [text.partition("=") for text in (value.split(",") if isinstance(value, str) else value)]
    for key, equals, _ in pairs:
        if not equals:
            raise ValueError(f"{key!r} is not KEY=VALUE")
    return {key: text for key, _, text in pairs}


def _valid_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return the tags as they are; raises ValueError if Telegraf or Prometheus would not accept one."""
    for name, value in tags.items():
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name):
            raise ValueError(f"{name!r} is not a valid tag name (letters, digits and _, starting with a letter)")
        if name in RESERVED_TAGS:
            raise ValueError(f"the tag {name!r} is used by the metrics themselves")
        if name == "host":  # added to every metric, and dropped on the Prometheus page (sample_config)
            raise ValueError(f"the tag {name!r} is Telegraf's own")
        if not value.strip():
            raise ValueError(f"the value of the tag {name!r} is empty")
        if UNPRINTABLE.search(value):
            raise ValueError(
                f"the value of the tag {name!r} contains a backslash, a control character or invalid UTF-8"
            )
    return tags


Seconds = Annotated[
    float,
    Field(ge=0.1, le=86400, allow_inf_nan=False),
    PlainSerializer(lambda seconds: f"{seconds:.15g}", when_used="json"),
    Metavar("S"),
]

Groups = Annotated[
    tuple[Annotated[str, AfterValidator(_group)], ...],
    BeforeValidator(_split),
    AfterValidator(_distinct),
    PlainSerializer(_join, when_used="json"),
    Metavar("GROUP,..."),
]

FeeTargets = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1008)], ...],  # estimatesmartfee accepts no longer target
    Field(min_length=1, max_length=10),  # each is one call per poll, and one series
    BeforeValidator(_split),
    AfterValidator(_distinct),
    PlainSerializer(_join, when_used="json"),
    Metavar("BLOCKS,..."),
]

Tags = Annotated[
    Mapping[str, str],
    BeforeValidator(_tags),
    AfterValidator(_valid_tags),
    PlainSerializer(lambda tags: [f"{key}={text}" for key, text in tags.items()], when_used="json"),
    Metavar("KEY=VALUE"),
]


class Config(BaseModel):
    """How the plugin runs. Values may be text, as a user types it; `model_dump(mode="json")` returns that text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Annotated[str, AfterValidator(_socket_path), Metavar("SOCKET")] = Field(
        description="path of the node's IPC socket"
    )
    debug: bool = Field(default=False, description="log every event and every failed attempt")
    poll_interval: Seconds = Field(default=60, description="seconds between polls of the node")
    emit_interval: Seconds = Field(
        default=10, description="seconds between emissions, unless newlines on stdin request them"
    )
    metrics: Groups = Field(
        default=DEFAULT_GROUPS,
        description="groups of metrics in addition to core and plugin: "
        + ", ".join(CHOOSABLE_GROUPS)
        + "; or none (comma-separated)",
    )
    fee_targets: FeeTargets = Field(
        default=FEE_TARGETS,
        description="targets of the fee estimates, in blocks (comma-separated)",
    )
    no_utxo_trace: bool = Field(default=False, description="do not subscribe to the UTXO cache trace")
    no_guard: bool = Field(
        default=False,
        description="hold the node's socket in this process, which can harm the node (for debugging)",
    )
    tag: Tags = Field(default={}, description="a tag for every metric (can be repeated)")


class Option(NamedTuple):
    """An option as a user types it; a switch has no `default` and no `metavar`, a required one no `default`."""

    field: str
    name: str
    variable: str
    help: str
    default: str
    metavar: str
    repeatable: bool


def _options() -> tuple[Option, ...]:
    defaults = Config.model_construct(socket="").model_dump(mode="json")
    return tuple(
        Option(
            field,
            "SOCKET" if field == "socket" else "--" + field.replace("_", "-"),
            ENVIRONMENT_PREFIX + field.upper(),
            info.description or "",
            defaults[field] or "",
            next((each for each in info.metadata if isinstance(each, Metavar)), ""),
            isinstance(info.default, Mapping),
        )
        for field, info in Config.model_fields.items()
    )


OPTIONS: Final = {option.field: option for option in _options()}
"""Every option by its field of Config."""


def make_config(values: Mapping[str, Any]) -> Config:
    """Check the options; raises ConfigError with one sentence about the first that is wrong."""
    try:
        return Config(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{OPTIONS[str(first['loc'][0])].name}: {_in_words(first)}") from error


def _in_words(problem: Any) -> str:
    """Return a validation error as a short sentence, with the rejected value."""
    message = str(problem["msg"])
    match problem["type"]:
        case "missing":
            return "it is required"
        case "value_error":
            return str(problem["ctx"]["error"])
        case "too_short" | "too_long":
            return re.sub(r"^\w+ should", "it should", message).replace(" after validation", "")
    return f"{message.partition(',')[0].replace('Input should', 'it should')}, but is {problem['input']!r}"


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the options that are set and not empty. Raises ConfigError for an unknown one with our prefix."""
    known = {option.variable for option in OPTIONS.values()}
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            raise ConfigError(f"{name}: there is no such option; the variables are {', '.join(sorted(known))}")
    return {field: text for field, option in OPTIONS.items() if (text := environment.get(option.variable))}


def to_arguments(config: Config) -> list[str]:
    """Return the command-line options, without SOCKET, that give this configuration."""
    given = config.model_dump(mode="json", exclude={"socket"}, exclude_defaults=True)
    words: list[str] = []
    for field, value in given.items():
        for text in value if isinstance(value, list) else [value]:
            words += [OPTIONS[field].name] if text is True else [OPTIONS[field].name, text]
    return words
