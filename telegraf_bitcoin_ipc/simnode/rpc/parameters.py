"""The parameters of JSON-RPC methods: their number, names and types, checked as Bitcoin Core does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from telegraf_bitcoin_ipc.simnode.rpc.errors import (
    INVALID_PARAMETER,
    MISC_ERROR,
    TYPE_ERROR,
    RpcError,
    wrong_type,
)

TYPES: Final[dict[str, tuple[type, ...]]] = {
    "number": (int, float),
    "string": (str,),
    "bool": (bool,),
    "array": (list,),
    "any": (object,),
}
HASH_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter's name and JSON type; what is optional has a default, which may be None."""

    name: str
    type: Literal["number", "string", "bool", "array", "any"]
    optional: bool = False
    default: object = None


def values(method: str, parameters: Sequence[Parameter], given: object) -> list[Any]:
    """Return a value for each parameter, given by position or by name; raises RpcError."""
    params = _by_position(parameters, given) if isinstance(given, dict) else given
    needed = sum(not parameter.optional for parameter in parameters)
    if not isinstance(params, list) or not needed <= len(params) <= len(parameters):
        raise RpcError(MISC_ERROR, usage(method, parameters))
    params = [*params, *[None] * (len(parameters) - len(params))]
    _check_types(parameters, params)
    return [
        parameter.default if value is None else value for parameter, value in zip(parameters, params, strict=True)
    ]


def usage(method: str, parameters: Sequence[Parameter]) -> str:
    """Return the first line of a method's help; Bitcoin Core sends the whole of it."""
    required = [parameter.name for parameter in parameters if not parameter.optional]
    optional = [parameter.name for parameter in parameters if parameter.optional]
    return " ".join([method, *required, *(["(", *optional, ")"] if optional else [])])


def integer(value: float) -> int:
    """Return a JSON number that has to be an integer."""
    if not isinstance(value, int):
        raise RpcError(MISC_ERROR, "JSON integer out of range")
    return value


def text(value: object) -> str:
    """Return a JSON value that has to be a string."""
    if not isinstance(value, str):
        raise RpcError(TYPE_ERROR, wrong_type(value, "string"))
    return value


def block_hash(value: object, name: str) -> bytes:
    """Return a hash, given as it is displayed, in wire order."""
    digits = text(value)
    if len(digits) != HASH_DIGITS:
        length = len(digits)
        raise RpcError(INVALID_PARAMETER, f"{name} must be of length {HASH_DIGITS} (not {length}, for '{digits}')")
    try:
        return bytes.fromhex(digits)[::-1]
    except ValueError:
        raise RpcError(INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{digits}')") from None


def _by_position(parameters: Sequence[Parameter], given: dict[str, object]) -> list[object]:
    names = [parameter.name for parameter in parameters]
    for name in given:
        if name not in names:
            raise RpcError(INVALID_PARAMETER, f"Unknown named parameter {name}")
    last = max((names.index(name) for name in given), default=-1)
    return [given.get(name) for name in names[: last + 1]]


def _check_types(parameters: Sequence[Parameter], params: Sequence[object]) -> None:
    wrong = [
        f'    "Position {position} ({parameter.name})": "{wrong_type(value, parameter.type)}"'
        for position, (parameter, value) in enumerate(zip(parameters, params, strict=True), start=1)
        if not _fits(parameter, value)
    ]
    if wrong:
        raise RpcError(TYPE_ERROR, "Wrong type passed:\n{\n" + ",\n".join(wrong) + "\n}")


def _fits(parameter: Parameter, value: object) -> bool:
    if value is None:
        return parameter.optional or parameter.type == "any"
    if isinstance(value, bool):  # to Python it is a number, too
        return parameter.type in ("bool", "any")
    return isinstance(value, TYPES[parameter.type])
