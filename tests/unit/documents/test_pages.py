"""The documents: what they name exists, their generated parts are current, and their links lead somewhere."""

import io
import random
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from reference import PARTS, files

from telegraf_bitcoin_ipc import cli
from telegraf_bitcoin_ipc.collect.metrics import METRICS
from telegraf_bitcoin_ipc.config import ENVIRONMENT_PREFIX, Config
from telegraf_bitcoin_ipc.ipc.calls import CALL_LIMIT
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

FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def prose(page: str) -> str:
    """Return a page without its fenced blocks and its generated parts."""
    return FENCE.sub("", re.sub(r"<!-- (\S+) -->.*?<!-- /\1 -->", "", PAGES[page], flags=re.DOTALL))


def code(page: str) -> list[str]:
    """Return what a page sets in code: spans, and the lines of its fenced blocks."""
    lines = [line for block in FENCE.findall(PAGES[page]) for line in block.splitlines()]
    return [*re.findall(r"`([^`\n]+)`", FENCE.sub("", PAGES[page])), *lines]


def first_cells(text: str) -> list[str]:
    """Return the code in the first cell of each table row."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


@cache
def printed(*arguments: str) -> str:
    """Return what --help prints."""
    with redirect_stdout(io.StringIO()) as shown, suppress(SystemExit):
        cli.main([*arguments, "--help"])
    return shown.getvalue()


@cache
def options(command: str = "") -> set[str]:
    """Return the options of a command."""
    return set(OPTION.findall(printed(*filter(None, [command]))))


@cache
def commands() -> list[str]:
    """Return all commands."""
    (found,) = {names for names in re.findall(r"\{([a-z,]+)\}", printed()) if "check" in names}
    return str(found).split(",")


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


def test_readme_is_short() -> None:
    """A stranger reads the README to its end; everything else is in docs/."""
    assert len(PAGES["README.md"].splitlines()) <= README_LINES


def test_a_page_begins_with_its_question() -> None:
    """Each page answers one question, which is its heading."""
    for page in QUESTIONS:
        assert re.match(r"# .+\?\n", PAGES[page]), page


def test_the_readme_leads_to_every_page() -> None:
    """No page is hidden from somebody who begins with the README."""
    for page in QUESTIONS:
        assert re.search(rf"\]\({re.escape(page)}[)#]", PAGES["README.md"]), page


def test_links_lead_somewhere() -> None:
    """Each relative link or image points to a file of the repository, each anchor to a heading."""
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


def test_files_exist() -> None:
    """Each file of the repository that a page names is there."""
    for page in PAGES:
        named = {
            text for text in code(page) if re.fullmatch(r"(telegraf_bitcoin_ipc|tests|scripts)/[\w./-]+", text)
        }
        assert [path for path in named if not (ROOT / path).exists()] == [], page


def test_every_command_is_documented() -> None:
    """A reader of the README learns of each command."""
    listed = re.findall(rf"^\| `{PROGRAM} ([a-z]+)", PAGES["README.md"], re.MULTILINE)
    assert sorted(listed) == sorted(commands())


def test_command_lines_can_be_typed() -> None:
    """Each command line of the documents names a command and options that exist."""
    for page, line in command_lines():
        word = line.split()[0]
        command = word if re.fullmatch("[a-z]+", word) else ""
        assert not command or command in commands(), page
        assert set(OPTION.findall(line)) <= options(command), page


def test_every_option_exists() -> None:
    """An option that a page names is one of this program's, or of a program that it tells to use."""
    known = options().union(*map(options, commands()), *TOOLS.values())
    for page in PAGES:
        assert {found for text in code(page) for found in OPTION.findall(text)} <= known, page


def test_environment_variables_exist() -> None:
    """Every environment variable that is named as the plugin's is one that it reads."""
    for page in PAGES:
        named = set(re.findall(rf"\b{ENVIRONMENT_PREFIX}([A-Z_]+)", PAGES[page]))
        assert named <= {field.upper() for field in Config.model_fields}, page


def test_make_targets_exist() -> None:
    """Each `make` command of the documents can be run."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = {found for text in code(page) for found in re.findall(r"^make ([a-z-]+)", text)}
        assert named <= targets, page


def test_metrics_exist() -> None:
    """Each metric that a page names is in the catalogue; those of other exporters are on two pages only."""
    for page in PAGES.keys() - {"docs/migration.md", "grafana/README.md"}:
        text = " ".join(re.findall(r"`([^`\n]+)`", prose(page)) + FENCE.findall(PAGES[page]))
        named = re.findall(r"\bbitcoin_([a-z][a-z_]*[a-z])\b", re.sub(r"telegraf_bitcoin_ipc", "", text))
        assert {name for name in named if not any(metric.startswith(name) for metric in METRICS)} == set(), page


def test_exit_statuses_are_documented() -> None:
    """Who writes a script finds every exit status."""
    statuses = re.findall(r"^\| (\d+) \| ", PAGES["docs/configuration.md"], re.MULTILINE)
    defined = {value for name, value in vars(cli.commands).items() if name.startswith("EXIT_")}
    assert {int(status) for status in statuses} == defined | {134}  # the simulated node's


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


def test_time_limit_of_a_call() -> None:
    """Who reads how long a JSON-RPC call may take reads the limit that is in force."""
    assert f"each with a time limit of {CALL_LIMIT:g} s" in PAGES["METRICS.md"]


def test_the_simulated_node_is_documented() -> None:
    """Each option of `simulate`, and each action of a script, has its row in a table."""
    cells = first_cells(PAGES["docs/simulator.md"])
    assert {cell.split()[0] for cell in cells if cell.startswith("--")} == options("simulate") - {"--help"}
    known = actions(Model(rng=random.Random(1), now=0), lambda: 0)
    assert [cell for cell in cells if not cell.startswith("--")] == list(known)


def test_every_status_of_parity_is_documented() -> None:
    """Who reads the table that `parity` prints finds each of its words explained."""
    rows = re.findall(r"^\| ([a-z ]+) \| ", prose("docs/migration.md"), re.MULTILINE)
    assert set(rows) - {"status"} == set(get_args(Status))
