"""A node's calls on a subscriber and its answers, prepared before anything is measured.

The calls are recorded from Cap'n Proto's own RPC system, which a node uses, too, so their segments are laid out as
a real node's (a 2 MB block in its own segment, behind a far pointer). The answers to JSON-RPC are those of the
simulated node.
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

from telegraf_bitcoin_ipc.guard import stream, wire
from telegraf_bitcoin_ipc.ipc.dialects import BLOCK_STATISTICS, READ_ONLY
from telegraf_bitcoin_ipc.simnode.dialects import DIALECTS
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.rpc.methods import answer as json_rpc
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, payment

INIT: Any = speech.contract.init.Init
THREAD_MAP: Any = speech.contract.proxy.ThreadMap
THREAD: Any = speech.contract.proxy.Thread

NOW: Final = 1_760_000_000
"""The prepared node's clock (Unix time)."""

BLOCK_BYTES: Final = 2_000_000
SEED: Final = 1
READ_BYTES: Final = 1 << 22
COIN: Final = (1, 900_000, 123_456)
"""The recorded coin: index of the output, height, value in satoshi."""

UNREAD_OF_PEER: Final = {f"unread_field_{number}": number for number in range(34)}
"""So many more fields a real node's getpeerinfo has of each peer, which cost time to parse."""

_COIN: Final = struct.Struct("<IIq")  # UtxoInfo's data: outpointN, height, value

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


def bootstrap_answer(capability: int) -> Prepared:
    """Return the answer to a Bootstrap: the capability itself."""
    words = (0, 0, wire.pointer(0, 0, 2), 3, 1 | 7 << 32 | 2 << 35, 1 << 2 | 1 << 32 | 1 << 48)
    descriptor = wire.SENDER_HOSTED | capability << 32
    return _answer(wire.message_of(wire.RETURN, 2, 1, *words, descriptor, 0))


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
    number, height, value = COIN
    coin = {"outpointHash": rng.randbytes(32), "outpointN": number, "height": height, "value": value}
    block = {"hash": rng.randbytes(32), "prevHash": rng.randbytes(32), "height": 900_001, "chainTimeMax": NOW}
    tx = transaction(rng)
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "add": (speech.UTXO_CACHE_TRACE, {"utxoInfo": coin}),
        "spend": (speech.UTXO_CACHE_TRACE, {"utxoInfo": coin}),
        "destroy UtxoCacheTrace": (speech.UTXO_CACHE_TRACE, IN_CONTEXT),
        "destroy ChainNotifications": (speech.CHAIN_NOTIFICATIONS, IN_CONTEXT),
        "updatedBlockTip": (speech.CHAIN_NOTIFICATIONS, IN_CONTEXT),
        "transactionAddedToMempool": (speech.CHAIN_NOTIFICATIONS, IN_CONTEXT | {"tx": tx}),
        "blockConnected": (
            speech.CHAIN_NOTIFICATIONS,
            {
                **IN_CONTEXT,
                "role": {"validated": True, "historical": False},
                "block": {**block, "data": block_of(rng)},
            },
        ),
    }
    return {name: await _recorded(each, name.split()[0], **arguments) for name, (each, arguments) in calls.items()}


def transaction(rng: random.Random) -> bytes:
    """Return a transaction with two inputs and two outputs, of about 370 bytes."""
    spent = [OutPoint(rng.randbytes(32), index) for index in range(2)]
    return payment(rng, spent, [100_000, 200_000]).data


def block_of(rng: random.Random) -> bytes:
    """Return a serialised block of about BLOCK_BYTES: header, count, transactions."""
    one = transaction(rng)
    count = BLOCK_BYTES // len(one)
    return rng.randbytes(80) + b"\xfd" + struct.pack("<H", count) + one * count


class _Thread(THREAD.Server):  # type: ignore[misc]
    """One of the node's threads, whose only use is to be in a context."""


IN_CONTEXT: Final = {"context": {"thread": _Thread(), "callbackThread": _Thread()}}


async def _recorded(interface: Any, method: str, **arguments: Any) -> Prepared:
    """Return the call as it leaves Cap'n Proto's RPC system, on a capability that the other side holds."""
    ours, its = socket.socketpair()
    with ours:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        stream = await capnp.AsyncIoStream.create_unix_connection(sock=its)
        client = capnp.TwoPartyClient(stream)
        callback = client.bootstrap()
        asked = wire.Message.of(await loop.sock_recv(ours, READ_BYTES))
        await loop.sock_sendall(ours, bootstrap_answer(0).to(asked.body.u32(0)))
        await asyncio.sleep(0.02)  # until what the capability promises has come
        calling = getattr(callback.cast_as(interface), method)(**arguments)
        frame = await _call(loop, ours)
        del calling
        client.close()
        stream.close()
    body = wire.Message.of(frame).body
    return Prepared(frame, body.start, body.struct(wire.TARGET).start)


async def _call(loop: asyncio.AbstractEventLoop, source: socket.socket) -> bytes:
    """Return the next Call that comes."""
    cutter = stream.FrameSplitter()
    while True:
        for frame in cutter.feed(await loop.sock_recv(source, READ_BYTES))[0]:
            if wire.Message.of(frame).kind == wire.CALL:
                return frame


def coins(made: Sequence[Prepared], target: int, question: int, count: int) -> list[bytes]:
    """Return UTXO events for a callback: coins that differ, of each three two as `made[0]`, one as `made[1]`."""
    rng, frames = random.Random(SEED), []
    for index in range(count):
        frame = bytearray(made[index % 3 == 2].to(question, target))
        at = bytes(frame).index(_COIN.pack(*COIN))
        _COIN.pack_into(frame, at, index % 5, COIN[1], rng.randrange(1_000, 10_000_000))
        frames.append(bytes(frame))
    return frames
