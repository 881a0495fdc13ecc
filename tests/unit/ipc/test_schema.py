"""The schema: ids, ordinals, types and sizes are those of the nodes that it is to speak with."""

import json
from pathlib import Path
from typing import Any

import pytest

from telegraf_bitcoin_ipc.ipc import schema

CONTRACT = Path(__file__).parents[2] / "fixtures" / "contract"
"""What each generation of nodes was found to speak: see its README for the form."""

SIMPLE_TYPES = {
    "Bool", "Data", "Float64", "Int32", "Int64", "Text", "UInt8", "UInt16", "UInt32", "UInt64",
}  # fmt: skip

GENERIC = {"PairUInt64": {"data_words": 1, "pointers": 1, "fields": ["@0 key: Key", "@1 value: UInt64"]}}
"""The fixtures name it and cannot describe it: its key is whatever its user says, behind a pointer."""

Facts = dict[str, Any]
"""Each fact by its path: ids of files and interfaces, signatures of methods, and structs."""


def fixture(name: str) -> Facts:
    """Return the facts about a generation of nodes."""
    facts = Facts()
    for path, file in json.loads((CONTRACT / f"{name}.json").read_text()).items():
        facts[path] = file["file_id"]
        facts |= {f"{path} {struct}": fact for struct, fact in file["structs"].items()}
        for interface, fact in file["interfaces"].items():
            facts[f"{path} {interface}"] = fact["id"]
            facts |= {f"{path} {interface} {method}": signature for method, signature in fact["methods"].items()}
    return facts


FIXTURES = {name: fixture(name) for name in ("tracing", "stock-chain", "stock-v32", "stock-v30")}
DEFINED = SIMPLE_TYPES.union(
    GENERIC, (path.split()[1] for facts in FIXTURES.values() for path in facts if " " in path)
)

NODES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tracing": ("tracing", ()),
    "chain": ("tracing", ("tracing.capnp", "init.capnp Init @7 makeTracing")),
    "stock-chain": ("stock-chain", ()),
    "stock": ("stock-v32", ()),
    "stock-31": ("stock-v32", ("rpc.capnp", "init.capnp Init @4 makeRpc")),
    "stock-30": ("stock-v30", ()),
}
"""Which generation speaks a dialect, and what its nodes lack of it."""


def expected(dialect: str) -> Facts:
    """Return the facts about the nodes of a dialect."""
    generation, lacking = NODES[dialect]
    return {path: fact for path, fact in FIXTURES[generation].items() if not path.startswith(lacking)}


def files(dialect: str) -> dict[str, Any]:
    """Return the files that make a dialect's schema, by their path."""
    root = schema.directory()
    modules = vars(schema.load(dialect)).values()
    return {Path(module.__file__).relative_to(root).as_posix(): module for module in modules}


def declared(dialect: str) -> Facts:
    """Return what the project's schema says."""
    modules = files(dialect)
    names = {nested.id: nested.name for file in modules.values() for nested in file.schema.node.nestedNodes}
    facts = Facts()
    for path, file in modules.items():
        place = "init.capnp" if path.startswith("init/") else path
        facts[place] = hex(file.schema.node.id)
        for name in (nested.name for nested in file.schema.node.nestedNodes):
            type_ = getattr(file, name).schema
            if type_.node.which() == "struct":
                facts[f"{place} {name}"] = _struct(type_.node, names)
                continue
            assert not type_.node.interface.superclasses
            facts[f"{place} {name}"] = hex(type_.node.id)
            for ordinal, method in enumerate(type_.node.interface.methods):
                signature = type_.methods[method.name]
                facts[f"{place} {name} @{ordinal} {method.name}"] = {
                    "params": _fields(signature.param_type.node, names),
                    "results": _fields(signature.result_type.node, names),
                }
    return facts


def _struct(node: Any, names: dict[int, str]) -> Facts:
    assert node.struct.discriminantCount == 0
    fields = [f"@{ordinal} {field}" for ordinal, field in enumerate(_fields(node, names))]
    return {"data_words": node.struct.dataWordCount, "pointers": node.struct.pointerCount, "fields": fields}


def _fields(node: Any, names: dict[int, str]) -> list[str]:
    fields = sorted(node.struct.fields, key=lambda field: field.ordinal.explicit)
    assert [field.ordinal.explicit for field in fields] == list(range(len(fields)))
    return [f"{field.name}: {_type(field.slot.type, names)}{_default(field.slot)}" for field in fields]


def _type(type_: Any, names: dict[int, str]) -> str:
    kind: str = type_.which()
    match kind:
        case "list":
            return f"List({_type(type_.list.elementType, names)})"
        case "struct" | "interface":
            return names[getattr(type_, kind).typeId]
        case "anyPointer":
            return "Key"
    return {name.lower(): name for name in SIMPLE_TYPES}[kind]


def _default(slot: Any) -> str:
    return f" = {getattr(slot.defaultValue, slot.type.which())}" if slot.hadExplicitDefault else ""


def only_keeps_its_place(ours: Any, theirs: Any) -> bool:
    """Say whether a method has no signature here because the node's has types that nobody defines."""
    if ours != {"params": [], "results": []}:
        return False
    types = [text.partition(": ")[2].partition(" = ")[0] for text in theirs["params"] + theirs["results"]]
    return any(type_.removeprefix("List(").removesuffix(")") not in DEFINED for type_ in types)


@pytest.mark.parametrize("dialect", schema.INTERFACES)
def test_node_is_understood(dialect: str) -> None:
    """Everything that a node of the dialect offers stands in the schema as the node means it."""
    ours, theirs = declared(dialect), expected(dialect)
    assert theirs.keys() <= ours.keys()
    different = {
        path: (ours[path], fact)
        for path, fact in theirs.items()
        if ours[path] != fact and not only_keeps_its_place(ours[path], fact)
    }
    assert different == {}


@pytest.mark.parametrize("dialect", schema.INTERFACES)
def test_nothing_is_made_up(dialect: str) -> None:
    """What an older node does not have, and the schema has, is what some newer node has at that place."""
    ours, theirs = declared(dialect), expected(dialect)
    made_up = ours.keys() - theirs.keys()
    assert not [path for path in made_up if " " not in path or path.startswith("init.capnp Init ")]
    for path in made_up:
        fact = ours[path]
        assert fact == GENERIC.get(path.split()[-1]) or any(
            path in facts and (fact == facts[path] or only_keeps_its_place(fact, facts[path]))
            for facts in FIXTURES.values()
        ), path


def test_every_dialect_is_compared() -> None:
    """No dialect, and no schema file, escapes the comparison."""
    assert set(schema.INTERFACES) == NODES.keys()
    root = schema.directory()
    there = {path.relative_to(root).as_posix() for path in root.rglob("*.capnp")}
    assert there == {path for dialect in schema.INTERFACES for path in files(dialect)}
