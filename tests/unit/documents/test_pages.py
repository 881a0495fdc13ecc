"""The documents: what they name exists, their generated parts are current, and their links lead somewhere."""

import io
import random
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from reference import PARTS, all_metrics, cost_table, delay_table, files, method_list, with_part

from telegraf_bitcoin_ipc import cli
from telegraf_bitcoin_ipc.cli.commands import COMMANDS
from telegraf_bitcoin_ipc.collect.metrics import CATALOGUE, METRICS
from telegraf_bitcoin_ipc.config import ENVIRONMENT_PREFIX, Config
from telegraf_bitcoin_ipc.ipc.calls import CALL_LIMIT
from telegraf_bitcoin_ipc.ipc.dialects import STOCK_30, STOCK_31
from telegraf_bitcoin_ipc.parity.compare import Status
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.script import actions

ROOT = Path(__file__).parents[3]

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for directory in ("", "docs", "bench", "grafana")
    for path in sorted((ROOT / directory).glob("*.md"))
}

README_LINES = 170

QUESTIONS = [page for page in PAGES if page.startswith("docs/")] + ["METRICS.md", "bench/README.md"]
"""The pages that answer one question each."""

PROGRAM = "telegraf-bitcoin-ipc"

TOOLS = {
    "bench": {"--short"},
    "mmdebstrap": {"--include"},
    "sha256sum": {"--check"},
    "twine": {"--strict"},
    "make": {"--once", "--seconds"},  # of the scripts that it runs, by ARGS
    "pip": {"--group"},
    "pipx": {"--force"},
    "py-spy": {"--nonblocking"},
    "pytest": {"--golden", "--hypothesis-profile"},
    "systemctl": {"--now"},
    "telegraf": {"--config"},
    "uv": {"--python", "--reinstall"},
}
"""Options of other programs that the documents name."""

COSTS = {
    "core": (
        "10 per poll (`Chain.getHeight`, `Chain.isInitialBlockDownload`, `Node.getHeaderTip`, "
        "`Node.getVerificationProgress`, `Node.getMempoolSize`, `Node.getMempoolDynamicUsage`, "
        "`Node.getMempoolMaxUsage`, `Node.getNodeCount`, `Node.getTotalBytesRecv`, `Node.getTotalBytesSent`)",
        "5 per poll (`getblockchaininfo`, `Mining.isInitialBlockDownload`, `getmempoolinfo`, `getnetworkinfo`, "
        "`getnettotals`); 1 per new block (`getblockheader`)",
    ),
    "mempool": ("1 per poll (`getmempoolinfo`)", "no additional calls"),
    "chain": (
        "4 per poll (`getblockchaininfo`, `uptime`, `getnetworkhashps`, `getindexinfo`); "
        "1 per new block (`getchaintips`)",
        "3 per poll (`uptime`, `getnetworkhashps`, `getindexinfo`); 1 per new block (`getchaintips`)",
    ),
    "network": ("1 per poll (`getnetworkinfo`)", "no additional calls"),
    "peers": ("2 per poll (`getpeerinfo`, `listbanned`)",) * 2,
    "fees": ("3 per poll (`estimatesmartfee`)",) * 2,
    "blocks": ("1 per new block (`getblockstats`)",) * 2,
}
"""What each group costs a node with the Chain and Node interfaces, and a stock node: a promise to operators."""

FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def prose(page: str) -> str:
    """Return a page without its fenced blocks and its generated parts."""
    return FENCE.sub("", re.sub(r"<!-- (\S+) -->.*?<!-- /\1 -->", "", PAGES[page], flags=re.DOTALL))


def code(page: str) -> list[str]:
    """Return what a page sets in code: spans, and the lines of its fenced blocks."""
    lines = [line for block in FENCE.findall(PAGES[page]) for line in block.splitlines()]
    return [*re.findall(r"`([^`\n]+)`", FENCE.sub("", PAGES[page])), *lines]


@cache
def options(command: str = "") -> set[str]:
    """Return the options that --help shows."""
    with redirect_stdout(io.StringIO()) as shown, suppress(SystemExit):
        cli.main([*filter(None, [command]), "--help"])
    return set(OPTION.findall(shown.getvalue()))


