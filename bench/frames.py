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


class Event(NamedTuple):
    """A node's call on a subscriber: the frame, and where its question and the callback's id are in it."""

    frame: bytes
    question_at: int
    target_at: int

    def to(self, target: int, question: int) -> bytes:
        """Return the frame for a callback of that id."""
        copy = bytearray(self.frame)
        struct.pack_into("<I", copy, self.question_at, question)
        struct.pack_into("<I", copy, self.target_at, target)
        return bytes(copy)


class Answer(NamedTuple):
    """A node's answer: the frame, and where the question is in it."""

    frame: bytes
    question_at: int

    def to(self, question: int) -> bytes:
        """Return the frame as the answer to a question."""
        copy = bytearray(self.frame)
        struct.pack_into("<I", copy, self.question_at, question)
        return bytes(copy)


def bootstrap_answer(capability: int) -> Answer:
    """Return the answer to a Bootstrap: the capability itself."""
    words = (0, 0, wire.pointer(0, 0, 2), 3, 1 | 7 << 32 | 2 << 35, 1 << 2 | 1 << 32 | 1 << 48)
    descriptor = wire.SENDER_HOSTED | capability << 32
    return _answer(wire.message_of(wire.RETURN, 2, 1, *words, descriptor, 0))


def results(interface: Any, method: str, **fields: Any) -> Answer:
    """Return an answer with these results."""
    return _answer(speech.answer(0, interface, method, **fields))


def capability(interface: Any, method: str, number: int) -> Answer:
    """Return an answer whose result is a capability."""
    return _answer(speech.answer(0, interface, method, table=(("senderHosted", number),), pins=RESULT))


def json_answer(text: str) -> Answer:
    """Return an answer to Node.executeRpc."""
    return results(speech.NODE, "executeRpc", result=text)


def _answer(frame: bytes) -> Answer:
    data = wire.Message.of(frame).body.start
    copy = bytearray(frame)
    copy[data + 4] |= KEPT
    return Answer(bytes(copy), data)


def prepared_model(peers: int = 10) -> Model:
    """Return a simulated node's model with a mempool and `peers` peers."""
    model = Model(rng=random.Random(SEED), now=NOW)
    for _ in range(20):
        model.accept_transaction(NOW)
    model.peers.change(inbound=max(peers - 10, 0), outbound=min(peers, 10))
    return model


def json_answers(model: Model) -> dict[str, Answer]:
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
    return {method: json_answer(json.dumps(result)) for method, result in made.items()}


def events() -> dict[str, Event]:
    """Return one call of each method that is measured, by method; `add` and `spend` are the UTXO trace's."""
    made: dict[str, Event] = asyncio.run(capnp.run(_record()))
    return made


async def _record() -> dict[str, Event]:
    rng = random.Random(SEED)
    number, height, value = COIN
    coin = {"outpointHash": rng.randbytes(32), "outpointN": number, "height": height, "value": value}
    block = {"hash": rng.randbytes(32), "prevHash": rng.randbytes(32), "height": 900_001, "chainTimeMax": NOW}
    chain, trace = speech.CHAIN_NOTIFICATIONS, speech.UTXO_CACHE_TRACE
    return {
        "add": await _recorded(trace, "add", utxoInfo=coin),
        "spend": await _recorded(trace, "spend", utxoInfo=coin),
        "destroy UtxoCacheTrace": await _recorded(trace, "destroy", context=_context()),
        "destroy ChainNotifications": await _recorded(chain, "destroy", context=_context()),
        "updatedBlockTip": await _recorded(chain, "updatedBlockTip", context=_context()),
        "transactionAddedToMempool": await _recorded(
            chain, "transactionAddedToMempool", context=_context(), tx=transaction(rng, 2)
        ),
        "blockConnected": await _recorded(
            chain,
            "blockConnected",
            context=_context(),
            role={"validated": True, "historical": False},
            block={**block, "data": block_of(rng, BLOCK_BYTES)},
        ),
    }


def transaction(rng: random.Random, inputs: int) -> bytes:
    """Return a transaction with two outputs; with 2 inputs it has about 370 bytes."""
    spent = [OutPoint(rng.randbytes(32), index) for index in range(inputs)]
    return payment(rng, spent, [100_000, 200_000]).data


def block_of(rng: random.Random, size: int) -> bytes:
    """Return a serialised block of about that size in bytes: header, count, transactions."""
    one = transaction(rng, 2)
    count = size // len(one)
    return rng.randbytes(80) + b"\xfd" + struct.pack("<H", count) + one * count


class _Thread(THREAD.Server):  # type: ignore[misc]
    """One of the node's threads, whose only use is to be in a context."""


def _context() -> dict[str, Any]:
    return {"thread": _Thread(), "callbackThread": _Thread()}


async def _recorded(interface: Any, method: str, **arguments: Any) -> Event:
    """Return the call as it leaves Cap'n Proto's RPC system, on a capability that the other side holds."""
    ours, its = socket.socketpair()
    with ours:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        stream = await capnp.AsyncIoStream.create_unix_connection(sock=its)
        client = capnp.TwoPartyClient(stream)
        callback = client.bootstrap()
        asked = await loop.sock_recv(ours, READ_BYTES)
        await loop.sock_sendall(ours, bootstrap_answer(0).to(_question(asked)))
        callback = (await _resolved(callback)).cast_as(interface)
        calling = getattr(callback, method)(**arguments)
        frame = await _call(loop, ours)
        del calling
        client.close()
        stream.close()
    return _event(frame)


async def _resolved(capability: Any) -> Any:
    """Return the capability when what it promises has come."""
    await asyncio.sleep(0.02)
    return capability


async def _call(loop: asyncio.AbstractEventLoop, source: socket.socket) -> bytes:
    """Return the next Call that comes."""
    cutter = stream.FrameSplitter()
    while True:
        for frame in cutter.feed(await loop.sock_recv(source, READ_BYTES))[0]:
            if wire.Message.of(frame).kind == wire.CALL:
                return frame


def _question(frame: bytes) -> int:
    return wire.Message.of(frame).body.u32(0)


def _event(frame: bytes) -> Event:
    body = wire.Message.of(frame).body
    return Event(frame, body.start, body.struct(wire.TARGET).start)


def coins(made: Sequence[Event], target: int, question: int, count: int) -> list[bytes]:
    """Return UTXO events for a callback: coins that differ, of each three two as `made[0]`, one as `made[1]`."""
    rng, frames = random.Random(SEED), []
    for index in range(count):
        frame = bytearray(made[index % 3 == 2].to(target, question))
        at = bytes(frame).index(_COIN.pack(*COIN))
        _COIN.pack_into(frame, at, index % 5, COIN[1], rng.randrange(1_000, 10_000_000))
        frames.append(bytes(frame))
    return frames
