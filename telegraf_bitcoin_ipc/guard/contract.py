"""What the guard knows of Bitcoin Core's IPC interfaces: ids, layouts, and the totals shared with the plugin."""

import struct

from .wire import CONTENT, PARAMS, U32, U64, Malformed, Struct, call_on_thread

CHAIN, HANDLE_NOTIFICATIONS = 0xDDFB1D54C24414B3, 39
TRACING, TRACE_UTXO_CACHE = 0xB300BEDCD7B880CE, 0
MINING, WAIT_TIP_CHANGED = 0xF9C68436DF3AF39E, 3
INIT, MAKE_MINING = 0x8838C700BA5CBA65, 3
NODE, EXECUTE_RPC = 0xECE87A85E7D7C91D, 42
EXECUTE_BY_NODE, EXECUTE_BY_RPC = (NODE, EXECUTE_RPC), (0xACB1D37F0A713129, 0)
MAKE_THREAD = 0xEE5E37179AD9DC9D, 0
# Calls that no server thread of the node runs: Init.construct, ThreadMap.makeThread, Thread.getName.
EVENT_LOOP_CALLS = {(INIT, 0), MAKE_THREAD, (0x81C1E2600D0B56C5, 0)}
HANDLER, DISCONNECT = 0xEA08728D34263F55, 1
CHAIN_NOTIFICATIONS, UTXO_CACHE_TRACE = 0x9AC9DB48BA219039, 0xF877DD6FB711C62F
DESTROY = 0  # of both callback interfaces
SUBSCRIBING = {(CHAIN, HANDLE_NOTIFICATIONS), (TRACING, TRACE_UTXO_CACHE)}
UTXO_METHODS = (1, 2, 3)  # add, spend, uncache: in the order of TOTALS
HASH_BYTES = 32
NO_LIMIT = 0x7FEFFFFFFFFFFFFF  # the default of waitTipChanged's timeout: the largest f64
STOPPING = "the node is stopping"  # in the reason of the guard's own exception
THREAD_BUSY = b"thread busy"  # in the reason of libmultiprocess's exception, up to version 7

LONGEST_WAIT_MILLISECONDS = 10_000.0  # of a waitTipChanged with a time limit: leaving has to wait for its answer

# What is shared with the plugin: unsigned 64-bit totals since the start, in this order.
TOTALS = (
    "add",
    "spend",
    "uncache",
    "add_value",
    "spend_value",
    "uncache_value",
    "add_unconfirmed",
    "events_dropped",
    "calls_refused",
)
SHARED_BYTES = 8 * len(TOTALS)
UNCONFIRMED, DROPPED, REFUSED = map(TOTALS.index, ("add_unconfirmed", "events_dropped", "calls_refused"))


def disconnect_of(question: int, handler: int, thread: int) -> bytes:
    """Return a Call of Handler.disconnect, run on the server thread `thread`."""
    return call_on_thread(question, handler, HANDLER, DISCONNECT, thread)


def parameters(call: Struct) -> Struct:
    """Return the parameters of a Call: Payload -> content."""
    return call.struct(PARAMS).struct(CONTENT)


def read_wait(call: Struct) -> tuple[int, int]:
    """Return the offsets of the time limit and of the tip's hash in a Call of waitTipChanged.

    Parameters: timeout f64 at 0, in milliseconds, stored exclusive-or its default; pointers context, currentTip.
    """
    given = parameters(call)
    at, length = given.data_range(1)
    if length != HASH_BYTES:
        raise Malformed
    return given.at(0, 8), at


def limit_of_wait(call: Struct) -> float | None:
    """Return the time limit of a Call of waitTipChanged in milliseconds; None if it has none. Raises Malformed."""
    given = U64.unpack_from(call.segments.frame, read_wait(call)[0])[0]
    return struct.unpack("<d", U64.pack(given ^ NO_LIMIT))[0] if given else None


def read_tip(answer: Struct) -> bytes:
    """Return the hash in a Return of waitTipChanged: Payload -> content -> result: BlockRef -> hash.

    Empty where a pointer on the way to it is absent.
    """
    place = answer
    for _ in ("payload", "content", "result"):
        if not place.has(0):
            return b""
        place = place.struct(0)
    return place.data(0) if place.pointers else b""


def read_reason(answer: Struct) -> bytes:
    """Return the reason in a Return's Exception: its first pointer, a Text."""
    return answer.struct(0).data(0)


class TipWait:
    """The wait for a new tip that reports the node's stop: the plugin's call, repeated by the guard.

    Without a time limit the node would answer only at a new tip or at its stop, and a guard that leaves would have
    to wait for that. So the guard asks with a limit, over and over.
    """

    LIMIT_MILLISECONDS = 500.0  # of each call: the longest that leaving has to wait for its answer

    def __init__(self, call: Struct) -> None:
        """Take over a Call of waitTipChanged. Raises Malformed if it cannot be repeated."""
        limit_at, self._tip_at = read_wait(call)
        self.frame = bytearray(call.segments.frame)
        self.unlimited = not U64.unpack_from(self.frame, limit_at)[0]
        self.asked_by_plugin: int | None = call.u32(0)  # None when the plugin has finished it
        self.question = call.u32(0)
        self._question_at = call.at(0, 4)
        target = call.imported_target()
        self.capabilities = {each.u32(4) for each in call.capabilities(PARAMS)}
        self.capabilities |= set() if target is None else {target}
        self.pause = 0.0  # before it is repeated, if the node's thread is busy
        limit = U64.unpack(struct.pack("<d", self.LIMIT_MILLISECONDS))[0]
        U64.pack_into(self.frame, limit_at, limit ^ NO_LIMIT)

    def again(self, question: int, tip: bytes) -> bytes:
        """Return the call again, for another tip or, if that is empty, for the same one."""
        self.question = question
        U32.pack_into(self.frame, self._question_at, question)
        if tip:
            self.frame[self._tip_at : self._tip_at + HASH_BYTES] = tip
        return bytes(self.frame)
