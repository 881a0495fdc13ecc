"""The real Nix for the tests: it evaluates, in a store of its own, without a network or an installation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EVALUATE = ROOT / "tests" / "nix" / "evaluate.nix"
STANDIN = ROOT / "tests" / "nix" / "standin"

FLAKE_FILES = (
    "flake.nix", "module.nix", "package.nix", "telegraf.conf.example", "pyproject.toml", "README.md", "LICENSE",
    "tests/nix/vm.nix", "schema/common.capnp", "telegraf_bitcoin_ipc/__init__.py",
)  # fmt: skip
"""What the flake's outputs are made from, as far as an evaluation goes; a checkout holds much else by then."""


class Nix:
    """`nix` and `nix-instantiate`, in a directory of theirs."""

    def __init__(self, nix: Path, instantiate: Path, directory: Path) -> None:
        self._nix = nix
        self._instantiate = instantiate
        self._directory = directory
        directory.mkdir()

    def parse(self, file: Path) -> subprocess.CompletedProcess[str]:
        """Read a file and evaluate nothing of it."""
        return self._run(self._instantiate, "--parse", str(file))

    def configure(self, configuration: str) -> subprocess.CompletedProcess[str]:
        """Evaluate module.nix for a NixOS configuration (a Nix expression, with `lib`); JSON on stdout."""
        options = ("--store", "dummy://", "--eval", "--strict", "--json")
        module = f"{{ lib, ... }}: {configuration}"
        return self._run(self._instantiate, *options, str(EVALUATE), "--arg", "configuration", module)

    def configured(self, configuration: str) -> Any:
        """Return what `configure` answers, read."""
        return json.loads(_succeeded(self.configure(configuration)))

    def flake(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `nix` on a copy of the flake, with stand-ins for its inputs; `FLAKE` is its place."""
        # Copies outside any repository, and relative paths: Nix 2.8 refuses an absolute one with a space in it.
        flake, inputs = self._directory / "flake", self._directory / "inputs"
        for name in FLAKE_FILES:
            target = flake / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
        shutil.copytree(STANDIN, inputs, dirs_exist_ok=True)
        overrides = [
            word for path in inputs.iterdir() for word in ("--override-input", path.name, f"./inputs/{path.name}")
        ]
        words = [word.replace("FLAKE", "./flake") for word in command]
        return self._run(self._nix, *words, "--no-write-lock-file", *overrides)

    def output(self, path: str, apply: str = "x: x") -> Any:
        """Return one of the flake's outputs, after a Nix function was applied to it."""
        return json.loads(_succeeded(self.flake("eval", "--json", f"FLAKE#{path}", "--apply", apply)))

    def _run(self, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        directory = self._directory
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory / "home"),
            **{
                f"NIX_{name}_DIR": str(directory / name.lower())
                for name in ("STORE", "STATE", "LOG", "LOCALSTATE", "CONF")
            },
            # Nobody's settings, nobody's builders, and nothing to ask for on a network.
            "NIX_CONFIG": "experimental-features = nix-command flakes\n"
            "build-users-group =\nsubstituters =\nflake-registry =",
        }
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=directory,
            check=False,
            timeout=300,
        )


def _succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout
