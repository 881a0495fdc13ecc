"""Scripts: the actions of the simulated node, one JSON object per line.

A line is `{"do": ACTION, ...}` with the action's parameters, `{"wait": SECONDS}`, or both.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.ipc import schema
from telegraf_bitcoin_ipc.simnode.events import Event, RemovalReason
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.node import DESTROY, SimulatedNode
from telegraf_bitcoin_ipc.simnode.rpc.errors import MISC_ERROR
from telegraf_bitcoin_ipc.simnode.rpc.methods import METHODS

FAILURE: Final = "a simulated failure"
"""The default message of a method that fails."""

Action = Callable[..., list[Event] | None]


def actions(model: Model, now: Callable[[], int]) -> Mapping[str, Action]:
    """Return the actions by name; each returns the events that it causes, if any."""
    return {**_of_chain(model, now), **_of_state(model), **_of_faults(model)}


def _of_chain(model: Model, now: Callable[[], int]) -> Mapping[str, Action]:
    def accept(count: int = 1) -> list[Event]:
        return [event for _ in range(count) for event in model.accept_transaction(now())]

    def remove(reason: str = "expiry") -> list[Event]:
        if reason.upper() not in RemovalReason.__members__:
            raise ValueError(f"there is no reason {reason!r}")
        return model.remove_transaction(RemovalReason[reason.upper()])

    return {
        "accept": accept,
        "replace": lambda: model.replace_transaction(now()),
        "remove": remove,
        "refuse": lambda: None,  # a node does not report it
        "block": lambda outputs=0, transactions=None: model.connect_block(now(), outputs, transactions),
        "disconnect": model.disconnect_tip,
        "reorg": lambda depth=1: model.reorg(now(), depth),
        "historical": model.connect_historical_block,
        "template": model.build_template,
        "flush": model.flush,
        "prune": model.prune,
    }


def _of_state(model: Model) -> Mapping[str, Action]:
    def load() -> None:
        model.loaded = True

    def ibd(on: bool) -> None:
        model.ibd = on

    def headers(height: int) -> None:
        model.header_height = height

    def warnings(texts: list[str]) -> None:
        model.warnings = [str(text) for text in texts]

    def indexes(heights: dict[str, int | None]) -> None:
        model.indexes = dict(heights)

    def mempool_loaded(on: bool) -> None:
        model.mempool_loaded = on

    def fee_estimates(rates: dict[str, float]) -> None:
        model.fee_estimates = {int(target): float(rate) for target, rate in rates.items()}

    made = (load, ibd, headers, warnings, indexes, mempool_loaded, fee_estimates)
    return {
        **{action.__name__: action for action in made},
        "peers": model.peers.change,
        "peer": model.peers.join,
        "leave": model.peers.leave,
        "traffic": model.peers.traffic,
        "ban": model.peers.ban,
    }


def _of_faults(model: Model) -> Mapping[str, Action]:
    def fail(method: str, code: int = MISC_ERROR, message: str = FAILURE) -> None:
        model.faults.fail(_known(method), code, message)

    def hang(method: str) -> None:
        model.faults.hang(method if method == DESTROY else _known(method))

    return {"fail": fail, "hang": hang, "heal": model.faults.heal}


def _known(method: str) -> str:
    """Return the name of a method that some dialect answers on a server thread; any other is a ValueError."""
    if method not in METHODS and method not in _methods_on_threads():
        raise ValueError(f"there is no method {method!r}")
    return method


def _methods_on_threads() -> set[str]:
    full, stock = schema.load("tracing"), schema.load("stock")
    modules = (full.init, full.chain, full.node, full.mining, full.tracing, full.handler, stock.rpc)
    names = ("Init", "Chain", "Node", "Mining", "Tracing", "Handler", "Rpc")
    return {
        f"{name}.{method}"
        for module, name in zip(modules, names, strict=True)
        for method, call in getattr(module, name).schema.methods.items()
        if "context" in call.param_type.fieldnames
    }


async def follow(script: AsyncIterator[str], node: SimulatedNode, now: Callable[[], int]) -> None:
    """Run a script line by line; each action is complete before the next begins."""
    known = actions(node.model, now)
    async for line in script:
        if not line.strip():
            continue
        step = _step(line)
        await asyncio.sleep(step.pop("wait", 0))
        name = step.pop("do", None)
        if name is None:
            continue
        if name not in known:
            raise ConfigError(f"unknown action {name!r} in the script: expected one of {', '.join(known)}")
        try:
            events = known[name](**step)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the script's action {name!r} failed: {error}") from error
        await node.perform(name, events or ())
        await node.settle(name)


def _step(line: str) -> dict[str, Any]:
    try:
        step = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"the script's line {line.strip()!r} is not JSON: {error}") from error
    if not isinstance(step, dict):
        raise ConfigError(f"the script's line {line.strip()!r} is not a JSON object")
    return step
