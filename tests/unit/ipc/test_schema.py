"""The schema: ids, ordinals, types and sizes are those of the nodes that it is to speak with."""

import json
from collections.abc import Iterator
from copy import deepcopy
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


FIXTURES: dict[str, Facts] = {
    name: json.loads((CONTRACT / f"{name}.json").read_text())
    for name in ("tracing", "stock-chain", "stock-v32", "stock-v30")
}
"""The facts about each generation, by schema file."""

NODES = {
    "tracing": ("tracing", None, None),
    "chain": ("tracing", "tracing.capnp", "@7 makeTracing"),
    "stock-chain": ("stock-chain", None, None),
    "stock": ("stock-v32", None, None),
    "stock-31": ("stock-v32", "rpc.capnp", "@4 makeRpc"),
    "stock-30": ("stock-v30", None, None),
}
"""Which generation speaks a dialect, and what its nodes lack of it: a file and the method of Init."""


def expected(dialect: str) -> Facts:
    """Return the facts about the nodes of a dialect."""
    generation, file, method = NODES[dialect]
    found = deepcopy(FIXTURES[generation])
    if file:
        del found[file]
        del found["init.capnp"]["interfaces"]["Init"]["methods"][method]
    return found


def files(dialect: str) -> dict[str, Any]:
    """Return the files that make a dialect's schema, by their path."""
    root = schema.directory()
    modules = vars(schema.load(dialect)).values()
    return {Path(module.__file__).relative_to(root).as_posix(): module for module in modules}


def declared(dialect: str) -> Facts:
    """Return what the project's schema says, in the fixtures' form."""
    modules = files(dialect)
    names = {nested.id: nested.name for file in modules.values() for nested in file.schema.node.nestedNodes}
    return {
        "init.capnp" if path.startswith("init/") else path: _file(file, names) for path, file in modules.items()
    }


def _file(file: Any, names: dict[int, str]) -> Facts:
    types = {nested.name: getattr(file, nested.name).schema for nested in file.schema.node.nestedNodes}
    kinds = {name: type_.node.which() for name, type_ in types.items()}
    assert set(kinds.values()) <= {"interface", "struct"}
    return {
        "file_id": hex(file.schema.node.id),
        "interfaces": {n: _interface(t, names) for n, t in types.items() if kinds[n] == "interface"},
        "structs": {n: _struct(t.node, names) for n, t in types.items() if kinds[n] == "struct"},
    }


def _interface(interface: Any, names: dict[int, str]) -> Facts:
    assert not interface.node.interface.superclasses
    return {
        "id": hex(interface.node.id),
        "methods": {
            f"@{ordinal} {method.name}": {
                "params": _fields(interface.methods[method.name].param_type.node, names),
                "results": _fields(interface.methods[method.name].result_type.node, names),
            }
            for ordinal, method in enumerate(interface.node.interface.methods)
        },
    }


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


def everything(facts: Facts) -> Iterator[tuple[str, Any]]:
    """Yield every fact with the path to it: file ids, interface ids, methods and structs."""
    for path, file in facts.items():
        yield f"{path}", file["file_id"]
        for name, interface in file["interfaces"].items():
            yield f"{path} {name}", interface["id"]
            for method, signature in interface["methods"].items():
                yield f"{path} {name} {method}", signature
        for name, struct in file["structs"].items():
            yield f"{path} {name}", struct


DEFINED = SIMPLE_TYPES.union(
    GENERIC,
    *(file["interfaces"] for facts in FIXTURES.values() for file in facts.values()),
    *(file["structs"] for facts in FIXTURES.values() for file in facts.values()),
)


def only_keeps_its_place(ours: Any, theirs: Any) -> bool:
    """Say whether a method has no signature here because the node's has types that nobody defines."""
    if ours != {"params": [], "results": []}:
        return False
    types = [text.partition(": ")[2].partition(" = ")[0] for text in theirs["params"] + theirs["results"]]
    return any(type_.removeprefix("List(").removesuffix(")") not in DEFINED for type_ in types)


@pytest.mark.parametrize("dialect", schema.INTERFACES)
def test_node_is_understood(dialect: str) -> None:
    """Everything that a node of the dialect offers stands in the schema as the node means it."""
    ours, theirs = dict(everything(declared(dialect))), dict(everything(expected(dialect)))
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
    assert ours.keys() == theirs.keys()
    assert ours["init.capnp"]["interfaces"]["Init"]["methods"].keys() == (
        theirs["init.capnp"]["interfaces"]["Init"]["methods"].keys()
    )
    known = [dict(everything(facts)) for facts in FIXTURES.values()]
    for path, fact in everything(ours):
        if path in dict(everything(theirs)):
            continue
        name = path.split()[-1]
        assert fact == GENERIC.get(name) or any(
            path in facts and (fact == facts[path] or only_keeps_its_place(fact, facts[path])) for facts in known
        ), path


def test_every_dialect_is_compared() -> None:
    """No dialect, and no schema file, escapes the comparison."""
    assert set(schema.INTERFACES) == NODES.keys()
    root = schema.directory()
    there = {path.relative_to(root).as_posix() for path in root.rglob("*.capnp")}
    assert there == {path for dialect in schema.INTERFACES for path in files(dialect)}
