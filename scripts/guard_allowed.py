"""What the guard allows, as a module of the guard: it cannot import the dialects from which that is made."""

from telegraf_bitcoin_ipc.ipc.allowlist import calls
from telegraf_bitcoin_ipc.ipc.dialects import READ_ONLY


def module() -> str:
    """Return the text of telegraf_bitcoin_ipc/guard/allowed.py."""
    return "\n".join(
        [
            '"""What a client may call. Made from schema and dialects by `make reference`: do not edit it."""',
            "",
            "CALLS = {",
            *(f'    (0x{interface:016X}, {method}): "{name}",' for (interface, method), name in calls().items()),
            "}",
            '"""The name of each method that may be called, by the id of its interface and its ordinal."""',
            "",
            "JSON_RPC = {",
            *(f'    "{method}",' for method in READ_ONLY),
            "}",
            '"""The JSON-RPC methods that may be called; all are read-only."""',
            "",
        ]
    )