def command_lines() -> Iterator[tuple[str, str]]:
    """Yield each command line of this program in the documents, with its page."""
    for page in PAGES:
        for text in code(page):
            for line in re.findall(rf"^(?:\$ )?{PROGRAM} ([^|>#&]+)", text):
                yield page, line.strip()


def test_generated_parts_are_current() -> None:
    """What is made from the code is there as in this version; if not, `make reference`."""
    for path, text in files().items():
        assert (ROOT / path).read_text() == text, path


def test_nothing_else_claims_to_be_generated() -> None:
    """No part between markers escapes the comparison (tests/unit/test_bench.py compares the benchmark)."""
    for page in PAGES:
        expected = {"benchmark"} if page == "bench/README.md" else set(PARTS.get(page, ()))
        assert set(re.findall(r"<!-- /?(\S+) -->", PAGES[page])) == expected, page


def test_the_way_in() -> None:
    """A stranger reads the README to its end; it leads to every page, whose heading is its question."""
    assert len(PAGES["README.md"].splitlines()) <= README_LINES
    for page in QUESTIONS:
        assert re.match(r"# .+\?\n", PAGES[page]), page
        assert re.search(rf"\]\({re.escape(page)}[)#]", PAGES["README.md"]), page


def test_links_lead_somewhere() -> None:
    """Each link, image and name of a file is of one in the repository, each anchor of a heading."""
    for page in PAGES:
        text = PAGES[page]
        for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
            path, _, anchor = "".join(target).partition("#")
            if path.startswith(("http://", "https://")):
                continue
            file = ROOT / page if not path else (ROOT / page).parent / path
            assert file.exists(), (page, target)
            if anchor:
                headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in anchors, (page, target)
        named = (re.fullmatch(r"(?:telegraf_bitcoin_ipc|tests|scripts)/[\w./-]+", text) for text in code(page))
        assert [path[0] for path in named if path and not (ROOT / path[0]).exists()] == [], page


def test_command_lines_can_be_typed() -> None:
    """The README has each command; each command line names a command and options that exist."""
    listed = re.findall(rf"^\| `{PROGRAM} ([a-z]+)", PAGES["README.md"], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    for page, line in command_lines():
        word = line.split()[0]
        command = word if re.fullmatch("[a-z]+", word) else ""
        assert not command or command in COMMANDS, page
        assert set(OPTION.findall(line)) <= options(command), page


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        # An option is one of this program's, or of a program that the pages tell to use.
        (OPTION.pattern, lambda: options().union(*map(options, COMMANDS), *TOOLS.values())),
        (rf"\b{ENVIRONMENT_PREFIX}([A-Z_]+)", lambda: {field.upper() for field in Config.model_fields}),
        (
            r"^make ([a-z-]+)",
            lambda: set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)),
        ),
    ],
    ids=["options", "environment", "make"],
)
def test_what_is_named_exists(pattern: str, known: Callable[[], set[str]]) -> None:
    """Each option, environment variable and target of `make` that a page names is there."""
    for page in PAGES:
        named = {found for text in [PAGES[page], *code(page)] for found in re.findall(pattern, text)}
        assert named <= known(), page


def test_metrics_exist() -> None:
    """Each metric that a page names is in the catalogue; those of other exporters are on two pages only."""
    for page in PAGES.keys() - {"docs/migration.md", "grafana/README.md"}:
        text = " ".join(re.findall(r"`([^`\n]+)`", prose(page)) + FENCE.findall(PAGES[page]))
        named = re.findall(r"\bbitcoin_([a-z][a-z_]*[a-z])\b", re.sub(r"telegraf_bitcoin_ipc", "", text))
        assert {name for name in named if not any(metric.startswith(name) for metric in METRICS)} == set(), page


