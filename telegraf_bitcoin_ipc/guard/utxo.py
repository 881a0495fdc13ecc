"""UTXO events: their layout in a frame, and the totals that they are added to."""

import struct

from .contract import DROPPED, UNCONFIRMED, parameters
from .wire import CONTENT, PARAMS, Frame, Malformed, Message, Struct

QUESTION_AND_METHOD = struct.Struct("<IH")  # the first 6 bytes of a Call
UTXO_DATA = struct.Struct("<4xIq")  # UtxoInfo: outpointN u32 at 0, height u32 at 4, value i64 at 8
UNCONFIRMED_HEIGHT = 0x7FFFFFFF
U64_MAX = (1 << 64) - 1


def read_utxo(call: Struct) -> tuple[int, int]:
    """Return (height, value) of a UTXO event's coin, the UtxoInfo of its parameters."""
    coin = parameters(call).struct(0)
    height, value = UTXO_DATA.unpack_from(coin.segments.frame, coin.at(0, UTXO_DATA.size))
    return height, value


class EventTemplate:
    """The layout of a node's UTXO events, learned from one of them: events laid out alike need no parsing.

    They are alike if all bytes before the coin's data are equal, except for the question and the method: every
    pointer that leads to the coin is among them, and so is the frame's header.
    """

    def __init__(self, frame: Frame, question_at: int, coin_at: int) -> None:
        """Learn from a frame that was parsed; the question and the coin's data are at these offsets."""
        self.size = len(frame)
        self._question_at = question_at
        self._head = bytes(frame[:question_at])
        self._middle_at = question_at + QUESTION_AND_METHOD.size
        self._middle = bytes(frame[self._middle_at : coin_at])
        between = coin_at - self._middle_at
        self._unpack = struct.Struct(f"{QUESTION_AND_METHOD.format}{between}x{UTXO_DATA.format[1:]}").unpack_from

    @classmethod
    def learn(cls, message: Message) -> "EventTemplate | None":
        """Return the template of a UTXO event, or None if it is one that only parsing can read."""
        call = message.body
        payload = call.struct(PARAMS)
        content = payload.struct(CONTENT)
        coin = content.struct(0)
        coin_at = coin.at(0, UTXO_DATA.size)
        if len(message.segments.table) > 1 or coin_at < max(
            each.end for each in (message, call, payload, content)
        ):
            return None
        return cls(message.segments.frame, call.start, coin_at)

    def read(self, stream: bytearray, at: int, end: int) -> tuple[int, int, int, int] | None:
        """Return (question, method, height, value) of an event laid out alike at `at`; None for anything else."""
        if (
            at + self.size <= end
            and stream.startswith(self._head, at)
            and stream.startswith(self._middle, at + self._middle_at)
        ):
            question, method, height, value = self._unpack(stream, at + self._question_at)
            return question, method, height, value
        return None


class UtxoTotals:
    """The totals of UTXO events, in memory shared with the plugin; contract.TOTALS has their order."""

    def __init__(self, memory: memoryview) -> None:
        """Add to unsigned 64-bit numbers."""
        self._memory = memory

    def add(self, call: Struct, method: int) -> None:
        """Parse an event and add it; one whose coin cannot be read counts as dropped."""
        try:
            height, value = read_utxo(call)
        except Malformed:
            self._memory[DROPPED] += 1
            return
        self.count(method, height, value)

    def count(self, method: int, height: int, value: int) -> None:
        """Add an event; the value is in satoshis, and a negative one counts as 0."""
        memory, index = self._memory, method - 1
        memory[index] += 1
        memory[3 + index] = (memory[3 + index] + max(value, 0)) & U64_MAX
        if index == 0 and height == UNCONFIRMED_HEIGHT:
            memory[UNCONFIRMED] += 1
