"""README.md: what it says of options, commands, modules and files is what the code says."""

import random
import re
from pathlib import Path

import pytest

import telegraf_bitcoin_ipc
from telegraf_bitcoin_ipc.cli import main
from telegraf_bitcoin_ipc.config import ENVIRONMENT_PREFIX, Config
from telegraf_bitcoin_ipc.reference import option_table
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.timeline import actions

ROOT = Path(__file__).parents[2]
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


def test_option_table_is_the_configuration() -> None:
    """Every option is there with its default and its help, as in this version; if not, `make reference`."""
    (table,) = re.findall(r"<!-- options -->\n(.*?)\n<!-- /options -->", README, re.DOTALL)
    assert table == option_table()


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
