"""Whole conversations in any order, against a node and a plugin that may do anything at any moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from hypothesis import example, given
from hypothesis import strategies as st
from support.conversation import NO_TIP, TIP, Conversation, ask_node
from support.frames import (
    CHAIN_NOTIFICATIONS,
    THREAD,
    UTXO_CACHE_TRACE,
    abort,
    answer,
    destroy,
    failure,
    finish,
    handler_for,
    question_of,
    release,
    subscribe_chain,
    subscribe_utxo,
    tip_is,
    transaction,
    utxo,
    wait_tip,
)
from support.properties import examples

from telegraf_bitcoin_ipc.guard import contract, subscriptions, wire

Act = Callable[[], object]


class AnyNode:
    """A node that notes what a guard must not do to it: its subscriptions, questions and answers, by their ids."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.side = conversation.node
        self.next_question, self.next_handler = 0, 20
        self.asked: dict[int, int] = {}  # subscribing questions, and their callbacks
        self.live: dict[int, int] = {}  # handlers, and their callbacks, until `destroy`
        self.leaving: dict[int, int] = {}  # questions that disconnect, and the handlers
        self.waits: set[int] = set()  # waitTipChanged
        self.calls: set[int] = set()
        self.answered: Counter[int] = Counter()  # questions of its own
        self.unfinished: set[int] = set()  # of its own
        self.destroys: set[int] = set()
        self.returned: Counter[int] = Counter()  # questions of the guard's that it answered
        self.finished: Counter[int] = Counter()  # by the guard
        self.released: Counter[int] = Counter()  # references
        self.gone = False

    def hears(self) -> None:
        """Take what the guard says, and check each of it."""
        frames = self.side.outbox.frames
        while frames:
            frame = frames.popleft()
            message = wire.Message.of(frame)
            if message.kind == wire.CALL:
                self._called(message.body)
            elif message.kind == wire.RETURN:
                self.answered[message.body.u32(0)] += 1
                assert self.answered[message.body.u32(0)] == 1, "an event was answered twice"
            elif message.kind == wire.FINISH:
                self.finished[message.body.u32(0)] += 1
            elif message.kind == wire.RELEASE:
                capability = message.body.u32(0)
                assert capability not in self.live, "the handler of a subscription was released"
                assert capability != THREAD or not self.live, "so was the thread that teardown needs"
                self.released[capability] += message.body.u32(4)
        if not self.side.outbox.open and not self.gone:
            self._left()

    def _called(self, call: wire.Struct) -> None:
        question, method, interface = call.call()
        if (interface, method) in contract.SUBSCRIBING:
            (callback,) = [each.u32(4) for each in call.capabilities(1) if each.u16(0) == wire.SENDER_HOSTED]
            self.asked[question] = callback
        elif (interface, method) == (contract.HANDLER, contract.DISCONNECT):
            handler = call.imported_target()
            assert handler not in self.leaving.values(), "a second disconnect of one handler hangs the thread"
            assert not any(each >= wire.OWN_IDS for each in self.leaving), "two disconnects at once on one thread"
            assert handler is not None
            self.leaving[question] = handler
        elif (interface, method) == (contract.MINING, contract.WAIT_TIP_CHANGED):
            self.waits.add(question)
        else:
            self.calls.add(question)

    def _left(self) -> None:
        """Its socket was closed."""
        assert not self.conversation.plugin.outbox.open, "the plugin was still there"
        assert not self.live, "something was subscribed"
        assert not self.asked, "something was about to be"
        assert not self.leaving, "a disconnect was under way"
        assert not self.calls or self.conversation.now >= subscriptions.ANSWER_SECONDS, "it was executing a call"
        assert set(self.answered) >= self.unfinished, "an answer was owed"
        assert not self.destroys & self.unfinished, "the answer to a `destroy` may be unread"
        self.gone = True

    def says(self, *frames: bytes) -> None:
        """Say frames, and take what the guard says to them."""
        self.side.send(*frames)
        self.hears()

    def event(self, make: Callable[[int], bytes]) -> None:
        """Call a callback: the very next thing from the guard is the answer."""
        self.hears()
        self.next_question += 1
        question = self.next_question
        self.unfinished.add(question)
        self.side.send(make(question))
        assert self.side.outbox.frames[0] == wire.answer_to(question)
        self.hears()

    def returns(self, question: int, frame: bytes) -> None:
        """Answer a question."""
        if question >= wire.OWN_IDS:
            self.returned[question] += 1
        self.says(frame)

    def grants(self, question: int) -> None:
        """Answer a subscribing call with a handler."""
        self.next_handler += 1
        self.live[self.next_handler] = self.asked.pop(question)
        self.returns(question, handler_for(question, self.next_handler))

    def lets_go(self, handler: int) -> None:
        """Call `destroy`, the last of a subscription."""
        callback = self.live.pop(handler)
        self.destroys.add(self.next_question + 1)
        interface = UTXO_CACHE_TRACE if callback % 2 == 0 else CHAIN_NOTIFICATIONS
        self.event(lambda question: destroy(question, interface, callback))

    def disconnected(self, question: int, busy: bool = False) -> None:
        """Answer a disconnect."""
        del self.leaving[question]
        self.returns(question, failure(question, "std::exception: thread busy") if busy else answer(question))

    def acts(self) -> Iterator[Act]:
        """Yield what it may do now."""
        for question in sorted(self.asked):
            yield lambda q=question: self.grants(q)  # type: ignore[misc]
            yield lambda q=question: (self.asked.pop(q), self.returns(q, failure(q, "no")))  # type: ignore
        for callback in sorted(self.live.values()):
            if callback % 2:
                yield lambda c=callback: self.event(lambda q: transaction(q, callback=c))  # type: ignore[misc]
            else:
                yield lambda c=callback: self.event(lambda q: utxo(q, "add", callback=c))  # type: ignore[misc]
        for question, handler in sorted(self.leaving.items()):
            if handler in self.live:
                yield lambda h=handler: self.lets_go(h)  # type: ignore[misc]
            yield lambda q=question: self.disconnected(q)  # type: ignore[misc]
            yield lambda q=question: self.disconnected(q, busy=True)  # type: ignore[misc]
        for handler in sorted(set(self.live) - set(self.leaving.values())):
            if self.returned:  # a disconnect that returned may be followed by `destroy`
                yield lambda h=handler: self.lets_go(h)  # type: ignore[misc]
        for question in sorted(self.waits):
            for frame in (
                tip_is(question, TIP),
                tip_is(question, None),
                failure(question, "thread busy"),
                failure(question, "no"),
            ):
                yield lambda q=question, f=frame: (self.waits.discard(q), self.returns(q, f))  # type: ignore
        for question in sorted(self.calls):
            yield lambda q=question: (self.calls.discard(q), self.returns(q, answer(q)))  # type: ignore
        for question in sorted(self.unfinished & set(self.answered)):
            yield lambda q=question: self.finishes(q)  # type: ignore[misc]

    def finishes(self, question: int) -> None:
        """Say that an answer has been read."""
        self.unfinished.discard(question)
        self.says(finish(question))

    def goes(self) -> None:
        """Crash."""
        self.gone = True
        self.side.close()


