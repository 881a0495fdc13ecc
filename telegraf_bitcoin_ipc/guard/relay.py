"""What each frame means: answers the node's events, forwards the rest, and ends subscriptions in good order.

No socket and no clock: frames and the time come in as arguments, frames leave through two outboxes.
"""

import contextlib
import math

from . import contract, wire
from .contract import DISCONNECT, DROPPED, HANDLER, HASH_BYTES, MINING, WAIT_TIP_CHANGED, TipWait
from .subscriptions import LIVE, RETRY_SECONDS, Change, Subscription, Subscriptions, Unanswered
from .utxo import EventTemplate, UtxoTotals
from .wire import Frame, Malformed, Message, Struct

TYPE_CHECKING = False  # as in typing
if TYPE_CHECKING:
    from .stream import Outbox

LONGEST_RETRY_SECONDS = 1.0  # the pause before a waitTipChanged is repeated doubles up to this
LOADING_SECONDS = 1.0  # a makeMining that has not returned by then waits for the chain


class Relay:
    """One session: both sides, and what has to be known of them.

    `last_event` and `last_coin` are when an event, and a UTXO event, was last answered.
    """

    def __init__(self, node: "Outbox", plugin: "Outbox", totals: memoryview, forward_utxo: bool) -> None:
        """Relay between two outboxes; add up UTXO events in `totals`, and forward them if wanted."""
        self.node, self.plugin = node, plugin
        self.totals = totals
        self._utxo = UtxoTotals(totals)
        self.forward_utxo = forward_utxo
        self.last_event = self.last_coin = -math.inf
        self.subscriptions = Subscriptions()
        self.tip_wait: TipWait | None = None
        self.ending = False  # all subscriptions are to end: the node stops, or could not report that it does
        self._template: EventTemplate | None = None  # not learned if UTXO events are forwarded
        self._answered: set[int] = set()  # the node's questions that were answered here and not finished
        self._destroys: set[int] = set()  # the node's questions that were a `destroy`
        self._unanswered = Unanswered()
        self._asked: dict[int, Subscription] = {}  # the plugin's questions that subscribe
        self._withheld: dict[int, int] = {}  # references that the plugin released, by capability that is needed
        self._taken_over: set[int] = set()  # the plugin's questions that the node never hears of
        self._last_id = wire.OWN_IDS
        self._tip_wait_due: float | None = None  # when to repeat it, after the node's thread was busy

    # Frames from the node

    def from_burst(self, stream: bytearray, end: int, now: float) -> int:
        """Count and answer the UTXO events at the start of a stream, and take the Finish of each.

        The stream starts with a frame, and ends at `end`. Returns how many bytes were taken: up to the first frame
        that needs parsing, or is incomplete. Nothing is copied, because the node waits for each answer.
        """
        template, at = self._template, 0
        while at < end:
            if template is not None and (event := template.read(stream, at, end)) is not None:
                question, method, height, value = event
                if method not in contract.UTXO_METHODS:
                    break
                self._utxo.count(method, height, value)
                self.node.send(wire.answer_to(question))
                self._answered.add(question)
                self.last_event = self.last_coin = now
                at += template.size
            elif at + wire.FINISH_BYTES <= end and stream.startswith(wire.FINISH_HEAD, at):
                question = wire.U32.unpack_from(stream, at + len(wire.FINISH_HEAD))[0]
                if question not in self._answered:
                    break
                self._answered.discard(question)
                at += wire.FINISH_BYTES
            else:
                break
        return at

    def from_node(self, frame: Frame, now: float) -> None:
        """Answer, count and forward an event; forward anything else, except answers to the guard."""
        try:
            handled = self._from_node(Message.of(frame), now)
        except Malformed:
            handled = False
        if not handled:
            self.to_plugin(frame)

    def _from_node(self, message: Message, now: float) -> bool:
        """Deal with a message of the node's; returns whether it is not to be forwarded."""
        kind = message.kind
        if kind == wire.CALL:
            return self._called_by_node(message, now)
        if kind == wire.RETURN:
            return self._returned(message.body, now)
        if kind == wire.FINISH and (question := message.body.u32(0)) in self._answered:
            self._answered.discard(question)
            return True
        return False

    def _called_by_node(self, message: Message, now: float) -> bool:
        """Answer a call of a callback, and only then look at the rest of it."""
        call = message.body
        question, method, interface = call.call()
        if interface not in (contract.CHAIN_NOTIFICATIONS, contract.UTXO_CACHE_TRACE):
            return False
        coin = interface == contract.UTXO_CACHE_TRACE and method in contract.UTXO_METHODS
        if coin:
            self._utxo.add(call, method)
            self.last_coin = now
        self._answer(question, now)
        if coin and not self.forward_utxo:
            with contextlib.suppress(Malformed):
                self._template = EventTemplate.learn(message)
        else:
            self._forward(call)
        if method == contract.DESTROY:
            self._destroys.add(question)
            self._destroyed(call)
        return True

    def _answer(self, question: int, now: float) -> None:
        self.node.send(wire.answer_to(question))
        self._answered.add(question)
        self.last_event = now

    def _forward(self, call: Struct) -> None:
        """Forward an event as a call of the guard's own, without its capabilities: the answer released those.

        So the plugin's callbacks are ordinary servers; what they return stays here, and its Finish is made up.
        """
        if not self.plugin.open:
            return
        frame = call.segments.frame
        try:
            copy = frame if isinstance(frame, memoryview) else bytearray(frame)  # a large one is nobody else's
        except MemoryError:
            self.totals[DROPPED] += 1
            return
        wire.U32.pack_into(copy, call.start, self._new_id())
        with contextlib.suppress(Malformed):
            for descriptor in call.capabilities(wire.PARAMS):
                wire.U16.pack_into(copy, descriptor.start, wire.NONE)
        self.to_plugin(copy, event=True)

    def to_plugin(self, frame: Frame, event: bool = False) -> None:
        """Forward a frame, or bytes that are no frame, as they are."""
        if dropped := self.plugin.send(frame, event):
            self.totals[DROPPED] += dropped

    def _destroyed(self, call: Struct) -> None:
        """End the subscription whose callback the node has let go of."""
        try:
            callback = call.imported_target()
        except Malformed:
            return
        for subscription in self.subscriptions.live():
            if callback is not None and subscription.callback == callback:
                subscription.change(Change.DESTROY)
                self._ended(subscription)
                break

    def _ended(self, subscription: Subscription) -> None:
        """Pass on to the node what was withheld from it for a subscription that has ended."""
        self.subscriptions.prune()
        finish, subscription.finish = subscription.finish, b""
        if finish:
            self.node.send(finish)
        needed = self._needed()
        for capability in [each for each in self._withheld if each not in needed]:
            self.node.send(wire.release_of(capability, self._withheld.pop(capability)))

    def _needed(self) -> set[int]:
        """Return the node's capabilities that teardown, or the wait for a new tip, calls or names."""
        return self.subscriptions.needed() | (set() if self.tip_wait is None else self.tip_wait.capabilities)

    def _returned(self, answer: Struct, now: float) -> bool:
        """Take the answers to the guard's own calls, and learn handlers from those to subscribing calls."""
        question, outcome = answer.u32(0), answer.u16(6)
        if finish := self._unanswered.answered(question):
            self.node.send(finish)
        if self.tip_wait is not None and question == self.tip_wait.question:
            self._tip_returned(self.tip_wait, answer, now)
            return True
        if question >= wire.OWN_IDS:
            self.node.send(wire.finish_of(question))
            self.subscriptions.disconnected(question, outcome == wire.RESULTS, now)
            return True
        subscription = self._asked.pop(question, None)
        if subscription is None:
            return False
        try:
            handlers = [
                descriptor.u32(4)
                for descriptor in (answer.capabilities(0) if outcome == wire.RESULTS else ())
                if descriptor.u16(0) in (wire.SENDER_HOSTED, wire.SENDER_PROMISE)
            ]
        except Malformed:
            subscription.change(Change.UNREADABLE)
            return False
        subscription.answered(handlers[-1] if handlers else None)
        if subscription.state not in LIVE:
            self._ended(subscription)
        # Relayed to a plugin that has finished the call it would free the question's id, which the node still has.
        return subscription.finish != b""

    def _tip_returned(self, wait: TipWait, answer: Struct, now: float) -> None:
        """Repeat the wait for a new tip, at once or when the node's thread is free again.

        Any other answer is the plugin's, and ends the subscriptions: the node stops, or could not report that.
        """
        self.node.send(wire.finish_of(wait.question))
        tip = reason = b""
        with contextlib.suppress(Malformed):
            if answer.u16(6) == wire.RESULTS:
                tip = contract.read_tip(answer)
            elif answer.u16(6) == wire.EXCEPTION:
                reason = contract.read_reason(answer)
        if len(tip) == HASH_BYTES:
            wait.pause = RETRY_SECONDS
            self._wait_for_tip(wait, tip)
        elif contract.THREAD_BUSY in reason:
            self._tip_wait_due = now + wait.pause
            wait.pause = min(2 * wait.pause, LONGEST_RETRY_SECONDS)
        else:
            self.tip_wait, self.ending = None, True
            self._tear_down(now)
            if wait.asked_by_plugin is not None:
                copy = bytearray(answer.segments.frame)
                wire.U32.pack_into(copy, answer.start, wait.asked_by_plugin)
                self.to_plugin(bytes(copy))

    def _wait_for_tip(self, wait: TipWait, tip: bytes) -> None:
        if self.plugin.open:
            self.node.send(wait.again(self._new_id(), tip))

    # Frames from the plugin

    def from_plugin(self, frame: Frame, now: float) -> None:
        """Forward a frame unless it is the guard's; learn from it what teardown needs."""
        if not self.plugin.open:  # it has aborted just before
            return
        try:
            handled = self._from_plugin(Message.of(frame), now)
        except Malformed:
            handled = False
        if not handled:
            self.node.send(frame)

    def _from_plugin(self, message: Message, now: float) -> bool:
        """Deal with a message of the plugin's; returns whether the node must not get it."""
        kind = message.kind
        if kind == wire.ABORT:  # to the node that would be a closed socket
            self.plugin.close()
            return True
        if kind == wire.CALL:
            return self._called_by_plugin(message.body, now)
        if kind == wire.RETURN:
            question = message.body.u32(0)
            if question >= wire.OWN_IDS:
                self.to_plugin(wire.finish_of(question))
                return True
        elif kind == wire.FINISH:
            return self._finished_by_plugin(message.body.u32(0), message.segments.frame)
        elif kind == wire.RELEASE:
            capability, count = message.body.u32(0), message.body.u32(4)
            if capability in self._needed():
                self._withheld[capability] = self._withheld.get(capability, 0) + count
                return True
        return False

    def _finished_by_plugin(self, question: int, frame: Frame) -> bool:
        if question in self._taken_over:
            self._taken_over.discard(question)
            if self.tip_wait is not None and self.tip_wait.asked_by_plugin == question:
                self.tip_wait.asked_by_plugin = None
            return True
        if question in self._asked:  # given up before it was answered
            self._asked[question].finish = frame
            return True
        return self._unanswered.finished(question, frame)

    def _called_by_plugin(self, call: Struct, now: float) -> bool:
        """Learn from a call of the plugin's; take over a disconnect, and a wait for a new tip."""
        question, method, interface = call.call()
        asked = interface, method
        if asked == (HANDLER, DISCONNECT) and self._leaves_to_us(call.imported_target()):
            self._taken_over.add(question)
            self.to_plugin(wire.answer_to(question))
            return True
        if asked == (contract.INIT, contract.MAKE_MINING):
            self._unanswered.asked(question, now + LOADING_SECONDS)
        elif asked not in contract.EVENT_LOOP_CALLS and asked != (MINING, WAIT_TIP_CHANGED):
            self._unanswered.asked(question)
        if asked == (MINING, WAIT_TIP_CHANGED) and self.tip_wait is None:
            wait = TipWait(call)
            if not wait.unlimited:
                return False
            wait.pause = RETRY_SECONDS
            self.tip_wait = wait
            self._taken_over.add(question)
            self._wait_for_tip(wait, b"")
            return True
        if asked in contract.SUBSCRIBING:
            ids = {each.u16(0): each.u32(4) for each in call.capabilities(wire.PARAMS)}
            subscription = Subscription(ids.get(wire.RECEIVER_HOSTED), ids.get(wire.SENDER_HOSTED))
            self._asked[question] = subscription
            self.subscriptions.all.append(subscription)
        return False

    def _leaves_to_us(self, handler: int | None) -> bool:
        """The plugin disconnects a handler: return whether the guard does that for it."""
        if handler is None:
            return False
        known = self.subscriptions.unwanted(handler)
        return self.ending if known is None else known  # at the node's stop it has been ended already

    def _new_id(self) -> int:
        """Return a question id that neither side's RPC system uses."""
        self._last_id = wire.OWN_IDS | (self._last_id + 1) % wire.OWN_IDS
        return self._last_id

    def tick(self, now: float) -> float | None:
        """Do what is due; returns when to call again if no frame comes before, or None."""
        if not self.node.open:
            return None
        if self.tip_wait is not None and self._tip_wait_due is not None and now >= self._tip_wait_due:
            self._tip_wait_due = None
            self._wait_for_tip(self.tip_wait, b"")
        self._tear_down(now)
        if not self.node.open:
            return None
        due = self.subscriptions.next_due() + self._unanswered.next_due()
        due += [] if self._tip_wait_due is None else [self._tip_wait_due]
        return min((moment for moment in due if now < moment < math.inf), default=None) if due else None

    def _tear_down(self, now: float) -> None:
        """Disconnect the next handler that is to go; if all have gone, and the plugin, close the node's socket."""
        subscriptions = self.subscriptions
        # A node that has not finished `destroy` may not have read its answer: without a socket then it aborts.
        unread = not self._destroys.isdisjoint(self._answered)
        subscription = subscriptions.next(now, everything=self.ending or not self.plugin.open)
        if subscription is not None and subscription.handler is not None and subscription.thread is not None:
            question = self._new_id()
            self._unanswered.asked(question)
            subscriptions.disconnect(subscription, question, now)
            self.node.send(contract.disconnect_of(question, subscription.handler, subscription.thread))
        elif self.plugin.open or subscriptions.leaving is not None or subscriptions.live() or unread:
            return
        elif self._unanswered.overdue(now) or (not self.node.size and self._unanswered.none(now)):
            self.node.close()
