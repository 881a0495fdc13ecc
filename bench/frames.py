"""A node's calls on a subscriber and its answers, prepared before anything is measured.

As from Cap'n Proto's own RPC system, each is in one segment, but a 2 MB block in one of its own. The answers to
JSON-RPC are those of the simulated node.
"""

import json
import random
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from support import frames as speech
from support.layouts import Place, Plain, Tree, frame_with, tree_of

from telegraf_bitcoin_ipc.guard import contract, wire
from telegraf_bitcoin_ipc.ipc.dialects import BLOCK_STATISTICS, READ_ONLY
from telegraf_bitcoin_ipc.simnode.dialects import DIALECTS
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.methods import answer as json_rpc
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, payment

NOW: Final = 1_760_000_000
"""The prepared node's clock (Unix time)."""

BLOCK_BYTES: Final = 2_000_000
SEED: Final = 1
HEIGHT: Final = 900_000
FAR_BYTES: Final = 1 << 13
"""What is larger lies in a segment of its own."""

UNREAD_OF_PEER: Final = {f"unread_field_{number}": number for number in range(34)}
"""So many more fields a real node's getpeerinfo has of each peer, which cost time to parse."""

RESULT: Final[speech.Pins] = {(0,): 0}
"""Where a capability is in results that hold nothing else: the first pointer, the table's first."""

KEPT: Final = 1
"""The bit of a Return that says `releaseParamCaps = false`; Cap'n Proto's C++ library always sets it."""


class Prepared(NamedTuple):
    """A node's call or answer: the frame, where its question is in it, and in a call the callback's id."""

    frame: bytes
    question_at: int
    target_at: int = 0

    def to(self, question: int, target: int | None = None) -> bytes:
        """Return the frame with this question, and as a call for the callback `target`."""
        copy = bytearray(self.frame)
        struct.pack_into("<I", copy, self.question_at, question)
        if target is not None:
            struct.pack_into("<I", copy, self.target_at, target)
        return bytes(copy)


def bootstrap_answer(number: int) -> Prepared:
    """Return the answer to a Bootstrap: the capability itself."""
    return _answer(speech.answer(0, table=(("senderHosted", number),), pins={(): 0}))


def results(interface: Any, method: str, **fields: Any) -> Prepared:
    """Return an answer with these results."""
    return _answer(speech.answer(0, interface, method, **fields))


def capability(interface: Any, method: str, number: int) -> Prepared:
    """Return an answer whose result is a capability."""
    return _answer(speech.answer(0, interface, method, table=(("senderHosted", number),), pins=RESULT))


def _answer(frame: bytes) -> Prepared:
    data = wire.Message.of(frame).body.start
    copy = bytearray(frame)
    copy[data + 4] |= KEPT
    return Prepared(bytes(copy), data)


def prepared_model(peers: int = 10) -> Model:
    """Return a simulated node's model with a mempool and `peers` peers."""
    model = Model(rng=random.Random(SEED), now=NOW)
    for _ in range(20):
        model.accept_transaction(NOW)
    model.peers.change(inbound=max(peers - 10, 0), outbound=min(peers, 10))
    return model


def json_answers(model: Model) -> dict[str, Prepared]:
    """Return the answers to every JSON-RPC method that is polled, by method."""
    block = model.tip_hash[::-1].hex()
    parameters: dict[str, list[Any]] = {
        "estimatesmartfee": [2],
        "getblockheader": [block],
        "getblockstats": [block, list(BLOCK_STATISTICS)],
    }
    subversion = DIALECTS["tracing"].subversion
    made: dict[str, Any] = {
        method: json_rpc(model, method, parameters.get(method, []), now=NOW, started=NOW, subversion=subversion)
        for method in READ_ONLY
    }
    made["getpeerinfo"] = [UNREAD_OF_PEER | peer for peer in made["getpeerinfo"]]
    return {
        method: results(speech.NODE, "executeRpc", result=json.dumps(result)) for method, result in made.items()
    }


def events() -> dict[str, Prepared]:
    """Return one call of each method that is measured, by method; `add` and `spend` are the UTXO trace's."""
    rng = random.Random(SEED)
    chain, trace = speech.CHAIN_NOTIFICATIONS, speech.UTXO_CACHE_TRACE
    block = {"hash": rng.randbytes(32), "prevHash": rng.randbytes(32), "height": 900_001, "chainTimeMax": NOW}
    role = {"validated": True, "historical": False}
    data = block_of(rng)
    made = {
        "add": speech.utxo(0, "add", height=HEIGHT),
        "spend": speech.utxo(0, "spend", height=HEIGHT),
        "destroy UtxoCacheTrace": _in_context(trace, "destroy"),
        "destroy ChainNotifications": _in_context(chain, "destroy"),
        "updatedBlockTip": _in_context(chain, "updatedBlockTip"),
        "transactionAddedToMempool": _in_context(chain, "transactionAddedToMempool", tx=transaction(rng)),
        "blockConnected": _in_context(chain, "blockConnected", role=role, block={**block, "data": data}),
    }
    return {method: _event(frame_with(tree_of(frame), _place)) for method, frame in made.items()}


def _in_context(interface: Any, method: str, **fields: Any) -> bytes:
    threads = (("senderHosted", 0), ("senderHosted", 1))
    return speech.call(0, interface, method, table=threads, pins=speech.IN_CONTEXT, context={}, **fields)


def _place(part: Tree) -> Place:
    return "far" if isinstance(part, Plain) and len(part.data) > FAR_BYTES else "near"


def _event(frame: bytes) -> Prepared:
    body = wire.Message.of(frame).body
    return Prepared(frame, body.start, body.struct(wire.TARGET).start)


def transaction(rng: random.Random) -> bytes:
    """Return a transaction with two inputs and two outputs, of about 370 bytes."""
    spent = [OutPoint(rng.randbytes(32), index) for index in range(2)]
    return payment(rng, spent, [100_000, 200_000]).data


def block_of(rng: random.Random) -> bytes:
    """Return a serialised block of about BLOCK_BYTES: header, count, transactions."""
    one = transaction(rng)
    count = BLOCK_BYTES // len(one)
    return rng.randbytes(80) + b"\xfd" + struct.pack("<H", count) + one * count


def coins(made: Sequence[Prepared], target: int, question: int, count: int) -> list[bytes]:
    """Return UTXO events for a callback: coins that differ, of each three two as `made[0]`, one as `made[1]`."""
    rng = random.Random(SEED)
    at = contract.parameters(wire.Message.of(made[0].frame).body).struct(0).start
    frames = []
    for index in range(count):
        frame = bytearray(made[index % 3 == 2].to(question, target))
        struct.pack_into("<IIq", frame, at, index % 5, HEIGHT, rng.randrange(1_000, 10_000_000))  # UtxoInfo's data
        frames.append(bytes(frame))
    return frames
