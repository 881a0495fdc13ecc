"""Write what is made from the code: METRICS.md, telegraf.conf.example and the README's table of options."""

import re
from pathlib import Path

from telegraf_bitcoin_ipc.reference import markdown, option_table
from telegraf_bitcoin_ipc.telegraf_config import EXAMPLE_SOCKET, render

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write the three."""
    (ROOT / "METRICS.md").write_text(markdown())
    (ROOT / "telegraf.conf.example").write_text(render(["telegraf-bitcoin-ipc", EXAMPLE_SOCKET]))
    readme = ROOT / "README.md"
    options = f"<!-- options -->\n{option_table()}\n<!-- /options -->"
    readme.write_text(
        re.sub(r"<!-- options -->.*<!-- /options -->", lambda _: options, readme.read_text(), flags=re.DOTALL)
    )


if __name__ == "__main__":
    main()
