"""Make the pictures in docs/: the screen of `top` as SVG, graphs of the demo's Prometheus as PNG.

Run by `make screenshots`. Needs Chromium on the PATH; where pngquant is there, too, the PNGs become smaller.
Heights, counts and events of the SVG are the same at every run; times and transactions are not.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rich.console import Console, RenderableType

from telegraf_bitcoin_ipc.config import TOP_POLL_INTERVAL, make_config
from telegraf_bitcoin_ipc.ipc.connection import run
from telegraf_bitcoin_ipc.top.events import Events
from telegraf_bitcoin_ipc.top.loop import Top

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from support.nodes import SimulatedNode  # noqa: E402
from support.processes import Process, free_port  # noqa: E402

DOCS = ROOT / "docs"

LIFE_SECONDS = 100  # as long as the longest graph of the screen
GRAPH_SECONDS = 240
PAGE_MILLISECONDS = 20_000
COLUMNS, LINES = 80, 24

GRAPHS = {
    "mempool": "bitcoin_mempool_size",
    "rate": "rate(bitcoin_mempool_tx_added_total[20s])",
}
"""Pictures by name, and what each is a graph of."""


def life(seed: int = 1) -> Iterator[str]:
    """Yield the script of a node's life: blocks about every eight seconds, one reorganisation, a flush."""
    rng = random.Random(seed)
    yield json.dumps({"do": "peers", "inbound": 8, "outbound": 10})
    yield json.dumps({"do": "fee_estimates", "rates": {"2": 18.0, "6": 9.5, "144": 1.2}})
    for second in range(LIFE_SECONDS + 60):
        yield json.dumps({"wait": 1, "do": "accept", "count": rng.randint(2, 9)})
        yield json.dumps({"do": "traffic", "received": rng.randint(900, 4000), "sent": rng.randint(2000, 9000)})
        if rng.random() < 0.3:
            yield json.dumps({"do": rng.choice(("replace", "remove"))})
        if second % 8 == 6:
            yield json.dumps({"do": "block"})
        if second % 90 == 85:
            yield json.dumps({"do": "reorg", "depth": 2})
        if second % 45 == 44:
            yield json.dumps({"do": "flush"})


async def watched(node: Path) -> RenderableType:
    """Watch a node for a while, drawing as a terminal would, and return the last screen."""
    events = Events()
    events.take_log()
    top = Top(
        make_config({"socket": str(node), "poll_interval": TOP_POLL_INTERVAL}), events, on_change=lambda: None
    )
    watching = asyncio.ensure_future(top.watch())
    screen: RenderableType = ""
    for _ in range(LIFE_SECONDS):
        await asyncio.sleep(1)
        screen = top.draw(COLUMNS, LINES)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return screen


def svg(screen: RenderableType) -> str:
    """Return a screen as SVG, in any monospace font that is installed."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=COLUMNS,
        height=LINES,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
    )
    console.print(screen)
    picture = console.export_svg(title="telegraf-bitcoin-ipc top", unique_id="top")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL).replace("Fira Code, ", "")


def picture_of_top(directory: Path) -> None:
    """Make docs/top.svg."""
    script, node = directory / "script", directory / "top.sock"
    script.write_text("\n".join(life()))
    with SimulatedNode(node, directory, "--script", str(script), script=False):
        (DOCS / "top.svg").write_text(svg(run(watched(Path(os.path.relpath(node))))))


def picture_of_graph(prometheus: str, name: str, expression: str, directory: Path) -> None:
    """Make docs/NAME.png of Prometheus's page with one graph."""
    query = {"g0.expr": expression, "g0.tab": "0", "g0.range_input": f"{GRAPH_SECONDS - 30}s"}
    path = DOCS / f"{name}.png"
    command = [
        chromium(), "--headless=new", "--hide-scrollbars", "--disable-gpu", "--window-size=900,905",
        f"--user-data-dir={directory / 'chromium'}", f"--virtual-time-budget={PAGE_MILLISECONDS}",
        *(["--no-sandbox"] if os.getuid() == 0 else []),  # Chromium refuses to sandbox itself as root
        f"--screenshot={path}", f"http://{prometheus}/graph?{urllib.parse.urlencode(query)}",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    if quantise := shutil.which("pngquant"):
        subprocess.run([quantise, "--force", "--strip", "--ext", ".png", "32", path], check=True)


def chromium() -> str:
    """Return the browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    raise SystemExit("error: the graphs need Chromium: install it so that it is on the PATH (Debian: chromium)")


def main() -> None:
    """Make all pictures; the demo lives on meanwhile."""
    chromium()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # by way of every `with`
    metrics, prometheus = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    demo = [
        sys.executable,
        "-P",
        str(ROOT / "scripts" / "run.py"),
        "--address",
        metrics,
        "--prometheus",
        prometheus,
    ]
    with tempfile.TemporaryDirectory(prefix="tbi-") as name:
        directory = Path(name)
        began = time.monotonic()
        with Process(demo, directory, name="demo") as running:
            print(f"screenshots: top, {LIFE_SECONDS} s of a simulated node", file=sys.stderr)
            picture_of_top(directory)
            print(f"screenshots: Prometheus, {GRAPH_SECONDS} s of the demo", file=sys.stderr)
            done = began + GRAPH_SECONDS
            running.wait_until(lambda: time.monotonic() > done, "it was long enough", 2 * GRAPH_SECONDS)
            for graph, expression in GRAPHS.items():
                picture_of_graph(prometheus, graph, expression, directory)
    for path in sorted(DOCS.iterdir()):
        print(f"screenshots: {path.relative_to(ROOT)}, {path.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