class AnyPlugin:
    """A plugin that says what a plugin may say, and goes when it likes."""

    def __init__(self, conversation: Conversation) -> None:
        self.side = conversation.plugin
        self.next_question, self.next_callback = 0, 0
        self.handlers: list[int] = []
        self.questions: list[int] = []
        self.events: list[int] = []
        self.returns: Counter[int] = Counter()
        self.released: Counter[int] = Counter()

    def hears(self) -> None:
        """Take what the guard says."""
        while self.side.outbox.frames:
            frame = self.side.outbox.frames.popleft()
            message = wire.Message.of(frame)
            if message.kind == wire.CALL:
                assert question_of(frame) > wire.OWN_IDS
                assert question_of(frame) not in self.events
                self.events.append(question_of(frame))
            elif message.kind == wire.RETURN:
                self.returns[message.body.u32(0)] += 1
                assert self.returns[message.body.u32(0)] == 1, "a question was answered twice"
                if message.body.u16(6) == wire.RESULTS:
                    self.handlers += [each.u32(4) for each in message.body.capabilities(0)]

    def asks(self, make: Callable[[int], bytes]) -> None:
        """Make a call."""
        self.next_question += 1
        self.questions.append(self.next_question)
        self.side.send(make(self.next_question))

    def subscribes(self, ask: Callable[..., bytes], odd: int) -> None:
        """Subscribe with a new callback; those to the chain have odd numbers."""
        self.next_callback += 2
        callback = self.next_callback + odd
        self.asks(lambda question: ask(question, callback=callback))

    def releases(self, capability: int) -> None:
        """Release a reference."""
        self.released[capability] += 1
        self.side.send(release(capability))

    def acts(self) -> Iterator[Act]:
        """Yield what it may do now."""
        if self.next_callback < 8:
            yield lambda: self.subscribes(subscribe_chain, 1)
            yield lambda: self.subscribes(subscribe_utxo, 0)
        yield lambda: self.asks(ask_node)
        yield lambda: self.asks(lambda question: wait_tip(question, NO_TIP))
        for handler in self.handlers[-3:]:
            if not self.released[handler]:
                yield lambda h=handler: self.asks(lambda q: contract.disconnect_of(q, h, THREAD))  # type: ignore
                yield lambda h=handler: self.releases(h)  # type: ignore[misc]
        if not self.released[THREAD]:
            yield lambda: self.releases(THREAD)
        for question in self.questions[-3:]:
            yield lambda q=question: (self.questions.remove(q), self.side.send(finish(q)))  # type: ignore
        for event in self.events[-2:]:
            yield lambda e=event: (self.events.remove(e), self.side.send(answer(e)))  # type: ignore
        yield lambda: self.side.send(abort("no"))
        yield lambda: self.side.close()