def test_what_is_listed_is_complete() -> None:
    """Every exit status has its row, every word of `parity`, every option of `simulate` and action of its script.

    Who reads how long a JSON-RPC call may take reads the limit that is in force.
    """
    statuses = re.findall(r"^\| (\d+) \| ", PAGES["docs/configuration.md"], re.MULTILINE)
    defined = {value for name, value in vars(cli.commands).items() if name.startswith("EXIT_")}
    assert {int(status) for status in statuses} == defined | {134}  # the simulated node's
    words = re.findall(r"^\| ([a-z ]+) \| ", prose("docs/migration.md"), re.MULTILINE)
    assert set(words) - {"status"} == set(get_args(Status))
    cells = re.findall(r"^\| `([^`]+)`", PAGES["docs/simulator.md"], re.MULTILINE)
    assert {cell.split()[0] for cell in cells if cell.startswith("--")} == options("simulate") - {"--help"}
    known = actions(Model(rng=random.Random(1), now=0), lambda: 0)
    assert [cell for cell in cells if not cell.startswith("--")] == list(known)
    assert f"each with a time limit of {CALL_LIMIT:g} s" in PAGES["METRICS.md"]


def test_both_tables_of_dialects_agree() -> None:
    """What a dialect reports, and with which node it was tested, reads the same wherever it stands."""
    tables = {
        page: re.findall(r"^\| (`(?:tracing|chain|stock).*`) \| .* \| (.*) \| (.*) \|$", PAGES[page], re.MULTILINE)
        for page in ("README.md", "docs/compatibility.md")
    }
    assert len(tables["README.md"]) == 5
    assert tables["README.md"] == tables["docs/compatibility.md"]


@pytest.mark.parametrize("program", ["Telegraf", "Kafka", "VictoriaMetrics"])
def test_the_versions_tested_with_are_those_fetched(program: str) -> None:
    """The version of a program that a script fetches is the one that the table names."""
    script = (ROOT / "scripts" / f"get-{program.lower()}.sh").read_text()
    fetched = re.findall(r"^version=(\S+)$", script, re.MULTILINE)
    assert re.findall(rf"^\| {program} \| ([0-9.]+)", PAGES["docs/compatibility.md"], re.MULTILINE) == fetched


def test_every_metric_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`metrics` prints the tables that METRICS.md has: each metric with its type, and its help at the end."""
    assert cli.main(["metrics"]) == 0
    text = capsys.readouterr().out
    assert text == all_metrics()
    rows = re.findall(r"^\| `bitcoin_(\w+)` \| (\w+) \|.*\| (.*) \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted((metric.name, metric.type, metric.help) for metric in CATALOGUE)
    assert STOCK_31.origins == STOCK_30.origins, "what a column says of Bitcoin Core 31 holds for 30"


def test_what_each_group_costs() -> None:
    """A group costs the node the calls that its row names, and a call that another row names is made once."""
    _, *rows = re.findall(r"^\| (\w+) \| (.*) \| (.*) \|$", cost_table(), re.MULTILINE)
    assert {name: (full, stock) for name, full, stock in rows} == COSTS


def test_method_list() -> None:
    """The methods that an operator has to allow (-rpcwhitelist) are named, and no other."""
    assert method_list() == (
        "`estimatesmartfee`, `getblockchaininfo`, `getblockheader`, `getblockstats`, `getchaintips`, "
        "`getindexinfo`, `getmempoolinfo`, `getnettotals`, `getnetworkhashps`, `getnetworkinfo`, `getpeerinfo`, "
        "`listbanned`, `uptime`"
    )


@pytest.mark.parametrize("text", ["no markers", "<!-- a -->\n<!-- /a -->\n<!-- a -->\n<!-- /a -->"])
def test_a_page_without_its_markers_is_not_written(text: str) -> None:
    """A page that has lost its markers, or has them twice, is left alone."""
    with pytest.raises(ValueError, match="not once"):
        with_part(text, "a", "part")


def test_each_alert_has_its_delay() -> None:
    """Who reads how soon the alerts fire finds each, measured by every way to Prometheus, or said not to be."""
    alerts = set(re.findall(r"- alert: (\w+)", (ROOT / "prometheus" / "alerts.yml").read_text()))
    text, _, others = delay_table().partition("Not measured: ")
    measured = re.findall(r"^\| `(\w+)` \| [^|]+ \| \d+ s \| \d+ s \| \d+ s \|$", text, re.MULTILINE)
    not_measured = set(re.findall(r"`(\w+)`", others))
    assert not_measured | set(measured) == alerts
    assert not not_measured & set(measured)
