"""What many replayed nodes cost a real central Telegraf and a real Prometheus."""

import gzip
import http.client
import os
import re
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from support.nodes import PROGRAM
from support.processes import Failure, Process, free_port, get
from support.prometheus import Prometheus
from support.telegraf import Telegraf

from bench.fleet.lines import Emission, size
from bench.fleet.replay import Replay

SCRAPES = 2
"""Measured, after a first one."""

PAGES = 2
"""Read at the end, to tell the processor time of a page from that of the lines."""


@dataclass(frozen=True)
class Case:
    """How many nodes there are, how often they emit, and how often Prometheus scrapes (seconds).

    `batch` is the metric_batch_size, with a metric_buffer_limit of ten times that; 0: as `config` sets them.
    """

    nodes: int
    interval: float
    batch: int = 0
    scrape_interval: int = 15


def configuration(listen: str, address: str, case: Case) -> str:
    """Return the configuration of a Telegraf that takes lines on `listen`, and serves the page on `address`."""
    options = ["--central", f"http://{listen}", "--metrics-addr", address, "--emit-interval", str(case.interval)]
    text = subprocess.run([PROGRAM, "config", *options], check=True, capture_output=True, text=True).stdout
    if case.batch:
        for setting, value in (("metric_batch_size", case.batch), ("metric_buffer_limit", 10 * case.batch)):
            text, count = re.subn(rf"{setting} = \d+", f"{setting} = {value}", text)
            if count != 1:
                raise Failure(f"the configuration has {setting} {count} times, not once")
    return text


def processor_seconds(process: Process) -> float:
    """Return the processor time that a process has used, all threads, in user and kernel mode."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def largest_memory(process: Process) -> float:
    """Return the most bytes that a process has had in memory so far."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    if not found:
        raise Failure(f"no VmHWM of {process.name}")
    return 1024.0 * int(found[1])


def measure(
    telegraf: Path, prometheus: Path, directory: Path, emissions: Sequence[Emission], case: Case
) -> dict[str, float]:
    """Run both with replayed nodes for some scrapes, and return the cost, as in fleet.json.

    Times are in seconds, sizes in bytes, shares in parts of one core; floats have four significant digits.
    """
    listen, address = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    directory.mkdir(parents=True)
    with ExitStack() as stack:
        central = stack.enter_context(Telegraf(telegraf, configuration(listen, address, case), directory))
        central.wait_until(lambda: get(f"http://{address}/metrics") is not None, "Telegraf's page")
        scraper = Prometheus(prometheus, address, directory, scrape_interval=f"{case.scrape_interval}s")
        stack.enter_context(scraper)
        with Replay(emissions, listen, case.nodes, case.interval) as replay:
            whole = time.time() + replay.first_round
            scraper.wait_for(f"timestamp(scrape_duration_seconds) > {whole}")
            replay.new_delays()
            processes: Sequence[Process] = (central, scraper)
            before, began = [processor_seconds(each) for each in processes], time.monotonic()
            time.sleep(case.scrape_interval * SCRAPES)
            seconds = time.monotonic() - began
            used = [processor_seconds(each) - start for each, start in zip(processes, before, strict=True)]
            delays = replay.new_delays()
            scrapes = _scrapes(scraper, f"{case.scrape_interval * SCRAPES}s")
            memory = [largest_memory(each) for each in processes]
        scraper.stop()
        pages = _pages(central, address)
        dropped = re.findall(r"; (\d+) metrics have been dropped", central.stderr)
    own = {
        "lines_per_second": len(delays) * statistics.mean(size(each).lines for each in emissions) / seconds,
        "telegraf_share": used[0] / seconds,
        "telegraf_memory": memory[0],
        "dropped": sum(map(int, dropped)),
        "prometheus_share": used[1] / seconds,
        "prometheus_memory": memory[1],
        "delay": max(delays),
    }
    cost = asdict(case) | own | pages | scrapes
    return {name: value if isinstance(value, int) else float(f"{value:.4g}") for name, value in cost.items()}


def _scrapes(prometheus: Prometheus, window: str) -> dict[str, float]:
    """Return what Prometheus says of its scrapes in that time."""
    expressions = {
        "series": "scrape_samples_scraped",
        "scrape_median": f"quantile_over_time(0.5, scrape_duration_seconds[{window}])",
        "scrape_longest": f"max_over_time(scrape_duration_seconds[{window}])",
        "scrapes_failed": f"count_over_time(up[{window}]) - sum_over_time(up[{window}])",
    }
    values = {name: prometheus.wait_for(expression)[0][1] for name, expression in expressions.items()}
    return values | {name: int(values[name]) for name in ("series", "scrapes_failed")}


def _pages(telegraf: Process, address: str) -> dict[str, float]:
    """Return the processor time of one page as Prometheus asks for it, its size, and its size compressed.

    The sizes are 0 if Telegraf has cut it off.
    """
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept-Encoding": "gzip"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    before, body = processor_seconds(telegraf), gzip.compress(b"")
    for _ in range(PAGES):
        with suppress(OSError, http.client.HTTPException), direct.open(request) as response:
            body = response.read()
    if not (page := gzip.decompress(body)):
        body = b""
    processor = (processor_seconds(telegraf) - before) / PAGES
    return {"page_processor": processor, "page_bytes": len(page), "page_compressed": len(body)}
