"""The options: the only home of their defaults, bounds and help texts."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from telegraf_bitcoin_ipc.collect.metrics import ALWAYS_ON, CATALOGUE, FEE_TARGETS, GROUPS
from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.telegraf.lines import UNPRINTABLE

ENVIRONMENT_PREFIX: Final = "TELEGRAF_BITCOIN_IPC_"

CHOOSABLE_GROUPS: Final = tuple(group for group in GROUPS if group not in ALWAYS_ON)

DEFAULT_GROUPS: Final = tuple(group for group in CHOOSABLE_GROUPS if group != "peers")
"""What a dashboard of one node needs; what peers is made from, getpeerinfo, is by far the largest answer."""

FEE_TARGET_LIMIT: Final = 1008
"""Blocks that estimatesmartfee looks ahead at most."""

FEE_TARGETS_LIMIT: Final = 10
"""How many there may be: each is one call per poll, and one series."""

TOP_POLL_INTERVAL: Final = 2.0
"""Seconds between two polls of `top`, unless told otherwise: somebody is watching, and for a while only."""

RESERVED_TAGS: Final = frozenset(tag for metric in CATALOGUE for tag in metric.tags)

TELEGRAF_TAG: Final = "host"
"""The tag that Telegraf gives every metric, and that its Prometheus page leaves out (telegraf_config)."""

UNIX_PATH_BYTES: Final = 107
"""The longest path that fits into a Linux socket address (sun_path holds 108 bytes with the final NUL)."""

FeeTarget = Annotated[int, Field(ge=1, le=FEE_TARGET_LIMIT)]

Seconds = Annotated[float, Field(ge=0.1, le=86400, allow_inf_nan=False)]


class Config(BaseModel):
    """How the plugin runs; see each field's description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: str = Field(description="path of the node's IPC socket")
    debug: bool = Field(default=False, description="log every event, and every try and failure")
    poll_interval: Seconds = Field(default=60, description="seconds between two polls of the node")
    emit_interval: Seconds = Field(
        default=10, description="seconds between two emissions, unless newlines on stdin set the pace"
    )
    metrics: tuple[str, ...] = Field(
        default=DEFAULT_GROUPS,
        description="groups of metrics beside core and plugin: "
        + ", ".join(CHOOSABLE_GROUPS)
        + "; or none (comma-separated)",
    )
    fee_targets: tuple[FeeTarget, ...] = Field(
        default=FEE_TARGETS,
        description="blocks to estimate fees for, in the group fees (comma-separated)",
    )
    no_utxo_trace: bool = Field(default=False, description="do not subscribe to the UTXO cache trace")
    no_guard: bool = Field(
        default=False,
        description="hold the node's socket in this process, which can harm the node (for debugging)",
    )
    tag: Mapping[str, str] = Field(default={}, description="a tag for every metric (may be given again)")

    @field_validator("socket")
    @classmethod
    def _path(cls, path: str) -> str:
        if not path:
            raise ValueError("the path of the node's socket is empty")
        try:
            size = len(path.encode())
        except UnicodeEncodeError:
            raise ValueError(f"the path {path!r} is not UTF-8") from None
        if size > UNIX_PATH_BYTES:
            raise ValueError(f"the path is longer than the {UNIX_PATH_BYTES} bytes that a socket's may have")
        return path

    @field_validator("metrics", mode="before")
    @classmethod
    def _groups(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        groups = [group.strip() for group in value.split(",") if group.strip() not in ("", "none")]
        for group in groups:
            if group not in GROUPS:
                raise ValueError(f"there is no group {group!r}; there are {', '.join(GROUPS)}")
        return tuple(dict.fromkeys(groups))

    @field_validator("fee_targets", mode="before")
    @classmethod
    def _targets(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        texts = [text.strip() for text in value.split(",") if text.strip()]
        for text in texts:
            if not (text.isascii() and text.isdigit()):
                raise ValueError(f"{text!r} is no number of blocks")
        return tuple(dict.fromkeys(int(text) for text in texts))

    @field_validator("fee_targets")
    @classmethod
    def _few(cls, targets: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(targets) <= FEE_TARGETS_LIMIT:
            raise ValueError(f"there have to be 1 to {FEE_TARGETS_LIMIT} of them, not {len(targets)}")
        return targets

    @field_validator("tag", mode="before")
    @classmethod
    def _tags(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return value
        return dict(_tag(text) for text in value)


def _tag(text: str) -> tuple[str, str]:
    """Return the parts of KEY=VALUE; raises ValueError where Telegraf or Prometheus could not take them."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=VALUE")
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", key):
        raise ValueError(f"{key!r} is no name for a tag (letters, digits and _, a letter first)")
    if key in RESERVED_TAGS:
        raise ValueError(f"the tag {key!r} is one that the metrics use themselves")
    if key == TELEGRAF_TAG:
        raise ValueError(f"the tag {key!r} is Telegraf's own")
    if not value.strip():
        raise ValueError(f"the value of the tag {key!r} is empty")
    if UNPRINTABLE.search(value):
        raise ValueError(
            f"the value of the tag {key!r} has a backslash, a control character or invalid UTF-8 in it"
        )
    return key, value


def make_config(values: Mapping[str, Any]) -> Config:
    """Check the options; raises ConfigError with one sentence about the first that is wrong."""
    try:
        return Config(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "options"
        message = str(first["ctx"]["error"]) if first["type"] == "value_error" else _in_words(first)
        raise ConfigError(f"{option_name(field)}: {message}") from error


def _in_words(problem: Any) -> str:
    """Return pydantic's message for people: without its last clause, and with what was given."""
    if problem["type"] == "missing":
        return "it has to be given"
    message = str(problem["msg"]).partition(",")[0].replace("Input should", "it should")
    return f"{message}, and is {problem['input']!r}"


def option_name(field: str) -> str:
    """Return what the user types for a field."""
    return "SOCKET" if field == "socket" else "--" + field.replace("_", "-")


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that are set in the environment; several tags are separated by commas.

    Raises ConfigError for a variable of ours that is no option.
    """
    values: dict[str, Any] = {}
    known = {ENVIRONMENT_PREFIX + field.upper() for field in Config.model_fields}
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            raise ConfigError(f"{name}: there is no such option; there are {', '.join(sorted(known))}")
    for field in Config.model_fields:
        text = environment.get(ENVIRONMENT_PREFIX + field.upper())
        if text:
            values[field] = text.split(",") if field == "tag" else text
    return values
