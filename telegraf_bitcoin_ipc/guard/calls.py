"""Whether a call of the client's is allowed: its layout, its target, its capabilities, and what it asks for."""

from . import contract, wire
from .allowed import CALLS
from .contract import STOPPING, SUBSCRIBING
from .ledger import Ledger, Violation
from .wire import CAP_TABLE, PARAMS, TARGET, Malformed, Struct

SERVER_THREADS = 8
NAME_CHARACTERS = 100  # of a server thread's name

# Call (rpc.capnp): 3 words of data, 3 pointers; sendResultsTo's union u16 at 6: 0 caller; flags in the last word,
# of which bit 1 (noPromisePipelining) changes nothing for the callee.
CALL_BYTES, CALL_POINTERS, THIRD_PARTY, RESULTS_TO, FLAGS, HARMLESS_FLAG = 24, 3, 2, 6, 16, 2
IMPORTED, PROMISED = 0, 1  # MessageTarget's union, u16 at 4
CAPABILITY_POINTER = 3
ENDING = (contract.HANDLER, contract.DISCONNECT)  # the relay answers it


class Refused(Exception):
    """A call is not allowed; the message is its name."""


class NotNow(Exception):
    """A call is allowed but comes too late; the message is the reason."""


def check(call: Struct, asked: tuple[int, int], ledger: Ledger) -> None:
    """Take note of a call that the node may get. Raises Refused, NotNow, Violation and Malformed for any other."""
    if call.pointers_at - call.start != CALL_BYTES or call.pointers != CALL_POINTERS or call.has(THIRD_PARTY):
        raise Violation("a Call with an unexpected layout")
    if call.u16(RESULTS_TO) or call.u64(FLAGS) & ~HARMLESS_FLAG:
        raise Violation("a Call whose results are not for its caller")
    name = CALLS.get(asked)
    if name is None:
        raise Refused("method {1} of interface {0:#018x}".format(*asked))
    target = _target(call, ledger, name)
    ledger.calls(call.u32(0), target)
    table = _table(call, ledger, asked in SUBSCRIBING, name)
    given = contract.parameters(call)
    thread = None
    if asked not in contract.EVENT_LOOP_CALLS:
        thread = _thread(given, table, ledger, name)
        _check_use(thread, asked, ledger, name)
    elif table:
        raise Violation(f"{name} with capabilities")
    if asked == contract.MAKE_THREAD:
        _check_thread(given, ledger, name)
    elif asked == contract.EXECUTE_BY_NODE:
        _check_json_rpc(given, by_node=True)
    elif asked == contract.EXECUTE_BY_RPC:
        _check_json_rpc(given, by_node=False)
    elif asked == (contract.MINING, contract.WAIT_TIP_CHANGED):
        _check_wait(call, ledger, name)
    elif asked == ENDING:
        _check_disconnect(target, ledger, name)
    elif asked in SUBSCRIBING:
        _check_subscription(asked[0], given, table, ledger, name)
    if thread is not None and asked != ENDING:
        ledger.run(call.u32(0), thread, reserve=asked in SUBSCRIBING)


def _target(call: Struct, ledger: Ledger, name: str) -> int | None:
    """Return the capability that is called; None for the one that an open Bootstrap will give."""
    target = call.struct(TARGET)
    kind = target.u16(4)
    if kind == IMPORTED:
        capability = target.u32(0)
        if not ledger.holds(capability):
            raise Violation(f"{name} on a capability that the client does not hold")
        return capability
    if kind != PROMISED:
        raise Violation(f"{name} on an unknown target")
    promised = target.struct(0)
    question = ledger.open(promised.u32(0))
    if question is None:
        raise Violation(f"{name} on the answer to a question that is not open")
    if question.asked is not None or promised.structs(0):
        raise Refused(f"{name} on an answer that has not arrived")
    return None


def _table(call: Struct, ledger: Ledger, subscribing: bool, name: str) -> list[Struct]:
    """Return a Call's capabilities: what the client holds, and one callback where it subscribes."""
    payload = call.struct(PARAMS)
    table = payload.structs(CAP_TABLE) if payload.pointers > CAP_TABLE else []
    callbacks = imported = 0
    for each in table:
        kind = each.u16(0)
        if kind not in (wire.NONE, wire.RECEIVER_HOSTED, wire.SENDER_HOSTED):
            raise Violation(f"{name} with a capability of kind {kind}")
        if each.has(0) or (kind == wire.RECEIVER_HOSTED and not ledger.holds(each.u32(4))):
            raise Violation(f"{name} with a capability that the client does not hold")
        callbacks += kind == wire.SENDER_HOSTED
        imported += kind == wire.RECEIVER_HOSTED
    if imported > 1:  # the relay takes the one for the server thread
        raise Violation(f"{name} with {imported} capabilities of the node")
    if callbacks != int(subscribing):
        raise Violation(f"{name} with {callbacks} callbacks")
    return table