class World:
    """A conversation, and both who take part in it."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.conversation.now = 0.0
        self.node = AnyNode(self.conversation)
        self.plugin = AnyPlugin(self.conversation)

    def acts(self) -> list[Act]:
        """Return what may happen now."""
        acts: list[Act] = [lambda: None]
        if not self.node.gone:
            acts += self.node.acts()
        if self.plugin.side.outbox.open:
            acts += self.plugin.acts()
        if self.conversation.due is not None and self.conversation.due < subscriptions.ANSWER_SECONDS:
            acts.append(self.conversation.passes)
        return acts

    def does(self, act: Act) -> None:
        """Let something happen, and take what comes of it."""
        act()
        self.plugin.hears()
        self.node.hears()

    def comes_to_its_end(self) -> None:
        """Let the plugin go, and the node do whatever it is asked to, until the guard leaves it."""
        self.does(self.plugin.side.close)
        for _ in range(200):
            node = self.node
            if node.gone:
                break
            for question in sorted(node.asked):
                node.grants(question)
            for question, handler in sorted(node.leaving.items()):
                if handler in node.live:
                    node.lets_go(handler)
                node.disconnected(question)
            for question in sorted(node.unfinished & set(node.answered)):
                node.finishes(question)
            for question in sorted(node.calls):
                node.calls.discard(question)
                node.returns(question, answer(question))
            if not self.conversation.passes():
                self.does(self.conversation.tick)
        assert self.node.gone, "it never left"
        self.conversation.ends()


def nothing_leaked(world: World) -> None:
    """Of all that the guard kept nothing is left, and the node has what is its own."""
    node, relay = world.node, world.conversation.relay
    assert node.live == {}
    assert relay.subscriptions.all == []
    assert relay.subscriptions.leaving is None
    assert node.finished & node.returned == node.returned, "each answer to the guard was finished"
    assert {question: count for question, count in node.finished.items() if count > 1} == {}
    assert node.released == world.plugin.released, "each reference that the plugin released reached the node"


@examples(400)
@given(st.lists(st.integers(0, 1 << 16), max_size=80), st.booleans())
@example([1, 1, 2, 1, 6, 6, 6, 6], False)
def test_any_order(choices: list[int], node_crashes: bool) -> None:
    """Whatever happens in whatever order: events are answered at once and once, and the node is left unharmed."""
    world = World()
    for choice in choices:
        acts = world.acts()
        world.does(acts[choice % len(acts)])
    if node_crashes and not world.node.gone:
        world.does(world.node.goes)
        world.plugin.side.close()
        world.conversation.ends()
        return
    world.comes_to_its_end()
    nothing_leaked(world)
