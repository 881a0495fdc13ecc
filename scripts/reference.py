"""Write what is made from the code: METRICS.md, telegraf.conf.example, and the README's parts between markers."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from telegraf_bitcoin_ipc.reference import group_table, markdown, method_list, migration_tables, option_table
from telegraf_bitcoin_ipc.telegraf.sample_config import EXAMPLE_SOCKET, render

ROOT = Path(__file__).resolve().parent.parent

PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "groups": group_table,
    "methods": method_list,
    "options": option_table,
}
"""What stands in the README between `<!-- NAME -->` and `<!-- /NAME -->`, by name; the tables for moving too."""


def main() -> None:
    """Write the three files."""
    (ROOT / "METRICS.md").write_text(markdown())
    (ROOT / "telegraf.conf.example").write_text(render(["telegraf-bitcoin-ipc", EXAMPLE_SOCKET]))
    readme = ROOT / "README.md"
    text = readme.read_text()
    made = {name: part() for name, part in PARTS.items()} | migration_tables()
    for name, part in made.items():
        text = _with_part(text, name, part)
    readme.write_text(text)


def _with_part(text: str, name: str, part: str) -> str:
    """Return the text with another part between the markers of a name; raises ValueError without them."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{part}\n{end}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"README.md has {count} times {begin} ... {end}, not once")
    return text


if __name__ == "__main__":
    main()