def _thread(given: Struct, table: list[Struct], ledger: Ledger, name: str) -> int:
    """Return the server thread in the Context, one of the client's: pointers thread and callbackThread."""
    context = given.struct(0)
    thread = _capability(context, 0, table)
    if thread is None or thread.u16(0) != wire.RECEIVER_HOSTED or thread.u32(4) not in ledger.threads:
        raise Violation(f"{name} without one of the client's server threads")
    if context.has(1):
        raise Violation(f"{name} with a callback thread")
    return thread.u32(4)


def _check_use(thread: int, asked: tuple[int, int], ledger: Ledger, name: str) -> None:
    """Allow one call at a time on a server thread, and no other calls where a subscription is to be ended.

    A node that stops leaves its subscribers some hundredths of a second.
    """
    if asked == ENDING:
        return
    allowed = ledger.may_call(asked)
    if ledger.stopping:
        raise NotNow(STOPPING)
    if not allowed:
        raise Refused(f"{name} before the node is known to have loaded its chain")
    if thread in ledger.busy:
        raise Refused(f"{name} on a server thread that is busy")
    if thread in ledger.reserved and asked not in SUBSCRIBING:
        raise Refused(f"{name} on the server thread of a subscription")


def _check_thread(given: Struct, ledger: Ledger, name: str) -> None:
    ledger.threads_asked += 1
    if ledger.threads_asked > SERVER_THREADS:
        raise Violation(f"more than {SERVER_THREADS} server threads")
    text = given.text(0)
    if len(text) > NAME_CHARACTERS or not text.isprintable():
        raise Refused(f"{name} with an invalid name")


def _check_json_rpc(given: Struct, *, by_node: bool) -> None:
    from . import json_rpc  # importing json would lengthen the guard's start by half

    problem = json_rpc.of_node(given) if by_node else json_rpc.of_rpc(given)
    if problem:
        raise Refused(f"JSON-RPC {problem}")


def _check_wait(call: Struct, ledger: Ledger, name: str) -> None:
    """Allow one wait without a time limit, which the relay repeats, and short ones."""
    limit = contract.limit_of_wait(call)
    if limit is None:
        if ledger.endless_wait is not None:
            raise Refused(f"{name} without a time limit for a second time")
        ledger.endless_wait = call.u32(0)
    elif not 0 <= limit <= contract.LONGEST_WAIT_MILLISECONDS:
        raise Refused(f"{name} with an invalid time limit")


def _check_disconnect(handler: int | None, ledger: Ledger, name: str) -> None:
    """Allow it once for each subscription: a second one can hang the node's thread."""
    if handler is None or handler not in ledger.handlers:
        raise Refused(f"{name} without a subscription")
    ledger.handlers.discard(handler)


def _check_subscription(interface: int, given: Struct, table: list[Struct], ledger: Ledger, name: str) -> None:
    """Allow one subscription of a kind, while the node can report its stop: it aborts if it still has it then.

    The second parameter is the callback: a node aborts without one.
    """
    callback = _capability(given, 1, table)
    if callback is None or callback.u16(0) != wire.SENDER_HOSTED:
        raise Violation(f"{name} without a callback")
    if interface in ledger.subscribed:
        raise Violation(f"{name} for a second time")
    if callback.u32(4) in ledger.subscribed.values():  # of which one was ended could not be told
        raise Violation(f"{name} with the callback of another subscription")
    if ledger.endless_wait is None:
        raise Refused(f"{name} without a waitTipChanged that has no time limit")
    ledger.subscribed[interface] = callback.u32(4)


def _capability(place: Struct, index: int, table: list[Struct]) -> Struct | None:
    """Return the CapDescriptor that a capability pointer (type 3, its index in bits 32 to 63) leads to."""
    if not place.has(index):
        return None
    word: int = wire.U64.unpack_from(place.segments.frame, place.pointers_at + 8 * index)[0]
    if word & 0xFFFFFFFF != CAPABILITY_POINTER or word >> 32 >= len(table):
        raise Malformed
    return table[word >> 32]
