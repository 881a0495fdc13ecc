"""A node's calls on a subscriber and its answers, prepared before anything is measured.

The calls are recorded from Cap'n Proto's own RPC system, which a node uses, too, so they are laid out as a real
node's (a 2 MB block in its own segment, behind a far pointer). The answers to JSON-RPC are those of the simulated
node.
"""

import asyncio
import json
import random
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import capnp
from support import frames as speech

from telegraf_bitcoin_ipc.guard import contract, stream, wire
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
READ_BYTES: Final = 1 << 22

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
    made: dict[str, Prepared] = asyncio.run(capnp.run(_record()))
    return made


async def _record() -> dict[str, Prepared]:
    rng = random.Random(SEED)
    chain, trace = speech.CHAIN_NOTIFICATIONS, speech.UTXO_CACHE_TRACE
    coin = {"outpointHash": rng.randbytes(32), "outpointN": 1, "height": HEIGHT, "value": 123_456}
    block = {"hash": rng.randbytes(32), "prevHash": rng.randbytes(32), "height": 900_001, "chainTimeMax": NOW}
    role = {"validated": True, "historical": False}
    tx, data = transaction(rng), block_of(rng)
    calls: list[tuple[str, Any, str, dict[str, Any]]] = [
        ("add", trace, "add", {"utxoInfo": coin}),
        ("spend", trace, "spend", {"utxoInfo": coin}),
        ("destroy UtxoCacheTrace", trace, "destroy", _in_context()),
        ("destroy ChainNotifications", chain, "destroy", _in_context()),
        ("updatedBlockTip", chain, "updatedBlockTip", _in_context()),
        ("transactionAddedToMempool", chain, "transactionAddedToMempool", _in_context(tx=tx)),
        ("blockConnected", chain, "blockConnected", _in_context(role=role, block={**block, "data": data})),
    ]
    return {name: _event(await _recorded(*call)) for name, *call in calls}


class _Thread(speech.SERVER_THREAD.Server):  # type: ignore[misc]
    """One of the node's threads, whose only use is to be in a context."""


def _in_context(**fields: Any) -> dict[str, Any]:
    return {"context": {"thread": _Thread(), "callbackThread": _Thread()}, **fields}


async def _recorded(interface: Any, method: str, fields: dict[str, Any]) -> bytes:
    """Return the call as it leaves Cap'n Proto's RPC system, on a capability that the other side holds."""
    ours, its = socket.socketpair()
    with ours:
        ours.setblocking(False)
        loop, cutter = asyncio.get_running_loop(), stream.FrameSplitter()

        async def next_frame(kind: int) -> bytes:
            while received := await loop.sock_recv(ours, READ_BYTES):
                for frame in cutter.feed(received)[0]:
                    if wire.Message.of(frame).kind == kind:
                        return frame
            raise EOFError(f"{method}: the recorded side closed the connection")

        connection = await capnp.AsyncIoStream.create_unix_connection(sock=its)
        client = capnp.TwoPartyClient(connection)
        callback = client.bootstrap()
        question = wire.Message.of(await next_frame(wire.BOOTSTRAP)).body.u32(0)
        await loop.sock_sendall(ours, bootstrap_answer(0).to(question))
        await next_frame(wire.FINISH)  # from then on a call names the capability, not the Bootstrap's question
        calling = getattr(callback.cast_as(interface), method)(**fields)
        frame = await next_frame(wire.CALL)
        del calling
        client.close()
        connection.close()
    return frame


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
