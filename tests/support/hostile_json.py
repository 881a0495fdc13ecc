"""JSON-RPC requests of which none may reach a node: another method, or a form that parsers read differently."""

from __future__ import annotations

import json

from telegraf_bitcoin_ipc.ipc import jsonrpc
from telegraf_bitcoin_ipc.ipc.jsonrpc import USER

METHODS = (
    "",
    " ",
    "stop",
    "sendtoaddress",
    "getblockchaininfo ",
    " getblockchaininfo",
    "GETBLOCKCHAININFO",
    "getblockchaininf",
    "getblockchaininfoo",
    "uptime\nstop",
    "uptime;stop",
    "uptime\x7f",
    "help",
    "getblock",
    "setban",
    "x" * 5000,
)
"""Methods of ASCII that are not allowed."""

OTHER_METHODS = ("upt\u0131me", "\uff55ptime", "uptime\u200b", "\u0443ptime", "st\u00f6p", "uptime\0")
"""The same of other characters: texts that no client sends."""

PARAMETERS = (
    "",
    "{}",
    "null",
    "1",
    '"x"',
    "[",
    "[1] ",
    " [1]",
    "[1,2]",
    "[NaN]",
    "[][]",
    '[{"a": 1, "a": 1}]',
    "[1],[2]",
)
"""Parameters that are no array, or not in the one form."""

URIS = ("/wallet/", "/", "x")
USERS = ("", "root", USER.upper(), USER + " ", "telegraf")


def requests(method: str) -> dict[str, str]:
    """Return requests for a method that are not, to the byte, as this program writes them, by what is wrong."""
    plain = jsonrpc.request(method, [])
    fields = {"jsonrpc": "2.0", "id": method, "method": method, "params": []}
    parameters = {
        "an escaped slash": '["\\/"]',
        "upper hexadecimal": '["\\u00E9"]',
        "NaN": "[NaN]",
        "infinity": "[-Infinity]",
        "a large number": "[1e999]",
        "half a surrogate pair": '["\\ud800"]',
        "minus zero": "[-0]",
        "a plus": "[+1]",
        "a leading zero": "[01]",
        "an exponent": "[1E2]",
        "too many digits": f"[{'9' * 4500}]",
        "a little too deep": "[" * 8 + "]" * 8,
        "too deep": "[" * 1500 + "]" * 1500,
        "duplicates within": '[{"a": 1, "a": 2}]',
    }
    changes: dict[str, dict[str, object]] = {
        "another key": {"wallet": ""},
        "another id": {"id": 1},
        "another version": {"jsonrpc": "1.0"},
        "a version of another type": {"jsonrpc": 2.0},
        "a list of methods": {"id": [method], "method": [method]},
        "an object as method": {"id": {}, "method": {method: 1}},
        "no method": {"id": None, "method": None},
        "named parameters": {"params": {}},
        "no parameters": {"params": None},
        "a nested request": {"params": plain},
    }
    return {
        **{name: plain.replace("[]", text) for name, text in parameters.items()},
        **{name: json.dumps({**fields, **change}) for name, change in changes.items()},
        "a second method": plain[:-1] + ', "method": "stop"}',
        "a first method": '{"method": "stop", ' + plain[1:],
        "duplicate parameters": plain[:-1] + ', "params": ["x"]}',
        "a duplicate id": f'{{"id": "{method}", ' + plain[1:],
        "an escaped key": plain.replace('"method"', '"m\\u0065thod"'),
        "a second, escaped key": plain[:-1] + ', "m\\u0065thod": "stop"}',
        "an escaped method": plain.replace(
            f'"method": "{method}', f'"method": "\\u{ord(method[0]):04x}{method[1:]}'
        ),
        "a batch": f"[{plain}]",
        "a batch of two": f"[{plain}, {jsonrpc.request('stop', [])}]",
        "two requests": plain + jsonrpc.request("stop", []),
        "two lines": plain + "\n" + jsonrpc.request("stop", []),
        "a space behind": plain + " ",
        "a space before": " " + plain,
        "no spaces": plain.replace(" ", ""),
        "a comment": plain[:-1] + "/**/}",
        "a comma": plain[:-1] + ",}",
        "single quotes": plain.replace('"', "'"),
        "another capital": plain.replace("method", "Method"),
        "another order": json.dumps(dict(reversed(fields.items()))),
        "no id": json.dumps({key: value for key, value in fields.items() if key != "id"}),
        "too long": jsonrpc.request(method, ["x" * 4096]),
        "a number": "1",
        "a text": f'"{method}"',
        "nothing": "",
        "null": "null",
        "cut short": plain[:-1],
    }
