"""The Nix files: each parses, and the flake has the outputs that it should, with stand-ins for its inputs."""

import re
from pathlib import Path

import pytest
from support.nix import ROOT, Nix

from telegraf_bitcoin_ipc import __version__

pytestmark = pytest.mark.nix

SYSTEMS = ("x86_64-linux", "aarch64-linux")

FILES = sorted([*ROOT.glob("*.nix"), *(ROOT / "tests" / "nix").rglob("*.nix")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_parses(nix: Nix, file: Path) -> None:
    """Nix reads each file of the repository that is written for it."""
    done = nix.parse(file)
    assert done.returncode == 0, done.stderr


def test_example_in_the_readme_parses(nix: Nix, tmp_path: Path) -> None:
    """What the README shows of Nix can be copied."""
    (text,) = re.findall(r"```nix\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "flake.nix"
    file.write_text(text)
    done = nix.parse(file)
    assert done.returncode == 0, done.stderr


def test_outputs_are_what_nix_expects(nix: Nix) -> None:
    """`nix flake check` has nothing to say against the form of any output, on the system that it runs on."""
    done = nix.flake("flake", "check", "--no-build", "FLAKE")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_package_is_this_version_with_its_dependencies(nix: Nix, system: str) -> None:
    """What is built is this program, from nixpkgs' own libraries."""
    package = nix.output(
        f"packages.{system}.default",
        "p: { inherit (p) version; inherit (p.meta) mainProgram; names = map (d: d.name) p.dependencies; }",
    )
    assert package == {
        "version": __version__,
        "mainProgram": "telegraf-bitcoin-ipc",
        "names": [
            "influx-line-protocol-0.1.5", "prometheus-client", "pycapnp", "pydantic", "python-bitcoinlib",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("system", SYSTEMS)
def test_node_is_the_other_flakes(nix: Nix, system: str) -> None:
    """The node is handed on as it is: no recipe of this flake makes another one of it."""
    node = nix.output(f"packages.{system}.bitcoin-node", "p: { inherit (p) name system; }")
    assert node == {"name": "bitcoin-node", "system": system}


def test_overlay_has_the_other_flakes_packages_too(nix: Nix) -> None:
    """A configuration that took its node from the exporter's overlay finds it in this one."""
    names = nix.output("overlays.default", "overlay: overlay { callPackage = _: _: { }; } { }")
    assert names == {"bitcoind": "the tracing node", "telegraf-bitcoin-ipc": {}}


def test_module_is_this_one(nix: Nix) -> None:
    """The flake's module is the one that the other tests evaluate."""
    (module,) = nix.output("nixosModules.default.imports", "map baseNameOf")
    assert module == "module.nix"


@pytest.mark.parametrize("system", SYSTEMS)
def test_checks(nix: Nix, system: str) -> None:
    """`nix flake check` builds the package, runs tests and the virtual machine, and looks at the format."""
    assert nix.output(f"checks.{system}", "builtins.attrNames") == ["formatting", "module", "package", "tests"]
    machine = nix.output(f"checks.{system}.module", "test: test.nodes.machine.services.bitcoind-ipc-exporter")
    assert machine["socketPath"] == "/run/bitcoind/node.sock"
