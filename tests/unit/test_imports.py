"""The architecture: imports point one way, towards the pure middle, and libraries stay at the edges."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import telegraf_bitcoin_ipc

ROOT = Path(__file__).parents[2]
PACKAGE = "telegraf_bitcoin_ipc"

ALLOWED = {
    "": set(),  # the package itself: its version
    "aio": set(),
    "errors": set(),
    "reconnect": {"errors"},
    "collect": {"collect", "errors"},
    "telegraf": {"collect"},
    "telegraf.execd": set(),
    "telegraf.sample_config": {"collect.metrics", "config", "errors"},
    "telegraf.routes": {"errors", "telegraf.sample_config"},
    "telegraf.fleet_config": {"telegraf.routes", "telegraf.sample_config"},
    "config": {"collect.metrics", "collect.tags", "errors"},
    "guard": {"guard"},  # runs with nothing but the standard library, and without the rest of the package
    "ipc": {
        "aio", "collect.dialect", "collect.metrics", "collect.tags", "collect.values", "errors", "guard", "ipc",
    },
    "simnode": {"collect.tags", "errors", "ipc.schema", "ipc.working_directory", "simnode"},
    "parity": {"collect.dialect", "collect.metrics", "collect.tags", "errors", "ipc.dialects", "parity"},
    "check": {"collect.dialect", "collect.metrics", "config", "errors", "ipc"},
    "collector": {"", "aio", "collect", "config", "errors", "ipc", "reconnect"},
    "plugin": {"aio", "collect.store", "collector", "config", "ipc.connection", "telegraf"},
    "top": {
        "aio", "collect.dialect", "collect.events", "collect.metrics", "collect.store", "collect.tags",
        "collect.values", "collector", "config", "errors", "ipc.connection", "ipc.dialects",
        "telegraf.execd", "top",
    },
    "setup": {"errors", "setup", "telegraf.sample_config"},
    "cli": {
        "", "check", "cli", "config", "errors", "ipc.catalogue", "ipc.guard_command", "ipc.working_directory",
        "parity", "plugin", "setup.command", "simnode.command", "telegraf", "top",
    },
    "__main__": {"cli"},
}  # fmt: skip
"""What each module may import of the package; a package's row is for all its modules that have none."""

LIBRARIES = {
    "capnp": {"ipc", "simnode"},
    "influx_line_protocol": {"telegraf.lines"},
    "bitcoin": {"collect.decode", "simnode"},
    "pydantic": {"config"},
    "prometheus_client": {"parity.exposition"},
    "rich": {"top"},  # an extra: everything else works without it
}
"""Where each dependency is used: what it needs, raises and gets wrong is known there and nowhere else."""

PURE = {
    "collect", "errors", "guard.allowed", "guard.calls", "guard.contract", "guard.gate", "guard.hello",
    "guard.json_rpc", "guard.layout", "guard.ledger", "guard.readiness", "guard.relay",
    "guard.subscriptions", "guard.wire", "ipc.catalogue", "ipc.dialects", "ipc.jsonrpc",
    "ipc.rpc_values", "parity.compare", "parity.looks", "parity.mapping", "parity.row", "parity.table",
    "setup.nodes", "setup.plan", "telegraf.fleet_config", "telegraf.lines", "telegraf.routes",
    "telegraf.sample_config", "top.history", "top.model",
}  # fmt: skip
"""No event loop, no clock, no input or output of their own: tested in milliseconds."""

IMPURE = {
    "asyncio", "concurrent", "ctypes", "fcntl", "mmap", "multiprocessing", "os", "pathlib", "random", "select",
    "selectors", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time",
}  # fmt: skip


def within(module: str, names: set[str]) -> bool:
    """Say whether a module is one of those named, or in one of the packages named."""
    return any(module == name or (name and module.startswith(f"{name}.")) for name in names)


def imports(source: str, beside: str | None = None) -> Iterator[str]:
    """Yield the full names of all that is imported, at the top, in a function or for types only.

    Relative imports are allowed in a package that is `beside` the rest, because it is also run on its own.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or beside, "relative imports hide where they point"
            module = ".".join(filter(None, (beside if node.level else None, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def modules() -> dict[str, set[str]]:
    """Return all that each module of the package imports, by its name within the package."""
    (root,) = map(Path, telegraf_bitcoin_ipc.__path__)
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = set(imports(path.read_text(), f"{PACKAGE}.guard" if parts[0] == "guard" else None))
    return found


def own(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    names = {name.removeprefix(PACKAGE).removeprefix(".") for name in modules()[module] if within(name, {PACKAGE})}
    return {name if name in modules() else name.rpartition(".")[0] for name in names}


def foreign(module: str) -> set[str]:
    """Return the top-level packages that a module imports from elsewhere."""
    return {name.partition(".")[0] for name in modules()[module]} - {PACKAGE}


def test_imports_point_one_way() -> None:
    """A module knows only what its row says, so that any of it can be changed without the rest.

    So nothing imports the command line, and the simulated node is reached through it alone.
    """
    for module in modules():
        row = ALLOWED[module if module in ALLOWED else module.partition(".")[0]]
        assert [name for name in own(module) if not within(name, row)] == [], module


def test_libraries_stay_at_the_edges() -> None:
    """A dependency can be replaced in one place, and none comes in unseen: the guard needs nothing but Python."""
    used = {(name, module) for module in modules() for name in foreign(module) - sys.stdlib_module_names}
    assert {name for name, _ in used} == LIBRARIES.keys()
    assert [(name, module) for name, module in used if not within(module, LIBRARIES[name])] == []


def test_middle_is_pure() -> None:
    """What the metrics mean can be tested without a loop, a socket, a clock or a file."""
    for module in modules():
        assert not within(module, PURE) or not foreign(module) & IMPURE, module


def test_sizes() -> None:
    """No module is longer than 350 lines, and no function than 40: both are read at a glance."""
    for path in (path for folder in (PACKAGE, "scripts", "bench") for path in (ROOT / folder).rglob("*.py")):
        source = path.read_text()
        assert source.count("\n") <= 350, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 40, f"{path}: {node.name}"


def test_no_cycles() -> None:
    """Every module can be read, and understood, after those it imports."""
    order = list(TopologicalSorter({module: own(module) for module in modules()}).static_order())
    assert order[-2:] == ["cli", "__main__"]


def test_table_is_up_to_date() -> None:
    """The table above is the architecture as it is: no row for what is not there, no leave that is not used."""
    assert {name for name in ALLOWED if not any(within(module, {name}) for module in modules())} == set()
    for name, allowed in ALLOWED.items():
        used = set().union(*(own(module) for module in modules() if within(module, {name})))
        assert {leave for leave in allowed if not any(within(module, {leave}) for module in used)} == set(), name
