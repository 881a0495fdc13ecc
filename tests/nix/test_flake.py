"""The Nix files: each parses, and the flake has the outputs that it should, with stand-ins for its inputs."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from support.nix import ROOT, Nix
from support.packages import environment

from telegraf_bitcoin_ipc import __version__

pytestmark = pytest.mark.nix

SYSTEMS = ("x86_64-linux", "aarch64-linux")

SELECTION = "tests/nix/sandbox.txt"
"""pytest's arguments for the tests that a build sandbox can run, one to a line."""


def test_every_file_parses(nix: Nix, tmp_path: Path) -> None:
    """Nix reads each file of the repository that is written for it, and docs/nixos.md's example."""
    (text,) = re.findall(r"```nix\n(.*?)```", (ROOT / "docs" / "nixos.md").read_text(), re.DOTALL)
    example = tmp_path / "flake.nix"
    example.write_text(text)
    for file in (*ROOT.glob("*.nix"), *(ROOT / "tests" / "nix").rglob("*.nix"), example):
        done = nix.parse(file)
        assert done.returncode == 0, done.stderr


def test_outputs_are_what_nix_expects(nix: Nix) -> None:
    """`nix flake check` has nothing to say against the form of any output, on the system that it runs on."""
    done = nix.flake("flake", "check", "--no-build", "FLAKE")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_packages(nix: Nix, system: str) -> None:
    """What is built is this program, from nixpkgs' own libraries; the node is the other flake's, as it is."""
    package = nix.output(
        f"packages.{system}.default",
        "p: { inherit (p) version; inherit (p.meta) mainProgram; names = map (d: d.name) p.dependencies; }",
    )
    names = ["prometheus-client", "pycapnp", "pydantic", "python-bitcoinlib", "rich"]
    assert package == {
        "version": __version__,
        "mainProgram": "telegraf-bitcoin-ipc",
        "names": ["influx-line-protocol-0.1.5", *names],
    }
    node = nix.output(f"packages.{system}.bitcoin-node", "p: { inherit (p) name system; }")
    assert node == {"name": "bitcoin-node", "system": system}


def test_overlay_has_the_other_flakes_packages_too(nix: Nix) -> None:
    """A configuration that took its node from the exporter's overlay finds it in this one, under all its names."""
    system = "aarch64-linux"  # not `system`, which nixpkgs warns about
    names = nix.output(
        "overlays.default",
        "overlay: builtins.mapAttrs (_: p: [ p.name p.system ]) (overlay"
        f' {{ stdenv.hostPlatform.system = "{system}"; callPackage = _: _: derivation'
        f' {{ name = "plugin"; system = "{system}"; builder = "/bin/sh"; }}; }} {{ }})',
    )
    node = ["bitcoin-node", system]
    assert names == {
        "bitcoin-cli": node, "bitcoin-node": node, "bitcoind": node, "telegraf-bitcoin-ipc": ["plugin", system],
    }  # fmt: skip


def test_module_is_this_one(nix: Nix) -> None:
    """The flake's module is the one that the other tests evaluate."""
    (module,) = nix.output("nixosModules.default.imports", "map baseNameOf")
    assert module == "module.nix"


@pytest.mark.parametrize("system", SYSTEMS)
def test_checks_and_development_shell(nix: Nix, system: str) -> None:
    """`nix flake check` builds, tests, runs the machine and looks at the format; the shell has the tools."""
    assert nix.output(f"checks.{system}", "builtins.attrNames") == ["formatting", "module", "package", "tests"]
    machine = nix.output(f"checks.{system}.module", "test: test.nodes.machine.services.bitcoind-ipc-exporter")
    assert machine["socketPath"] == "/run/bitcoind/node.sock"
    shell = nix.output(
        f"devShells.{system}.default",
        """shell: {
          names = builtins.concatMap (p: map (d: d.name) p.dependencies) shell.inputsFrom;
          variables = builtins.attrNames shell;
        }""",
    )
    assert "rich" in shell["names"]
    assert {"TELEGRAF_BINARY", "PROMETHEUS_BINARY", "PROMTOOL_BINARY", "TMUX_BINARY"} <= set(shell["variables"])


class Check(NamedTuple):
    """What the check `tests` is made of."""

    script: str
    variables: set[str]
    """Those that name a program."""
    python: Path
    """In an environment with the packages of the check's own."""

    def collect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Have pytest import tests as the check does, in the checkout, and name their fixtures; it runs none."""
        command = [str(self.python), "-P", "-m", "pytest", "-p", "no:cacheprovider", "-p", "support.needed", "-qq"]
        return subprocess.run(
            [*command, "--assert=plain", "--collect-only", *arguments],
            cwd=ROOT,
            env={"HOME": str(self.python.parent), "PYTHONPATH": str(ROOT / "tests")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture
def check(nix: Nix, tmp_path: Path) -> Check:
    """Evaluate the check, and make an environment with its packages."""
    made = nix.output(
        f"checks.{SYSTEMS[0]}.tests",
        """check: {
          packages = map (p: (builtins.parseDrvName p.name).name)
            (builtins.concatMap (p: [ p ] ++ p.dependencies or [ ])
              (builtins.concatMap (python: python.chosen or [ ]) check.nativeBuildInputs));
          variables = builtins.filter (name: builtins.match ".*_BINARY" name != null) (builtins.attrNames check);
          inherit (check) script;
        }""",
    )
    python = environment(tmp_path / "environment", made["packages"])
    return Check(made["script"], set(made["variables"]), python)


def test_check_runs_tests_that_need_only_what_it_has(check: Check) -> None:
    """With the packages of the check alone pytest imports each test that it runs, and it has their programs."""
    assert f"pytest -p no:cacheprovider @{SELECTION}" in check.script
    done = check.collect(f"@{SELECTION}")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    (names,) = re.findall("^fixtures: (.*)", done.stdout, re.MULTILINE)
    fixtures = set(re.findall(r"\w+_binary", names))
    assert {"telegraf_binary", "tmux_binary"} <= fixtures
    assert {fixture.upper() for fixture in fixtures} <= check.variables


def test_check_leaves_out_only_what_cannot_be_imported(check: Check) -> None:
    """A test that the selection ignores needs a package that the check does not have."""
    ignored = re.findall(r"^--ignore=(.+)$", (ROOT / SELECTION).read_text(), re.MULTILINE)
    assert ignored
    for path in ignored:
        assert "ModuleNotFoundError" in check.collect(path).stdout, path
