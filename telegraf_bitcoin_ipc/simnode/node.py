"""The simulated node while it runs: calls its subscribers, waits for their answers, aborts as a real node does.

It is as strict as a real one (libmultiprocess 7). Every call on a subscriber is waited for without a limit;
UTXO events are sent inside validation, the others by a scheduler with a queue that validation waits for.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Literal, NoReturn

from telegraf_bitcoin_ipc.simnode.events import Event
from telegraf_bitcoin_ipc.simnode.faults import Failure
from telegraf_bitcoin_ipc.simnode.journal import Journal
from telegraf_bitcoin_ipc.simnode.mempool import MAX_USAGE
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.slow_stop import SlowStop

ABORTED: Final = 134
"""Exit status of a process that SIGABRT ended, as a shell shows it."""

SHUTDOWN_SECONDS: Final = 0.09
"""Seconds from the return of waitTipChanged to the end of the connections, on an idle regtest node (measured)."""

QUEUE_LIMIT: Final = 10
"""Validation waits while more notifications than these are pending (MAX_VALIDATION_CALLBACKS of Bitcoin Core)."""

DESTROY: Final = "ChainNotifications.destroy"
"""The last call of a subscriber; while a script hangs it, it waits as behind a callback that is under way."""

CLOSED_IN_CALL: Final = "IPC client method call interrupted by disconnect."
STILL_SUBSCRIBED: Final = "terminate called without an active exception"
NO_CHAIN: Final = "Assertion `m_node.chainman' failed."
LOST_AT_WORK: Final = "Assertion `m_loop' failed."
CALL_TOO_MANY: Final = "Assertion `!m_fn' failed."


class Subscription:
    """One subscriber: the capability that is called, and whether it is still subscribed.

    `ending` is set by Handler.disconnect, `ended` when the subscriber has answered `destroy`.
    """

    def __init__(
        self,
        kind: Literal["chain", "utxo_cache"],
        callback: Any,
        context: Callable[[], dict[str, Any]],
        *,
        may_be_lost: bool,
    ) -> None:
        """Call `callback`, each time with a new context; the node survives the loss of one that `may_be_lost`."""
        self.kind = kind
        self.callback = callback
        self.context = context
        self.may_be_lost = may_be_lost
        self.calling = asyncio.Lock()
        self.ending = False
        self.ended = False


class SimulatedNode:
    """A model, its subscribers, and the rules of a real node's process."""

    def __init__(
        self,
        model: Model,
        journal: Journal,
        *,
        strict: bool = True,
        warmup: float = 0.0,
        patience: float = 0.0,
        slow_stop: SlowStop | None = None,
    ) -> None:
        """Run `model`; unless it is `strict`, only report what would have aborted a real node.

        The node loads its chain for `warmup` seconds. While there are subscribers, a stop takes up to `patience`
        seconds longer than a real node's, for a machine that is busy with other work.
        """
        self.model = model
        self.started_at = int(time.time())
        self._warm_at = time.monotonic() + warmup
        self.journal = journal
        self._strict = strict
        self._patience = patience
        self.slow_stop = slow_stop or SlowStop()
        self._subscriptions: list[Subscription] = []
        self._leaving = 0  # subscriptions whose end has begun
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._pending = 0
        self._changed = asyncio.Condition()  # what `until` may wait for
        self.validation = asyncio.Lock()  # cs_main: some calls wait for it, too
        self._scheduler: asyncio.Task[NoReturn] | None = None
        self.stopping = False
        self.aborts: list[str] = []

    def announce(self, socket: str, dialect: str) -> None:
        self.journal.write("listening", socket=socket, dialect=dialect, **self._state())

    @property
    def loaded(self) -> bool:
        """Whether the chain is loaded; before that the node is in warm-up."""
        return self.model.loaded or time.monotonic() >= self._warm_at

    def need_chain(self) -> None:
        """Abort if the chain is not loaded yet or already destroyed, as a real node does."""
        if not self.loaded or self.slow_stop.torn_down:
            self.abort(NO_CHAIN)

    async def chain_loaded(self) -> bool:
        """Wait until the chain is loaded or the node stops; return whether the chain is loaded."""
        await self.until(lambda: self.stopping or self.loaded, max(self._warm_at - time.monotonic(), 0))
        return not self.stopping

    async def fault(self, method: str) -> Failure | None:
        """Wait while a method hangs; return how it fails, or None if it works."""
        faults = self.model.faults
        await self.until(lambda: not faults.hangs(method))
        return faults.get(method)

    def abort(self, message: str) -> None:
        """End the process with status 134 and a real node's message; unless strict, only report it."""
        self.aborts.append(message)
        self.journal.write("abort", message=message, strict=self._strict)
        if self._strict:
            print(message, file=sys.stderr, flush=True)
            os._exit(ABORTED)

    # Subscriptions

    def subscribe(self, subscription: Subscription) -> None:
        """Begin to send chain and mempool notifications, or to trace the UTXO cache."""
        self._subscriptions.append(subscription)
        self.journal.write("subscribed", subscription=subscription.kind)

    @property
    def traced(self) -> bool:
        """Whether any subscriber traces the UTXO cache."""
        return any(subscription.kind == "utxo_cache" for subscription in self._subscriptions)

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def _forget(self, subscription: Subscription) -> None:
        with suppress(ValueError):  # it has been forgotten already
            self._subscriptions.remove(subscription)

    async def unsubscribe(self, subscription: Subscription) -> asyncio.Task[None]:
        """Stop calling; return the task of the `destroy` call, which has been sent but not answered.

        A call that is under way is finished first, unless the subscriber may be lost: then only `destroy` waits.
        """
        subscription.ending = True
        self._leaving += 1
        self._forget(subscription)
        sent = asyncio.Event()
        task = asyncio.create_task(self._destroy(subscription, sent))
        if not subscription.may_be_lost:
            await sent.wait()
        return task

    async def _destroy(self, subscription: Subscription, sent: asyncio.Event) -> None:
        async with subscription.calling:
            await self.fault(DESTROY)
            call = subscription.callback.destroy(context=subscription.context())
        sent.set()
        answered = True
        try:
            await call
        except Exception as error:
            answered = not _is_lost(error)
            if not subscription.may_be_lost:
                self.abort(_why(error))
        subscription.ended = True
        self._leaving -= 1
        if answered:
            self.journal.write("unsubscribed")

    def connection_lost(self, subscriptions: Iterable[Subscription], *, at_work: bool = False) -> None:
        """Abort if one of the connection's subscriptions had not ended, or a server thread was `at_work`.

        The latter aborts a real node about once in 30 times, under load (measured), and this one always.
        """
        for subscription in subscriptions:
            if not subscription.ended:
                to_be_called = self._pending and not subscription.ending
                if not subscription.may_be_lost or subscription.calling.locked() or to_be_called:
                    self.abort(CLOSED_IN_CALL)
                self._forget(subscription)
        if at_work:
            self.abort(LOST_AT_WORK)

    # Events

    async def perform(self, action: str, events: Iterable[Event]) -> None:
        """Send an action's events in order; return when validation may continue."""
        async with self.validation:
            for event in events:
                if event.of_coin:
                    await self._call_all("utxo_cache", event)
                else:
                    await self._notify(event)
        await self._change()
        self.journal.write(action, **self._state())

    async def settle(self, action: str) -> None:
        """Wait until every notification has been answered, and report it."""
        await self.until(lambda: not self._pending)
        self.journal.write("settled", after=action, **self._state())

    async def _notify(self, event: Event) -> None:
        if self._scheduler is None:
            self._scheduler = asyncio.create_task(self._schedule())
        self._pending += 1
        self._queue.put_nowait(event)
        await self.until(lambda: self._pending <= QUEUE_LIMIT)
        if event.method == "updatedBlockTip":
            await self._change()

    async def _schedule(self) -> NoReturn:
        while True:
            await self._call_all("chain", await self._queue.get())
            self._pending -= 1
            await self._change()

    async def _call_all(self, kind: str, event: Event) -> None:
        self.journal.count("happened", event.method)
        for subscription in [each for each in self._subscriptions if each.kind == kind]:
            async with subscription.calling:
                if not subscription.ending:
                    await self._call(subscription, event)

    async def _call(self, subscription: Subscription, event: Event) -> None:
        """Make one call and wait for its answer, however long that takes."""
        context = {} if event.of_coin else {"context": subscription.context()}
        began = time.perf_counter()
        try:
            await getattr(subscription.callback, event.method)(**context, **event.parameters)
        except Exception as error:
            if not event.of_coin or _is_lost(error):
                self.abort(_why(error))
            else:
                self.journal.write("validation_failed", method=event.method, message=str(error).splitlines()[0])
            return
        self.journal.count("delivered", event.method)
        if event.of_coin:
            self.journal.count("delivered_value", event.method, event.parameters["utxoInfo"]["value"])
        self.journal.timed(time.perf_counter() - began)

    # Changes, and the end

    async def until(self, condition: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait until a condition on the model, the queue or the node's stop holds, for at most `seconds`."""
        async with self._changed:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(condition)

    async def _change(self) -> None:
        """Look at the conditions again that are waited for."""
        async with self._changed:
            self._changed.notify_all()

    async def shut_down(self) -> None:
        """Stop, in the order that a real node's subscribers see."""
        self.journal.write("stopping")
        self.stopping = True
        await self._change()
        await asyncio.sleep(SHUTDOWN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while self.subscribers or self._leaving:
                    await asyncio.sleep(SHUTDOWN_SECONDS)
        for event in self.model.flush():
            await self._notify(event)
        await self.settle("flush")
        await self.slow_stop.half()
        if not all(subscription.may_be_lost for subscription in self._subscriptions):
            self.abort(STILL_SUBSCRIBED)
        if self.slow_stop.seconds:
            self.slow_stop.close_connections()
            self.journal.write("torn down")
            await self.slow_stop.half()
            await self.slow_stop.without_connections()
        self.journal.write("stopped", **self._state())

    def _state(self) -> dict[str, object]:
        """Return the values that a poll would read now."""
        model = self.model
        return {
            "height": model.height,
            "tip": model.tip_hash[::-1].hex(),
            "headers": model.header_height,
            "ibd": model.ibd,
            "progress": model.verification_progress,
            "mempool_size": len(model.mempool),
            "mempool_usage": model.mempool.usage,
            "mempool_max": MAX_USAGE,
            "peers": len(model.peers),
            "bytes_recv": model.peers.bytes_received,
            "bytes_sent": model.peers.bytes_sent,
        }


def _is_lost(error: Exception) -> bool:
    return getattr(error, "type", "") == "DISCONNECTED"


def _why(error: Exception) -> str:
    """Return the message of a node that aborts because a call on a subscriber failed."""
    return CLOSED_IN_CALL if _is_lost(error) else f"terminate called after an exception: {error}"
