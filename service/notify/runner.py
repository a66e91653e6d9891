"""The notifier of a worker: matches what was committed, sends what is due, tells people. Any number of them run.

Woken by each commit of this process and by those of others that say so, else it looks once a second: one statement for
all that there may be to do. Three loops, so that a long batch of one kind holds up no other. On stop nothing new is
begun, and what is under way ends.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from service.access.context import Settings
from service.log_events import NOTIFY_FAILED, NOTIFY_TURN_FAILED, REQUEST_ID, log, where
from service.notify import matching, people
from service.notify.attempts import Sender
from service.notify.backoff import Draw
from service.notify.dispatching import Hands, Turn
from service.notify.model import Channels, State
from service.store import deliveries, outbox
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.together import together

CONCURRENCY = 256
CLAIMED = 64
"""Subscriptions of one claim."""
AT_ONCE = 16
"""Turns that decide or commit at a time: the database serves requests as well."""
POLL_S = 1.0
LOOK_S = 0.01
"""Where each commit of a busy process wakes it, it does not look sooner again."""
STOP_S = 35.0
"""So long may what is under way take at a stop; then its leases end by themselves."""
DEFECT_US = 60_000_000


@dataclass
class Part:
    """A loop of the notifier. step: does what is to be done now; whether there is more at once. due: it is to begin."""

    name: str
    step: Callable[[], Awaitable[bool]]
    due: asyncio.Event = field(default_factory=asyncio.Event)
    busy: bool = False


class Notifier:
    """Runs until stopped. behaviour.page_key must be the secret key: the secrets of subscribers are sealed with it."""

    def __init__(
        self,
        store: Store,
        behaviour: Settings,
        channels: Channels,
        *,
        concurrency: int = CONCURRENCY,
        draw: Draw = random.random,
    ):
        self._store, self._behaviour, self._channels, self._draw = store, behaviour, channels, draw
        self._sender = Sender(store, channels, behaviour.page_key, behaviour.base_url)
        self._concurrency = concurrency
        self._hands = asyncio.Semaphore(AT_ONCE)
        self._turns: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._matching = Part("matching", self._match)
        self._dispatching = Part("dispatching", self._dispatch)
        self._telling = Part("people", self._people)
        self._parts = (self._matching, self._dispatching, self._telling)
        self._seen: matching.Seen | None = None
        """What waits for matching, as the watcher found it."""
        self._stopping = False

    async def run(self) -> None:
        self._store.on_commit(self._woken.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            for part in self._parts:
                group.create_task(self._forever(part))
        if self._turns:
            await asyncio.wait(self._turns, timeout=STOP_S)
        for turn in self._turns:
            turn.cancel()

    def stop(self) -> None:
        """Begins nothing new; run() returns when what is under way has ended."""
        self._stopping = True
        self._woken.set()

    async def drain(self) -> None:
        """Matches, sends and tells people until nothing is due now: for tests and seeds."""
        while True:
            for part in self._parts:
                await part.step()
            if self._turns:
                await asyncio.wait(self._turns)
            elif not (await matching.look(self._store)).batch.vids and not any(await outbox.to_do(self._store)):
                return

    async def _watch(self) -> None:
        """Looks what there is to do, and begins it."""
        while not self._stopping:
            self._woken.clear()
            looked = time.monotonic()
            try:
                await self._look()
            except Unavailable:
                await asyncio.sleep(0.2)
                continue
            except Exception as error:
                log(NOTIFY_FAILED, part="looking", **where(error))
                await asyncio.sleep(POLL_S)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_S)
            await asyncio.sleep(looked + LOOK_S - time.monotonic())
        for part in self._parts:
            part.due.set()

    async def _look(self) -> None:
        """A part that is at work is left alone: it has the watcher look again when it is done."""
        if self._store.full or all(part.busy for part in self._parts):
            return
        if self._matching.busy:
            due, seen = await outbox.to_do(self._store), None
        else:
            seen, due = await together(self._store, matching.look(self._store), outbox.to_do(self._store))
        if seen is not None and seen.batch.vids:
            self._seen = seen
            self._matching.due.set()
        for part, there in zip((self._dispatching, self._telling), due, strict=True):
            if there and not part.busy:
                part.due.set()

    async def _forever(self, part: Part) -> None:
        while True:
            await part.due.wait()
            part.due.clear()
            part.busy = True
            try:
                while not self._stopping and await part.step():
                    pass
            except Unavailable:
                await asyncio.sleep(0.2)
            except Exception as error:  # a defect of one part must not end the worker
                log(NOTIFY_FAILED, part=part.name, **where(error))
                await asyncio.sleep(POLL_S)
            finally:
                part.busy = False
            if self._stopping:
                return
            self._woken.set()

    # --- the three parts -----------------------------------------------------------------------------------------

    async def _match(self) -> bool:
        """What it finds for the others they begin at once."""
        seen, self._seen = self._seen, None
        found = await matching.matched(self._store, self._behaviour.base_url, seen=seen)
        if found.events:
            self._dispatching.due.set()
        if found.notices:
            self._telling.due.set()
        return found.count >= matching.BATCH

    async def _people(self) -> bool:
        now_us = self._store.clock.now_us()
        return await people.deliver_due(self._store, self._behaviour, self._channels, now_us) >= people.BATCH

    async def _dispatch(self) -> bool:
        """Claims what is due, as far as there are hands, and starts its turns."""
        free = self._concurrency - len(self._turns)
        if free <= 0:
            await asyncio.wait(self._turns, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
            return True
        claimed = await deliveries.claim(self._store, most := min(free, CLAIMED))
        for state in claimed:
            task = asyncio.create_task(self._turn(state))
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)
        return len(claimed) == most

    async def _turn(self, state: State) -> None:
        marker = REQUEST_ID.set(state.fhir_id)
        hands = Hands(self._hands, lambda: self._stopping, self._draw)
        turn = Turn(self._store, self._behaviour, self._sender, state, hands)
        try:
            await turn.run()
        except Unavailable:
            pass  # the lease ends; what was sent and could not be recorded is sent again
        except Exception as error:
            log(NOTIFY_TURN_FAILED, subscription=state.fhir_id, **where(error))
            with contextlib.suppress(Exception):
                await turn.put_off(DEFECT_US)
        finally:
            REQUEST_ID.reset(marker)
