"""Carries out the steps of a plan, and records them for `setup --undo`."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from telegraf_bitcoin_ipc.setup import plan
from telegraf_bitcoin_ipc.setup.machine import Root

Run = Callable[[Sequence[str]], None]
"""Runs a command; raises StepFailed."""


class StepFailed(Exception):
    """A step could not be done; the message says why."""


def run(command: Sequence[str]) -> None:
    """Run a command of the system. Raises StepFailed with what it wrote."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as error:
        raise StepFailed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip()
        raise StepFailed(f"{' '.join(command)}: {said or f'exit status {done.returncode}'}")


def carry_out(step: plan.Step, root: Root, execute: Run) -> None:
    """Do one step, and record it. Raises StepFailed.

    Enabling is recorded first: if the unit is enabled but does not start, there is something to undo.
    """
    first = step.record[:1] == ("enable",)
    try:
        if first:
            _remember(root, step.record)
        _do(step, root, execute)
        if step.record and not first:
            _remember(root, step.record)
    except OSError as error:
        raise StepFailed(f"{error.filename}: {error.strerror}") from error


def _do(step: plan.Step, root: Root, execute: Run) -> None:
    match step:
        case plan.Write(path, text):
            root.path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            with root.path(path).open("x") as file:  # never over one that has come meanwhile
                os.fchmod(file.fileno(), 0o644)
                file.write(text)
        case plan.Remove(path, changed):
            _remove(root.path(path), changed)
        case plan.Order(_, commands):
            for command in commands:
                execute(command)


def _remove(path: Path, changed: bool) -> None:
    if changed:
        path.rename(path.with_name(f"{path.name}.saved"))
    else:
        path.unlink()
    if path.parent.name.endswith((".service.d", ".socket.d")) and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _remember(root: Root, done: Sequence[str]) -> None:
    path = root.path(plan.RECORD)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    before = json.loads(root.read(plan.RECORD) or "[]")
    path.write_text(json.dumps([*before, done]) + "\n")


def forget(root: Root) -> None:
    """Forget what was done, after it was undone."""
    path = root.path(plan.RECORD)
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()
