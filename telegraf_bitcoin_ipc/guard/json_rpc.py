"""Which JSON-RPC requests are allowed, decided on the text that the node will read.

Both functions return what is not allowed, for the log; nothing if the request is allowed.
"""

import json

from .allowed import JSON_RPC
from .wire import Struct

MOST_CHARACTERS = 4096
MOST_LEVELS = (
    8  # of arrays and objects in each other; a request has three. Python's own limit is another in each release
)
REQUEST_KEYS = ["jsonrpc", "id", "method", "params"]
USER = "telegraf-bitcoin-ipc"  # of Rpc.executeRpc, for the node's log and its -rpcwhitelist
SHOWN_CHARACTERS = 40  # of a client's text

OTHER_FORM = "request of another form"
TWO_READINGS = "text that two parsers could read differently"


def of_node(given: Struct) -> str:
    """Check the parameters of Node.executeRpc: context, command, params (a JSON array), uri. Raises Malformed."""
    command, params, uri = (given.text(index) for index in (1, 2, 3))
    if command not in JSON_RPC:
        return _shown(command)
    if uri:
        return f"{command} with a uri"
    return "" if isinstance(_read(params), list) else f"{command} with other parameters than an array"


def of_rpc(given: Struct) -> str:
    """Check the parameters of Rpc.executeRpc: context, request (JSON-RPC 2.0), uri, user. Raises Malformed."""
    request, uri, user = (given.text(index) for index in (1, 2, 3))
    read = _read(request)
    if not isinstance(read, dict) or list(read) != REQUEST_KEYS:
        return OTHER_FORM if read is not None else TWO_READINGS
    version, number, method, params = read.values()
    if not isinstance(method, str) or method not in JSON_RPC:
        return _shown(str(method))
    if version != "2.0" or number != method or not isinstance(params, list):
        return OTHER_FORM
    return f"{method} with a uri or another user" if uri or user != USER else ""


def _read(text: str) -> object:
    """Return what a JSON text says; None for one that two parsers could read differently.

    That is any which is not, to the byte, what encoding its own parse gives: duplicate keys, other escapes, white
    space, numbers that are none. And any that is nested deeply, which some parsers refuse.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            return None
        read: object = json.loads(text, parse_constant=_no_number)
        json.dumps(read, ensure_ascii=False).encode()  # half a surrogate pair is no character
        return read if json.dumps(read) == text and _is_flat(read, MOST_LEVELS) else None
    except (ValueError, RecursionError):
        return None


def _is_flat(value: object, levels: int) -> bool:
    """Return whether arrays and objects are nested in at most that number of levels."""
    if not isinstance(value, dict | list):
        return True
    within = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(each, levels - 1) for each in within)


def _no_number(name: str) -> None:
    """Refuse NaN and the infinities, which JSON does not have."""
    raise ValueError(name)


def _shown(method: str) -> str:
    """Return the name of a method that is not allowed; never empty, which would allow it."""
    shown = "".join(each if each.isascii() and each.isprintable() else "?" for each in method[:SHOWN_CHARACTERS])
    return shown or "method without a name"
