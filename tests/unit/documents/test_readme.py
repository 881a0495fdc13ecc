"""README.md: what it says of options, commands, modules and files is what the code says."""

import random
import re
from pathlib import Path
from typing import get_args

import pytest

import telegraf_bitcoin_ipc
from telegraf_bitcoin_ipc.cli import main
from telegraf_bitcoin_ipc.config import ENVIRONMENT_PREFIX, Config
from telegraf_bitcoin_ipc.ipc.calls import CALL_LIMIT
from telegraf_bitcoin_ipc.parity.compare import Status
from telegraf_bitcoin_ipc.reference import group_table, method_list, migration_tables, option_table
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.script import actions

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def section(heading: str) -> str:
    """Return the text under a heading of the second level."""
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    return str(text)


def first_cells(text: str) -> list[str]:
    """Return the code in the first cell of each table row."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Return a command's --help, in lines that are not wrapped."""
    monkeypatch.setenv("COLUMNS", "10000")
    with pytest.raises(SystemExit, match=r"^0$"):
        main([*arguments, "--help"])
    return capsys.readouterr().out


MADE = {"groups": group_table(), "methods": method_list(), "options": option_table(), **migration_tables()}
"""What stands between markers, and what it is made from."""


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    """Every option, group and method is there as in this version; if not, `make reference`."""
    (part,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", README, re.DOTALL)
    assert part == MADE[name]


def test_nothing_else_claims_to_be_made_from_the_code() -> None:
    """No part between markers escapes the comparison."""
    assert set(re.findall(r"<!-- /?(\w+) -->", README)) == {*MADE, "benchmark"}  # test_bench.py compares that


def test_time_limit_of_a_call() -> None:
    """Who reads how long a JSON-RPC call may take reads the limit that holds."""
    assert f"each with a time limit of {CALL_LIMIT:g} s" in section("Metrics")


def test_environment_variables_have_the_right_prefix() -> None:
    """Every environment variable that is named as the plugin's is one that it reads."""
    named = set(re.findall(rf"\b{ENVIRONMENT_PREFIX}([A-Z_]+)", README))
    assert named
    assert named <= {field.upper() for field in Config.model_fields}


def test_every_command_is_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of the README learns of each command."""
    (commands,) = re.findall(r"\{([a-z,]+)\} --help", printed(capsys, monkeypatch))
    for command in commands.split(","):
        assert f"`telegraf-bitcoin-ipc {command}" in section("Options"), command


def test_simulated_node_is_described(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option of `simulate`, and each action of a script, has its row in a table."""
    text = section("The simulated node")
    options = set(re.findall(r"^  (--[a-z-]+)", printed(capsys, monkeypatch, "simulate"), re.MULTILINE))
    assert {cell.split()[0] for cell in first_cells(text) if cell.startswith("--")} == options
    known = actions(Model(rng=random.Random(1), now=0), lambda: 0)
    assert [cell for cell in first_cells(text) if not cell.startswith("--")] == list(known)


def test_every_status_of_parity_is_explained() -> None:
    """Who reads the table that `parity` prints finds each of its words in the README."""
    rows = re.findall(r"^\| ([a-z ]+) \| ", section("Moving from another exporter"), re.MULTILINE)
    assert set(rows) - {"status", "there"} == set(get_args(Status))


def test_every_module_has_its_one_responsibility() -> None:
    """The architecture's tables are the package as it is: a row for each module, none for what is gone."""
    (root,) = map(Path, telegraf_bitcoin_ipc.__path__)
    modules = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if path.name != "__init__.py"}
    assert {cell for cell in first_cells(section("Architecture")) if cell.endswith(".py")} == modules


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)\s]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    """Each relative link points to a file of the repository, each anchor to a heading."""
    if re.match(r"https?://", target):
        return
    path, _, anchor = target.partition("#")
    file = ROOT / (path or "README.md")
    assert file.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
