"""The notifier of a worker: matches what was committed, sends what is due, tells people. Any number of them run.

Woken by each commit of this process and by those of others that say so, else it looks once a second. Three loops, so
that a long batch of one kind holds up no other. On stop nothing new is begun, and what is under way ends.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable

from service.access.context import Settings
from service.log_events import NOTIFY_FAILED, NOTIFY_TURN_FAILED, REQUEST_ID, log, where
from service.notify import matching, people
from service.notify.attempts import Sender
from service.notify.backoff import Draw
from service.notify.dispatching import Hands, Turn
from service.notify.model import Channels, State
from service.store import deliveries
from service.store.database import Unavailable
from service.store.engine import Store

CONCURRENCY = 256
CLAIMED = 64
"""Subscriptions of one claim."""
AT_ONCE = 16
"""Turns that decide or commit at a time: the database serves requests as well."""
POLL_S = 1.0
LOOK_S = 0.01
"""Where each commit of a busy process wakes it, an empty look is not repeated sooner."""
STOP_S = 35.0
"""So long may what is under way take at a stop; then its leases end by themselves."""
DEFECT_US = 60_000_000


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
        self._wakes = [asyncio.Event() for _ in range(3)]
        self._stopping = False

    async def run(self) -> None:
        self._store.on_commit(self._wake)
        parts = (("matching", self._match), ("dispatching", self._dispatch), ("people", self._people))
        async with asyncio.TaskGroup() as group:
            for wake, (name, step) in zip(self._wakes, parts, strict=True):
                group.create_task(self._forever(name, step, wake))
        if self._turns:
            await asyncio.wait(self._turns, timeout=STOP_S)
        for turn in self._turns:
            turn.cancel()

    def stop(self) -> None:
        """Begins nothing new; run() returns when what is under way has ended."""
        self._stopping = True
        self._wake()

    async def drain(self) -> None:
        """Matches, sends and tells people until nothing is due now: for tests and seeds."""
        while True:
            found = [await self._match(), await self._dispatch(), await self._people()]
            if self._turns:
                await asyncio.wait(self._turns)
            elif not any(found):
                return

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _forever(self, name: str, step: Callable[[], Awaitable[bool]], wake: asyncio.Event) -> None:
        while not self._stopping:
            wake.clear()
            try:
                looked = time.monotonic()
                more = not self._store.full and await step()
            except Unavailable:
                await asyncio.sleep(0.2)
                continue
            except Exception as error:  # a defect of one part must not end the worker
                log(NOTIFY_FAILED, part=name, **where(error))
                await asyncio.sleep(POLL_S)
                continue
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), POLL_S)
                await asyncio.sleep(looked + LOOK_S - time.monotonic())

    # --- the three parts -----------------------------------------------------------------------------------------

    async def _match(self) -> bool:
        return await matching.match(self._store, self._behaviour.base_url) > 0

    async def _people(self) -> bool:
        now_us = self._store.clock.now_us()
        return await people.deliver_due(self._store, self._behaviour, self._channels, now_us) > 0

    async def _dispatch(self) -> bool:
        """Claims what is due, as far as there are hands, and starts its turns."""
        free = self._concurrency - len(self._turns)
        if free <= 0:
            await asyncio.wait(self._turns, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
            return True
        if await deliveries.next_due(self._store) > self._store.clock.now_us():
            return False
        claimed = await deliveries.claim(self._store, min(free, CLAIMED))
        for state in claimed:
            task = asyncio.create_task(self._turn(state))
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)
        return bool(claimed)

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
