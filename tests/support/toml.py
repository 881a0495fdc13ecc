"""Settings as TOML, in the form in which NixOS writes them: tables by name, lists of tables as [[...]]."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def dumps(settings: Mapping[str, Any]) -> str:
    """Return the text. Null and tables in lists of lists cannot be written; no Telegraf configuration has any."""
    return "\n".join(_table(settings, ())) + "\n"


def _table(settings: Mapping[str, Any], path: Sequence[str]) -> Iterator[str]:
    """Give the lines of a table: its own values first, for what follows belongs to the tables in it."""
    nested = {}
    for key, value in settings.items():
        if isinstance(value, dict) or _tables(value):
            nested[key] = value
        else:
            yield f"{_text(key)} = {_value(value)}"
    for key, value in nested.items():
        inner = [*path, _text(key)]
        for one in [value] if isinstance(value, dict) else value:
            yield f"[{'.'.join(inner)}]" if isinstance(value, dict) else f"[[{'.'.join(inner)}]]"
            yield from _table(one, inner)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """Return a basic string, with the dollar signs as they are: NixOS does not know that Telegraf reads them."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
